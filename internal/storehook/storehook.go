// Package storehook stands between a service and its store in tests, so that they can hold, count or fail any call.
package storehook

import (
	"context"
	"time"

	"github.com/tokenjar/tokenjar"
)

// All is a store that keeps everything: sessions, key ring, users and the audit trail.
type All interface {
	tokenjar.Store
	tokenjar.UserStore
	tokenjar.UserAdmin
	tokenjar.AuditStore
}

// Wrap returns a store that passes every call on to another one through a function. It is a [tokenjar.Watcher] if that one
// is; other things that the store can do beside (a data version) it hides.
func Wrap(store All, around func(ctx context.Context, call string, do func(context.Context) error) error) All {
	s := &Store{All: store, Around: around}
	if w, ok := store.(tokenjar.Watcher); ok {
		return &watched{s, w}
	}
	return s
}

type watched struct {
	*Store
	tokenjar.Watcher
}

// A Store passes every call on through a function. See [Wrap].
type Store struct {
	All
	// Around is given every call: the name of the method, and the call itself, which it may make at once, later, never, or
	// make and say otherwise. When it returns an error the caller gets that error and nothing else. It is set before the
	// first call and must be safe for concurrent use.
	Around func(ctx context.Context, call string, do func(context.Context) error) error
}

// through makes one call that has a result.
func through[T any](ctx context.Context, s *Store, name string, call func(context.Context) (T, error)) (T, error) {
	var result T
	err := s.Around(ctx, name, func(ctx context.Context) (err error) {
		result, err = call(ctx)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

// pair is two results of one call.
type pair[A, B any] struct {
	a A
	b B
}

func through2[A, B any](ctx context.Context, s *Store, name string, call func(context.Context) (A, B, error)) (A, B, error) {
	p, err := through(ctx, s, name, func(ctx context.Context) (pair[A, B], error) {
		a, b, err := call(ctx)
		return pair[A, B]{a, b}, err
	})
	return p.a, p.b, err
}

// Sessions.

func (s *Store) CreateSession(ctx context.Context, n tokenjar.NewSession) (tokenjar.Session, []string, error) {
	return through2(ctx, s, "CreateSession", func(ctx context.Context) (tokenjar.Session, []string, error) {
		return s.All.CreateSession(ctx, n)
	})
}

func (s *Store) Session(ctx context.Context, id string) (tokenjar.Session, error) {
	return through(ctx, s, "Session", func(ctx context.Context) (tokenjar.Session, error) { return s.All.Session(ctx, id) })
}

func (s *Store) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	return through(ctx, s, "Rotate", func(ctx context.Context) (tokenjar.Verdict, error) { return s.All.Rotate(ctx, r) })
}

func (s *Store) MarkSeen(ctx context.Context, seen []tokenjar.Seen) error {
	return s.Around(ctx, "MarkSeen", func(ctx context.Context) error { return s.All.MarkSeen(ctx, seen) })
}

func (s *Store) UserSessions(ctx context.Context, userID string) ([]tokenjar.Session, error) {
	return through(ctx, s, "UserSessions", func(ctx context.Context) ([]tokenjar.Session, error) {
		return s.All.UserSessions(ctx, userID)
	})
}

func (s *Store) RenameSession(ctx context.Context, userID, id, name string) error {
	return s.Around(ctx, "RenameSession", func(ctx context.Context) error { return s.All.RenameSession(ctx, userID, id, name) })
}

func (s *Store) RevokeSessions(ctx context.Context, userID string, ids []string, why tokenjar.Reason) ([]string, error) {
	return through(ctx, s, "RevokeSessions", func(ctx context.Context) ([]string, error) {
		return s.All.RevokeSessions(ctx, userID, ids, why)
	})
}

func (s *Store) RevokeUserSessions(ctx context.Context, userID, except string, why tokenjar.Reason) ([]string, error) {
	return through(ctx, s, "RevokeUserSessions", func(ctx context.Context) ([]string, error) {
		return s.All.RevokeUserSessions(ctx, userID, except, why)
	})
}

func (s *Store) MarkShared(ctx context.Context, shared []tokenjar.Shared) ([]tokenjar.Shared, error) {
	return through(ctx, s, "MarkShared", func(ctx context.Context) ([]tokenjar.Shared, error) { return s.All.MarkShared(ctx, shared) })
}

func (s *Store) MarkUndelivered(ctx context.Context, answers []tokenjar.Undelivered) error {
	return s.Around(ctx, "MarkUndelivered", func(ctx context.Context) error { return s.All.MarkUndelivered(ctx, answers) })
}

func (s *Store) RaiseClaims(ctx context.Context, userID string, generation int64) error {
	return s.Around(ctx, "RaiseClaims", func(ctx context.Context) error { return s.All.RaiseClaims(ctx, userID, generation) })
}

func (s *Store) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	return through(ctx, s, "News", func(ctx context.Context) (tokenjar.News, error) { return s.All.News(ctx, since) })
}

func (s *Store) PruneSessions(ctx context.Context, keep time.Duration, limit int) (int, bool, error) {
	return through2(ctx, s, "PruneSessions", func(ctx context.Context) (int, bool, error) {
		return s.All.PruneSessions(ctx, keep, limit)
	})
}

// The key ring.

func (s *Store) KeyRing(ctx context.Context) ([]byte, int64, error) {
	return through2(ctx, s, "KeyRing", s.All.KeyRing)
}

func (s *Store) SaveKeyRing(ctx context.Context, box []byte, version int64) error {
	return s.Around(ctx, "SaveKeyRing", func(ctx context.Context) error { return s.All.SaveKeyRing(ctx, box, version) })
}

// Users.

func (s *Store) FindUser(ctx context.Context, id tokenjar.Identifier) (tokenjar.User, error) {
	return through(ctx, s, "FindUser", func(ctx context.Context) (tokenjar.User, error) { return s.All.FindUser(ctx, id) })
}

func (s *Store) User(ctx context.Context, id string) (tokenjar.User, error) {
	return through(ctx, s, "User", func(ctx context.Context) (tokenjar.User, error) { return s.All.User(ctx, id) })
}

func (s *Store) RecordLogin(ctx context.Context, id string, rec tokenjar.LoginRecord) error {
	return s.Around(ctx, "RecordLogin", func(ctx context.Context) error { return s.All.RecordLogin(ctx, id, rec) })
}

func (s *Store) UpdateProfile(ctx context.Context, id string, p tokenjar.Profile) (tokenjar.User, error) {
	return through(ctx, s, "UpdateProfile", func(ctx context.Context) (tokenjar.User, error) {
		return s.All.UpdateProfile(ctx, id, p)
	})
}

func (s *Store) CreateUser(ctx context.Context, u tokenjar.User) error {
	return s.Around(ctx, "CreateUser", func(ctx context.Context) error { return s.All.CreateUser(ctx, u) })
}

func (s *Store) Users(ctx context.Context, after string, limit int) ([]tokenjar.User, error) {
	return through(ctx, s, "Users", func(ctx context.Context) ([]tokenjar.User, error) { return s.All.Users(ctx, after, limit) })
}

func (s *Store) SetUserActive(ctx context.Context, id string, active bool) ([]string, error) {
	return through(ctx, s, "SetUserActive", func(ctx context.Context) ([]string, error) {
		return s.All.SetUserActive(ctx, id, active)
	})
}

func (s *Store) SetUserRoles(ctx context.Context, id string, r tokenjar.Roles) error {
	return s.Around(ctx, "SetUserRoles", func(ctx context.Context) error { return s.All.SetUserRoles(ctx, id, r) })
}

func (s *Store) SetPassword(ctx context.Context, p tokenjar.PasswordChange) ([]string, error) {
	return through(ctx, s, "SetPassword", func(ctx context.Context) ([]string, error) { return s.All.SetPassword(ctx, p) })
}

func (s *Store) DeleteUser(ctx context.Context, id string) ([]string, error) {
	return through(ctx, s, "DeleteUser", func(ctx context.Context) ([]string, error) { return s.All.DeleteUser(ctx, id) })
}

// The audit trail.

func (s *Store) AppendAudit(ctx context.Context, events []tokenjar.AuditEvent) error {
	return s.Around(ctx, "AppendAudit", func(ctx context.Context) error { return s.All.AppendAudit(ctx, events) })
}

func (s *Store) AuditTrail(ctx context.Context, f tokenjar.AuditFilter) ([]tokenjar.AuditEvent, error) {
	return through(ctx, s, "AuditTrail", func(ctx context.Context) ([]tokenjar.AuditEvent, error) { return s.All.AuditTrail(ctx, f) })
}

func (s *Store) PruneAudit(ctx context.Context, keep time.Duration, limit int) (int, error) {
	return through(ctx, s, "PruneAudit", func(ctx context.Context) (int, error) { return s.All.PruneAudit(ctx, keep, limit) })
}
