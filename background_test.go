package tokenjar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// A store whose revocations cannot be read, or whose trail cannot be written, while everything else works.
type halfStore struct {
	*memory.Store
	noReads, slowWrites atomic.Bool
	reads               atomic.Int64
}

func (s *halfStore) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	s.reads.Add(1)
	if s.noReads.Load() {
		return tokenjar.News{}, fmt.Errorf("read news: %w", tokenjar.ErrStoreUnavailable)
	}
	return s.Store.News(ctx, since)
}

func (s *halfStore) AppendAudit(ctx context.Context, events []tokenjar.AuditEvent) error {
	if s.slowWrites.Load() {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", tokenjar.ErrStoreUnavailable, ctx.Err())
	}
	return s.Store.AppendAudit(ctx, events)
}

func TestAnOutageOfTheBackgroundWorkIsToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &halfStore{Store: memory.New(memory.Config{})}
		w := newWorld(t, func(c *tokenjar.Config) {
			c.Store, c.Now = store, time.Now
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(time.Second)
		store.noReads.Store(true)
		time.Sleep(400 * time.Millisecond) // a moment is nobody's business
		store.noReads.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if log.Len() > 0 && strings.Contains(log.String(), "background") {
			t.Errorf("a short failure is told of:\n%s", &log)
		}
		store.noReads.Store(true)
		time.Sleep(time.Hour)
		store.noReads.Store(false)
		time.Sleep(time.Second)
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for text, want := range map[string]int{"background work fails": 1, "background work succeeds again": 1, "learn of revocations": 2} {
			if n := strings.Count(log.String(), text); n != want {
				t.Errorf("%q stands %d times in the log, want %d:\n%s", text, n, want, &log)
			}
		}
	})
}

func TestAWriteThatHangsDoesNotKeepRevocationsFromBeingLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &halfStore{Store: memory.New(memory.Config{})}
		w := newWorld(t, func(c *tokenjar.Config) { c.Store, c.Now = store, time.Now })
		if err := store.CreateUser(t.Context(), w.user); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		store.slowWrites.Store(true)
		g := w.login(t)
		if err := w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)); err != nil { // an event to write
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the write hangs
		before := store.reads.Load()
		time.Sleep(10 * time.Second)
		if n := store.reads.Load() - before; n < 38 {
			t.Errorf("revocations were asked for %d times in ten seconds, want every 250 ms", n)
		}
		store.slowWrites.Store(false)
		stop()
		<-done
	})
}

// A crowdedStore has so many sessions that pruning has to look several times, though it deletes none.
type crowdedStore struct {
	*memory.Store
	calls atomic.Int64
}

func (s *crowdedStore) PruneSessions(context.Context, time.Duration, int) (int, bool, error) {
	return 0, s.calls.Add(1)%5 != 0, nil
}

func TestPruningGoesOnAfterAPauseWhileThereIsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &crowdedStore{Store: memory.New(memory.Config{})}
		w := newWorld(t, func(c *tokenjar.Config) { c.Store, c.Now = store, time.Now })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		for _, at := range []struct {
			after time.Duration
			calls int64
		}{{time.Minute + time.Millisecond, 1}, {200 * time.Millisecond, 2}, {50 * time.Second, 5}, {20 * time.Second, 10}} {
			time.Sleep(at.after)
			synctest.Wait()
			if n := store.calls.Load(); n != at.calls {
				t.Errorf("%s later the store has been asked %d times, want %d", at.after, n, at.calls)
			}
		}
		stop()
		<-done
	})
}
