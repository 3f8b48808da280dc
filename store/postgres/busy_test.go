package postgres

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// occupy keeps n connections of a store busy until they are let go, and returns the servers' processes.
func occupy(t *testing.T, s *Store, n int) (pids map[uint32]bool, letGo func()) {
	t.Helper()
	free := make(chan struct{})
	busy := make(chan uint32)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			err := s.do(context.Background(), func(_ context.Context, c *pgxpool.Conn) error {
				busy <- c.Conn().PgConn().PID()
				<-free
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	pids = make(map[uint32]bool)
	for range n {
		pids[<-busy] = true
	}
	return pids, sync.OnceFunc(func() { close(free); all.Wait() })
}

// Who waits in vain for a connection that others use has found nothing broken.
func TestAWaitThatIsTooLongCostsNobodyAConnection(t *testing.T) {
	var log lockedBuffer
	cfg := Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Timeout: 3 * time.Second}
	s := openAt(t, pgtest.With(pgtest.Schema(t), "pool_max_conns", "4"), cfg, tuning{})
	before, letGo := occupy(t, s, 4)
	defer letGo()
	_, err := s.Session(t.Context(), "x")
	wantUnavailable(t, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that it waited too long", err)
	}
	_, err = s.Rotate(t.Context(), show("x", 1)) // by a worker
	wantUnavailable(t, err)
	letGo()
	after, letGo := occupy(t, s, 4)
	letGo()
	for pid := range before {
		if !after[pid] {
			t.Errorf("the connection of process %d was given up", pid)
		}
	}
	if strings.Contains(log.String(), "does not answer") {
		t.Errorf("an outage was logged:\n%s", log.String())
	}
}

// However much else waits, a node hears which sessions have ended and which keys there are.
func TestWhatNodesAskForDoesNotWaitForTheOthers(t *testing.T) {
	cfg := quiet()
	cfg.Queue, cfg.Timeout = 4, time.Minute
	s := openAt(t, pgtest.With(pgtest.Schema(t), "pool_max_conns", "4"), cfg, tuning{})
	if err := s.SaveKeyRing(t.Context(), []byte("box"), 0); err != nil {
		t.Fatal(err)
	}
	id := login(t, s)
	if _, err := s.RevokeSessions(t.Context(), "", []string{id}, tokenjar.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	_, letGo := occupy(t, s, 4)
	defer letGo()
	if _, err := s.Session(t.Context(), id); !errors.Is(err, errQueueFull) {
		t.Fatalf("got %v, want %v", err, errQueueFull)
	}
	news, err := s.News(t.Context(), time.Now().Add(-time.Hour))
	if err != nil || len(news.Revocations) != 1 {
		t.Errorf("news: got %+v and %v, want the session", news, err)
	}
	box, version, err := s.KeyRing(t.Context())
	if err != nil || string(box) != "box" || version != 1 {
		t.Errorf("key ring: got %q, %d and %v", box, version, err)
	}
}
