package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/tokenjar/tokenjar"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var timing = tokenjar.Timing{
	Idle: 24 * time.Hour, RememberIdle: 20 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Grace: 10 * time.Second,
}

// quiet is a configuration whose log goes nowhere.
func quiet() Config { return Config{Logger: slog.New(slog.DiscardHandler)} }

// openAt opens a store for a test and closes it at its end.
func openAt(t testing.TB, dsn string, cfg Config, tune tuning) *Store {
	t.Helper()
	s, err := open(context.Background(), dsn, cfg, tune)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func hash(session string, n int64) tokenjar.Hash {
	return sha256.Sum256(fmt.Appendf(nil, "%s/%d", session, n))
}

// show asks to spend token n of a session, as in package storetest.
func show(session string, n int64) tokenjar.Rotation {
	return tokenjar.Rotation{
		SessionID: session, UserID: "user", Presented: hash(session, n), Successor: hash(session, n+1), Timing: timing,
	}
}

func newSession() tokenjar.NewSession {
	id := uuid.Must(uuid.NewV7()).String()
	return tokenjar.NewSession{ID: id, UserID: "user", First: hash(id, 1), Timing: timing, OwnUserStore: true}
}

// login opens a session of "user" and returns its id.
func login(t testing.TB, s *Store) string {
	t.Helper()
	n := newSession()
	if _, _, err := s.CreateSession(context.Background(), n); err != nil {
		t.Fatal(err)
	}
	return n.ID
}

// wantOutcome spends token n of a session.
func wantOutcome(t testing.TB, s *Store, id string, n int64, want tokenjar.Outcome) {
	t.Helper()
	v, err := s.Rotate(context.Background(), show(id, n))
	if err != nil {
		t.Fatal(err)
	}
	if v.Outcome != want {
		t.Fatalf("token %d: got %s, want %s", n, v.Outcome, want)
	}
}

func wantUnavailable(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, tokenjar.ErrStoreUnavailable) {
		t.Fatalf("error: got %v, want %v", err, tokenjar.ErrStoreUnavailable)
	}
}

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}
