package postgres

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/internal/stress"
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

// nodes are two stores on one schema: what a call does, the next one may have to see on the other node.
type nodes struct {
	reopenable
	other *Store
	calls *atomic.Int64
}

func (n nodes) next() *Store {
	if n.calls.Add(1)%2 == 0 {
		return n.other
	}
	return n.Store
}

func (n nodes) Reopen(t testing.TB) storetest.Store {
	t.Helper()
	again := n.reopenable.Reopen(t).(reopenable)
	return nodes{again, n.other, n.calls}
}

func (n nodes) CreateSession(ctx context.Context, s tokenjar.NewSession) (tokenjar.Session, []string, error) {
	return n.next().CreateSession(ctx, s)
}

func (n nodes) Session(ctx context.Context, id string) (tokenjar.Session, error) {
	return n.next().Session(ctx, id)
}

func (n nodes) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	return n.next().Rotate(ctx, r)
}

func (n nodes) RevokeSessions(ctx context.Context, userID string, ids []string, why tokenjar.Reason) ([]string, error) {
	return n.next().RevokeSessions(ctx, userID, ids, why)
}

func (n nodes) RevokeUserSessions(ctx context.Context, userID, except string, why tokenjar.Reason) ([]string, error) {
	return n.next().RevokeUserSessions(ctx, userID, except, why)
}

func (n nodes) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	return n.next().News(ctx, since)
}

func (n nodes) SetPassword(ctx context.Context, p tokenjar.PasswordChange) ([]string, error) {
	return n.next().SetPassword(ctx, p)
}

func (n nodes) SetUserActive(ctx context.Context, id string, active bool) ([]string, error) {
	return n.next().SetUserActive(ctx, id, active)
}

func (n nodes) DeleteUser(ctx context.Context, id string) ([]string, error) {
	return n.next().DeleteUser(ctx, id)
}

func (n nodes) SaveKeyRing(ctx context.Context, box []byte, version int64) error {
	return n.next().SaveKeyRing(ctx, box, version)
}

func (n nodes) AppendAudit(ctx context.Context, events []tokenjar.AuditEvent) error {
	return n.next().AppendAudit(ctx, events)
}

func TestContract(t *testing.T) {
	for _, mode := range []struct {
		name string
		tune tuning
		two  bool
	}{
		{"as it is, on two nodes", tuning{}, true},
		{"each spend for itself", tuning{batch: 1}, false},
		{"each spend as a batch", tuning{always: true, workers: 2}, false},
	} {
		if stress.Race && !mode.two {
			continue // make test has them without the detector
		}
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
				cfg, dsn := quiet(), pgtest.Schema(t)
				cfg.Now, cfg.Timeout = now, time.Minute
				one := reopenable{openAt(t, dsn, cfg, mode.tune), dsn, cfg}
				if !mode.two {
					return one
				}
				return nodes{one, openAt(t, dsn, cfg, mode.tune), new(atomic.Int64)}
			})
		})
	}
}
