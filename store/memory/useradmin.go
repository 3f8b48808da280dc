package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tokenjar/tokenjar"
)

// Users implements [tokenjar.UserAdmin]. A limit of 0, below, or above 1000 is 1000.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]tokenjar.User, error) {
	if _, err := s.enter(ctx, "list users"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []tokenjar.User
	for _, id := range slices.Sorted(maps.Keys(s.users)) {
		if len(list) == page(limit) {
			break
		}
		if id > after {
			list = append(list, *s.users[id])
		}
	}
	return list, nil
}

// SetUserActive implements [tokenjar.UserAdmin]. Disabling an account that is disabled moves the epoch again.
func (s *Store) SetUserActive(ctx context.Context, id string, active bool) ([]string, error) {
	const op = "set user active"
	now, err := s.enter(ctx, op)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	u := s.users[id]
	if u == nil {
		return nil, fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	u.Active = active
	if active {
		return nil, nil
	}
	u.AuthEpoch++
	return s.revokeUser(id, "", tokenjar.ReasonUserDisabled, now), nil
}

// SetUserRoles implements [tokenjar.UserAdmin].
func (s *Store) SetUserRoles(ctx context.Context, id string, r tokenjar.Roles) error {
	const op = "set user roles"
	now, err := s.enter(ctx, op)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	u := s.users[id]
	if u == nil {
		return fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	if u.Staff == r.Staff && u.Superuser == r.Superuser {
		return nil
	}
	u.Staff, u.Superuser = r.Staff, r.Superuser
	u.ClaimsGen++
	s.raiseClaims(id, u.ClaimsGen, now)
	return nil
}

// SetPassword implements [tokenjar.UserAdmin]. The user need not be active.
func (s *Store) SetPassword(ctx context.Context, p tokenjar.PasswordChange) ([]string, error) {
	const op = "set password"
	now, err := s.enter(ctx, op)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	u := s.users[p.UserID]
	if u == nil {
		return nil, fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	if p.OldHash != "" && u.PasswordHash != p.OldHash {
		if u.PasswordHash == p.NewHash && p.NewHash != "" {
			return nil, nil // by this change, before: each has a salt of its own
		}
		return nil, fmt.Errorf("%s: %w", op, tokenjar.ErrConflict)
	}
	u.PasswordHash = p.NewHash
	u.AuthEpoch++
	keep := s.byUser[u.ID][p.Keep]
	if keep != nil {
		read := readAt(keep, now)
		if !read.Live() || keep.AuthEpoch != u.AuthEpoch-1 {
			keep = nil
		}
	}
	if keep == nil {
		return s.revokeUser(u.ID, "", tokenjar.ReasonPasswordChanged, now), nil
	}
	keep.AuthEpoch, keep.AuthTime = u.AuthEpoch, now
	return s.revokeUser(u.ID, keep.ID, tokenjar.ReasonPasswordChanged, now), nil
}

// DeleteUser implements [tokenjar.UserAdmin]. The id is remembered, so that CreateUser can refuse it, and a deletion
// whose answer was lost can be asked for again.
func (s *Store) DeleteUser(ctx context.Context, id string) ([]string, error) {
	const op = "delete user"
	now, err := s.enter(ctx, op)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.deleted[id] {
		return nil, nil
	}
	if s.users[id] == nil {
		return nil, fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	for _, names := range []map[string]string{s.byName, s.byEmail} {
		maps.DeleteFunc(names, func(_, owner string) bool { return owner == id })
	}
	delete(s.users, id)
	s.deleted[id] = true
	return s.revokeUser(id, "", tokenjar.ReasonUserDisabled, now), nil
}
