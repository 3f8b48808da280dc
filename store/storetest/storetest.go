// Package storetest is the contract of a store, as tests. Every store passes the same suite, so that a program may
// change its store without changing its promises; a store's own test is ten lines:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
//			return memory.New(memory.Config{Now: now})
//		})
//	}
//
// Tests whose name begins with an id (T-05, S-13, …) are the store's part of that row of the list of attacks.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar"
)

// A Store is what is tested: a store that owns its users and keeps the audit trail.
type Store interface {
	tokenjar.Store
	tokenjar.UserStore
	tokenjar.UserAdmin
	tokenjar.AuditStore
}

// A Reopener is a Store that outlives its process. Reopen closes the store and opens the same data again; the old value
// is not used any more.
type Reopener interface {
	Store
	Reopen(t testing.TB) Store
}

// Run tests stores that open returns: empty ones, whose clock is now, and which are closed by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) Store) {
	for _, group := range []struct {
		name string
		run  func(*testing.T, opener)
	}{
		{"rotation", testRotation},
		{"rotation, by table", testRotationTable},
		{"answers that have not begun", testUndelivered},
		{"parallel", testParallel},
		{"sessions", testSessions},
		{"limits", testLimits},
		{"revocation", testRevocation},
		{"sharing", testSharing},
		{"claims", testClaims},
		{"pruning", testPruning},
		{"users", testUsers},
		{"user pages", testUserPages},
		{"password", testSetPassword},
		{"deleted users", testDeleteUser},
		{"audit", testAudit},
		{"key ring", testKeyRing},
		{"cancelled", testCancelled},
		{"model", testModel},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, open) })
	}
	if _, ok := open(t, time.Now).(Reopener); ok {
		t.Run("reopened", func(t *testing.T) { testReopened(t, open) })
	}
}

type opener = func(t *testing.T, now func() time.Time) Store

// The configuration under which everything is tested.
var timing = tokenjar.Timing{
	Idle:         24 * time.Hour,
	RememberIdle: 20 * 24 * time.Hour,
	Absolute:     30 * 24 * time.Hour,
	Grace:        10 * time.Second,
}

// An env is a store, its clock, and what the helpers below need.
type env struct {
	*testing.T
	Store
	clock *clock
}

func start(t *testing.T, open opener) *env {
	t.Helper()
	c := &clock{t: noon}
	return &env{T: t, Store: open(t, c.now), clock: c}
}

// sub runs a subtest on the same store.
func (e *env) sub(name string, f func(e *env)) {
	e.T.Run(name, func(t *testing.T) { f(&env{T: t, Store: e.Store, clock: e.clock}) })
}

// noon is where clocks begin. It is no whole second, so that rounding shows.
var noon = time.Date(2026, 3, 1, 12, 0, 0, int(250*time.Millisecond), time.UTC)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// A session in these tests has tokens 1, 2, 3, …: token n is the one that generation n made the newest.
type session struct{ id, user string }

// hash is what the store keeps of token n.
func (s session) hash(n int64) tokenjar.Hash {
	return sha256.Sum256(fmt.Appendf(nil, "%s/%d", s.id, n))
}

// show asks to spend token n.
func (s session) show(n int64) tokenjar.Rotation {
	return tokenjar.Rotation{
		SessionID: s.id, UserID: s.user, Presented: s.hash(n), Successor: s.hash(n + 1), Timing: timing,
		UserAgent: "agent", IP: "192.0.2.1",
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// user adds an active user of epoch 0 and returns the id.
func (e *env) user() string {
	e.Helper()
	id := newID()
	must(e, e.CreateUser(e.Context(), tokenjar.User{ID: id, Username: id, Active: true}))
	return id
}

// login opens a session of a user.
func (e *env) login(user string, change ...func(*tokenjar.NewSession)) session {
	e.Helper()
	s, _, err := e.tryLogin(user, change...)
	must(e, err)
	return s
}

func (e *env) tryLogin(user string, change ...func(*tokenjar.NewSession)) (session, []string, error) {
	s := session{id: newID(), user: user}
	n := tokenjar.NewSession{
		ID: s.id, UserID: user, First: s.hash(1), Timing: timing, UserAgent: "agent", IP: "192.0.2.1",
	}
	for _, f := range change {
		f(&n)
	}
	_, ended, err := e.CreateSession(e.Context(), n)
	return s, ended, err
}

// read returns the row of a session.
func (e *env) read(s session) tokenjar.Session {
	e.Helper()
	row, err := e.Session(e.Context(), s.id)
	must(e, err)
	return row
}

// spend performs a rotation and checks what must be true of every one, whatever its outcome: the verdict is the row as
// it is now, what gives a successor gives that of the token shown, and only what says so has changed or ended anything.
func (e *env) spend(r tokenjar.Rotation) tokenjar.Verdict {
	e.Helper()
	before, err := e.Session(e.Context(), r.SessionID)
	known := err == nil
	if !known && !errors.Is(err, tokenjar.ErrNotFound) {
		e.Fatalf("read session: %v", err)
	}
	v, err := e.Rotate(e.Context(), r)
	must(e, err)
	if !known {
		if v.Changed || v.Revoked || v.Outcome != tokenjar.OutcomeEnded {
			e.Fatalf("verdict on an unknown session: got %+v, want session_ended and nothing changed", v)
		}
		return v
	}
	after := e.read(session{id: r.SessionID})
	equal(e, "row after the verdict", after, v.Session)
	if !v.Changed {
		equal(e, "row after a verdict that changes nothing", after, before)
	}
	if v.Outcome.Successful() && (after.CurrentHash != r.Successor || !after.Live()) {
		e.Fatalf("outcome %s: the row is not that of the successor of the token shown: %+v", v.Outcome, after)
	}
	if want := before.RevokedAt.IsZero() && !after.RevokedAt.IsZero(); v.Revoked != want {
		e.Fatalf("outcome %s: Revoked is %v, want %v", v.Outcome, v.Revoked, want)
	}
	if gain := after.Generation - before.Generation; gain < 0 || gain > 1 ||
		(gain == 1) != (v.Outcome == tokenjar.OutcomeRotated) {
		e.Fatalf("outcome %s moved the generation by %d", v.Outcome, gain)
	}
	if !after.ExpiresAt.Equal(before.ExpiresAt) {
		e.Fatalf("outcome %s moved the absolute end from %v to %v", v.Outcome, before.ExpiresAt, after.ExpiresAt)
	}
	return v
}

// want performs a rotation and checks its outcome.
func (e *env) want(o tokenjar.Outcome, r tokenjar.Rotation) tokenjar.Verdict {
	e.Helper()
	v := e.spend(r)
	if v.Outcome != o {
		e.Fatalf("outcome: got %s, want %s", v.Outcome, o)
	}
	return v
}

type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// wantError checks that err is a sentinel, and that "not there" and "broken" stay distinct.
func wantError(t tb, err, sentinel error) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("error: got %v, want %v", err, sentinel)
	}
	for _, other := range []error{
		tokenjar.ErrNotFound, tokenjar.ErrConflict, tokenjar.ErrStoreUnavailable, tokenjar.ErrInvalidCredentials,
	} {
		if other != sentinel && errors.Is(err, other) {
			t.Fatalf("error %v is %v and %v at once", err, sentinel, other)
		}
	}
}

func equal[V comparable](t tb, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// cancelled returns a context that is done.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
