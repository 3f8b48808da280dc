package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/store/storetest"
)

// reopenable lets the contract close a store and open its file again.
type reopenable struct {
	*Store
	cfg Config
}

func (s reopenable) Reopen(t testing.TB) storetest.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	again, err := Open(t.Context(), s.path, s.cfg)
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	t.Cleanup(func() { again.Close() })
	return reopenable{again, s.cfg}
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		cfg := Config{Now: now, Readers: 1} // one connection: who holds it and waits for another would never end
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tokenjar.db"), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return reopenable{s, cfg}
	})
}
