package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/tokenjar/tokenjar"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		childMain(dir) // see crash_test.go
		return
	}
	goleak.VerifyTestMain(m)
}

var timing = tokenjar.Timing{
	Idle: 24 * time.Hour, RememberIdle: 20 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Grace: 10 * time.Second,
}

// quiet is a configuration whose log goes nowhere.
func quiet() Config { return Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))} }

func dbPath(t testing.TB) string { return filepath.Join(t.TempDir(), "tokenjar.db") }

// openAt opens a store for a test and closes it at its end.
func openAt(t testing.TB, path string, cfg Config, tune tuning) *Store {
	t.Helper()
	s, err := open(context.Background(), path, cfg, tune)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
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
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// raw opens a connection beside the store's, as another program would.
func raw(t testing.TB, path string, queries ...string) *conn {
	t.Helper()
	c, err := dial(context.Background(), dsn(path, time.Second, false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	for _, query := range queries {
		if _, err := c.c.ExecContext(context.Background(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	return c
}

// integrity runs SQLite's own check of the file.
func integrity(t testing.TB, path string) {
	t.Helper()
	c := raw(t, path)
	defer c.close()
	var answer string
	if err := c.c.QueryRowContext(context.Background(), `PRAGMA integrity_check`).Scan(&answer); err != nil || answer != "ok" {
		t.Fatalf("integrity check: got %q and %v, want ok", answer, err)
	}
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	} else if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
