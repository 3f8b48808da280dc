package postgres

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// A server that dies in a storm of rotations: nothing that was reported is lost, nobody is told anything but that the store
// is unavailable, and once it is back the store is as well.
func TestNothingReportedIsLostWhenTheServerDies(t *testing.T) {
	server := pgtest.StartWith(t, pgtest.Options{Durable: true})
	var log lockedBuffer
	cfg := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := openAt(t, server.DSN(), cfg, tuning{})
	const clients = 24
	ids := make([]string, clients)
	for i := range ids {
		ids[i] = login(t, s)
	}
	for round := range 3 {
		var acknowledged [clients]atomic.Int64
		var before [clients]int64
		for i, id := range ids {
			row, err := s.Session(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			before[i] = row.Generation
			acknowledged[i].Store(row.Generation)
		}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i, id := range ids {
			all.Go(func() {
				for gen := before[i]; ctx.Err() == nil; gen++ {
					v, err := s.Rotate(context.Background(), show(id, gen))
					if err != nil {
						if !errors.Is(err, tokenjar.ErrStoreUnavailable) {
							t.Errorf("got %v, want that the store is unavailable", err)
						}
						return
					}
					if v.Outcome != tokenjar.OutcomeRotated {
						t.Errorf("token %d: got %s", gen, v.Outcome)
						return
					}
					acknowledged[i].Store(gen + 1)
				}
			})
		}
		until(t, "the storm is on", func() bool {
			sum := int64(0)
			for i := range ids {
				sum += acknowledged[i].Load() - before[i]
			}
			return sum > 200
		})
		if round == 1 {
			server.Stop(t)
		} else {
			server.Kill(t)
		}
		stop()
		all.Wait()
		_, err := s.Session(t.Context(), ids[0])
		wantUnavailable(t, err)
		server.Start(t)
		back := time.Now()
		until(t, "the store is back", func() bool { _, err := s.Session(t.Context(), ids[0]); return err == nil })
		if took := time.Since(back); took > 30*time.Second { // at once, on a machine that is not busy
			t.Errorf("it took the store %v to come back", took)
		}
		for i, id := range ids { // and no connection of before is left to fail somebody
			row, err := s.Session(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if got := acknowledged[i].Load(); row.Generation != got && row.Generation != got+1 {
				t.Errorf("session %d: generation %d is stored, %d was reported", i, row.Generation, got)
			}
		}
	}
	for _, want := range []string{"database does not answer", "database answers again"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "\n"); n > 40 {
		t.Errorf("%d lines were logged of three outages", n)
	}
}

func TestErrorsAreJudgedByTheirCode(t *testing.T) {
	for code, want := range map[string]error{
		"23505": tokenjar.ErrConflict, "08006": tokenjar.ErrStoreUnavailable, "25006": tokenjar.ErrStoreUnavailable,
		"40001": tokenjar.ErrStoreUnavailable, "40P01": tokenjar.ErrStoreUnavailable, "53100": tokenjar.ErrStoreUnavailable,
		"53300": tokenjar.ErrStoreUnavailable, "55P03": tokenjar.ErrStoreUnavailable, "57014": tokenjar.ErrStoreUnavailable,
		"57P01": tokenjar.ErrStoreUnavailable, "57P02": tokenjar.ErrStoreUnavailable, "57P03": tokenjar.ErrStoreUnavailable,
		"54000": tokenjar.ErrStoreUnavailable, "58030": tokenjar.ErrStoreUnavailable, "42501": tokenjar.ErrStoreUnavailable, "XX001": tokenjar.ErrStoreUnavailable,
		"22003": nil, "23514": nil, "42601": nil,
	} {
		err := storeError("rotate", &pgconn.PgError{Code: code, Message: "hunter2", Detail: "hunter2", Hint: "hunter2"})
		for _, sentinel := range []error{tokenjar.ErrConflict, tokenjar.ErrStoreUnavailable, tokenjar.ErrNotFound} {
			if errors.Is(err, sentinel) != (sentinel == want) {
				t.Errorf("%s: got %v, want %v", code, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the server's text is repeated: %v", code, err)
		}
	}
}

// lockedBuffer is written by the store while a test may read it.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
