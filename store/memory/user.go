package memory

import (
	"context"
	"fmt"

	"github.com/tokenjar/tokenjar"
)

// CreateUser implements [tokenjar.UserAdmin]. A CreatedAt of zero becomes the store's time. It returns a
// [*tokenjar.ValidationError] for a name or address that has no key, or an empty id, and [tokenjar.ErrConflict] also for
// the id of an account that was deleted.
func (s *Store) CreateUser(ctx context.Context, u tokenjar.User) error {
	const op = "create user"
	now, err := s.enter(ctx, op)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()

	name, ok := tokenjar.UsernameKey(u.Username)
	if !ok {
		return fmt.Errorf("%s: %w", op, invalid("username"))
	}
	var email string
	if u.Email != "" {
		if email, ok = tokenjar.EmailKey(u.Email); !ok {
			return fmt.Errorf("%s: %w", op, invalid("email"))
		}
	}
	if u.ID == "" {
		return fmt.Errorf("%s: %w", op, invalid("id"))
	}
	_, nameTaken := s.byName[name]
	_, emailTaken := s.byEmail[email]
	if s.users[u.ID] != nil || s.deleted[u.ID] || nameTaken || emailTaken {
		return fmt.Errorf("%s: %w", op, tokenjar.ErrConflict)
	}

	u.CreatedAt, u.LastLogin = millis(u.CreatedAt), millis(u.LastLogin)
	if u.CreatedAt.IsZero() {
		u.CreatedAt = now
	}
	s.users[u.ID] = &u
	s.byName[name] = u.ID
	if email != "" {
		s.byEmail[email] = u.ID
	}
	return nil
}

// FindUser implements [tokenjar.UserStore].
func (s *Store) FindUser(ctx context.Context, id tokenjar.Identifier) (tokenjar.User, error) {
	const op = "find user"
	if _, err := s.enter(ctx, op); err != nil {
		return tokenjar.User{}, err
	}
	defer s.mu.Unlock()
	var userID string
	switch {
	case id.Username != "" && id.Email == "":
		if key, ok := tokenjar.UsernameKey(id.Username); ok {
			userID = s.byName[key]
		}
	case id.Email != "" && id.Username == "":
		if key, ok := tokenjar.EmailKey(id.Email); ok {
			userID = s.byEmail[key]
		}
	}
	if u := s.users[userID]; u != nil {
		return *u, nil
	}
	return tokenjar.User{}, fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
}

// User implements [tokenjar.UserStore].
func (s *Store) User(ctx context.Context, id string) (tokenjar.User, error) {
	const op = "read user"
	if _, err := s.enter(ctx, op); err != nil {
		return tokenjar.User{}, err
	}
	defer s.mu.Unlock()
	if u := s.users[id]; u != nil {
		return *u, nil
	}
	return tokenjar.User{}, fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
}

// RecordLogin implements [tokenjar.UserStore].
func (s *Store) RecordLogin(ctx context.Context, id string, rec tokenjar.LoginRecord) error {
	const op = "record login"
	if _, err := s.enter(ctx, op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	u := s.users[id]
	if u == nil {
		return fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	u.LastLogin = millis(rec.At)
	if rec.NewHash != "" && u.PasswordHash == rec.OldHash {
		u.PasswordHash = rec.NewHash
	}
	return nil
}

// UpdateProfile implements [tokenjar.UserStore].
func (s *Store) UpdateProfile(ctx context.Context, id string, p tokenjar.Profile) (tokenjar.User, error) {
	const op = "update profile"
	if _, err := s.enter(ctx, op); err != nil {
		return tokenjar.User{}, err
	}
	defer s.mu.Unlock()
	u := s.users[id]
	if u == nil {
		return tokenjar.User{}, fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	if p.FirstName != nil {
		u.FirstName = *p.FirstName
	}
	if p.LastName != nil {
		u.LastName = *p.LastName
	}
	return *u, nil
}

// invalid returns the error for a field of a new user that cannot be taken.
func invalid(field string) error {
	return &tokenjar.ValidationError{Fields: []tokenjar.FieldError{{
		Field: field, Code: "invalid", Detail: "This cannot be used.",
	}}}
}
