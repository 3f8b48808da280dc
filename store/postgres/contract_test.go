package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/store/storetest"
)

// reopenable lets the contract close a store and open its schema again.
type reopenable struct {
	*Store
	dsn string
	cfg Config
}

func (s reopenable) Reopen(t testing.TB) storetest.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	return reopenable{openAt(t, s.dsn, s.cfg, tuning{}), s.dsn, s.cfg}
}

// The contract holds whether rotations are made together or each for itself.
func TestContract(t *testing.T) {
	for _, tune := range []tuning{{}, {batch: 1}, {always: true, workers: 2}} {
		t.Run(fmt.Sprintf("batch=%d,always=%v", tune.batch, tune.always), func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
				cfg, dsn := quiet(), pgtest.Schema(t)
				cfg.Now, cfg.Timeout = now, time.Minute
				return reopenable{openAt(t, dsn, cfg, tune), dsn, cfg}
			})
		})
	}
}
