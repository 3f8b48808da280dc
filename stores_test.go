package tokenjar_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/internal/storehook"
	"github.com/tokenjar/tokenjar/store/memory"
	"github.com/tokenjar/tokenjar/store/postgres"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// An opener opens an empty store with a clock, which is closed at the end of the test.
type opener = func(t testing.TB, now func() time.Time) storehook.All

// stores are the stores on which what concerns them is tested. Those within the process work by any clock, and so in a
// bubble of synctest; the connections of the other would time out in one.
var stores = []struct {
	name string
	open opener
}{
	{"memory", func(_ testing.TB, now func() time.Time) storehook.All { return memory.New(memory.Config{Now: now}) }},
	{"sqlite", openSQLite},
}

func openSQLite(t testing.TB, now func() time.Time) storehook.All {
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

// openPostgres opens an empty schema. It skips the test where there is no PostgreSQL.
func openPostgres(t testing.TB, now func() time.Time) storehook.All {
	t.Helper()
	dsn := pgtest.With(pgtest.Schema(t), "connect_timeout", "60") // like Timeout: a busy machine is no outage
	s, err := postgres.Open(t.Context(), dsn, postgres.Config{
		Now: now, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
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

// onEveryStore runs a test in a world of its own on each store.
func onEveryStore(t *testing.T, run func(t *testing.T, w *world), change ...func(*tokenjar.Config)) {
	t.Helper()
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) { run(t, newWorldOn(t, s.open, change...)) })
	}
	t.Run("postgresql", func(t *testing.T) { run(t, newWorldOn(t, openPostgres, change...)) })
}

// second returns another service on the store of a world, as another node has it.
func (w *world) second(t testing.TB) *world {
	t.Helper()
	other := *w
	other.restart(t)
	return &other
}

// row returns the row of a session as the store has it.
func (w *world) row(t testing.TB, sessionID string) tokenjar.Session {
	t.Helper()
	row, err := w.store.Session(t.Context(), sessionID)
	if err != nil {
		t.Fatal(err)
	}
	return row
}
