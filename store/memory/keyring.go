package memory

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tokenjar/tokenjar"
)

// KeyRing implements [tokenjar.KeyRingStore].
func (s *Store) KeyRing(ctx context.Context) ([]byte, int64, error) {
	if _, err := s.enter(ctx, "read key ring"); err != nil {
		return nil, 0, err
	}
	defer s.mu.Unlock()
	return bytes.Clone(s.box), s.version, nil
}

// SaveKeyRing implements [tokenjar.KeyRingStore]. The new version is one more than the given one.
func (s *Store) SaveKeyRing(ctx context.Context, box []byte, version int64) error {
	const op = "save key ring"
	if _, err := s.enter(ctx, op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if version != s.version {
		return fmt.Errorf("%s: %w", op, tokenjar.ErrConflict)
	}
	s.box, s.version = bytes.Clone(box), version+1
	return nil
}
