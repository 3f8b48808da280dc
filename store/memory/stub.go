package memory

import (
	"context"

	"github.com/tokenjar/tokenjar"
)

func (s *Store) Users(ctx context.Context, after string, limit int) ([]tokenjar.User, error) {
	return nil, tokenjar.ErrStoreUnavailable
}
func (s *Store) SetPassword(ctx context.Context, p tokenjar.PasswordChange) ([]string, error) {
	return nil, tokenjar.ErrStoreUnavailable
}
func (s *Store) DeleteUser(ctx context.Context, id string) ([]string, error) {
	return nil, tokenjar.ErrStoreUnavailable
}
