package servertest

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/store/postgres"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// OpenPostgres is for [Setup.Store]. It skips the test where there is no PostgreSQL.
func OpenPostgres(t testing.TB, now func() time.Time) Store {
	t.Helper()
	dsn := pgtest.With(pgtest.Schema(t), "connect_timeout", "60") // like Timeout: a busy machine is no outage
	s, err := postgres.Open(t.Context(), dsn, postgres.Config{
		Now: now, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// OpenSQLite is for [Setup.Store]: a file of the test.
func OpenSQLite(t testing.TB, now func() time.Time) Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tokenjar.db"), sqlite.Config{Now: now})
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
