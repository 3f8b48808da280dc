package tokenjar_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// forgetfulStore loses notes of use as often as it is told.
type forgetfulStore struct {
	*memory.Store
	fails atomic.Int64
}

func (s *forgetfulStore) MarkSeen(ctx context.Context, seen []tokenjar.Seen) error {
	if s.fails.Add(-1) >= 0 {
		return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	return s.Store.MarkSeen(ctx, seen)
}

// The store must know of the use before it matters: the grace is over after ten seconds, and the process may be killed.
func TestTheStoreKnowsWithinASecondThatATokenWasUsed(t *testing.T) {
	for name, failures := range map[string]int64{"at once": 0, "when the note was lost, after the next use": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &forgetfulStore{Store: memory.New(memory.Config{})}
				w := newWorld(t, func(c *tokenjar.Config) { c.Store, c.Now = store, time.Now })
				if err := store.CreateUser(t.Context(), w.user); err != nil {
					t.Fatal(err)
				}
				next := w.mustRefresh(t, w.login(t))
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				time.Sleep(time.Second)
				seen := func() bool {
					t.Helper()
					row, err := store.Session(t.Context(), next.SessionID)
					if err != nil {
						t.Fatal(err)
					}
					return row.SuccessorSeen
				}
				if seen() {
					t.Error("used, says the store, before it was")
				}
				store.fails.Store(failures)
				for range failures + 1 {
					if _, err := w.Authenticate(next.AccessToken); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				if !seen() {
					t.Error("a second after its use the store does not know of it")
				}
				stop()
				<-done
			})
		})
	}
}
