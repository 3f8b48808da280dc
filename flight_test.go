package tokenjar_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// slowStore does what a database does whose caller has left while it was asked: nothing.
type slowStore struct {
	*memory.Store
	asked, goes chan struct{}
}

func (s *slowStore) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	s.asked <- struct{}{}
	<-s.goes
	if err := ctx.Err(); err != nil {
		return tokenjar.Verdict{}, fmt.Errorf("rotate: %w: %w", tokenjar.ErrStoreUnavailable, err)
	}
	return s.Store.Rotate(ctx, r)
}

func TestWhoWaitsIsServedAlthoughTheFirstCallerHasLeft(t *testing.T) { // T-05
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{asked: make(chan struct{}, 2), goes: make(chan struct{})}
		w := newWorld(t, func(c *tokenjar.Config) {
			store.Store = c.Store.(*memory.Store)
			c.Store = store
		})
		first := w.login(t)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := w.Refresh(ctx, tokenjar.RefreshRequest{Token: first.RefreshToken})
			left <- err
		}()
		<-store.asked
		var second tokenjar.Grant
		served := make(chan error)
		go func() {
			var err error
			second, err = w.Refresh(context.Background(), tokenjar.RefreshRequest{Token: first.RefreshToken})
			served <- err
		}()
		synctest.Wait() // both wait for one flight
		leave()
		wantErr(t, <-left, tokenjar.ErrStoreUnavailable)
		close(store.goes)
		if err := <-served; err != nil || second.Generation != 2 {
			t.Errorf("generation %d, %v", second.Generation, err)
		}
	})
}
