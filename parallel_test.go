package tokenjar_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
)

func TestAThousandParallelUsersAreNeverMixedUp(t *testing.T) {
	w := newWorld(t)
	const users = 100
	grants := make([]tokenjar.Grant, users)
	for i := range users {
		u := w.user
		u.ID, u.Username, u.Email = fmt.Sprintf("user-%d", i), fmt.Sprintf("user%d", i), ""
		if err := w.store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		g, err := w.OpenSession(t.Context(), u, tokenjar.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		grants[i] = g
	}
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() {
			g := grants[n%users]
			id, err := w.Authenticate(g.AccessToken)
			if err != nil || id.UserID != g.User.ID || id.SessionID != g.SessionID {
				t.Errorf("the token of %s is %s's: %v", g.User.ID, id.UserID, err)
			}
			next, err := w.refresh(t, g)
			if err != nil || next.User.ID != g.User.ID {
				t.Errorf("the refresh of %s gave a token of %s: %v", g.User.ID, next.User.ID, err)
			}
		})
	}
	wg.Wait()
}
