package tokenjar_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/stress"
)

// inBubble runs seeded cases on every store: n in memory, and a tenth of them where each commit goes to disk.
func inBubble(t *testing.T, n int, run func(t *testing.T, w *world, s *schedule, seed uint64, rng *rand.Rand)) {
	t.Helper()
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			n := n
			if store.name != "memory" {
				n = max(n/10, 1)
			}
			synctest.Test(t, func(t *testing.T) {
				var w *world
				var s *schedule
				stress.Seeds(t, n, func(seed uint64, rng *rand.Rand) {
					if (seed-1)%1000 == 0 || w == nil { // what a session leaves in memory stays until its time is over
						w, s = newScheduledWorld(t, store.open)
					}
					run(t, w, s, seed, rng)
				})
			})
		})
	}
}

// newUser adds a user who has ada's password.
func (w *world) newUser(t testing.TB, id string) tokenjar.User {
	t.Helper()
	u := w.user
	u.ID, u.Username, u.Email = id, id, ""
	if err := w.store.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u
}

// isOver reports whether an error says that the session has ended, for whatever reason.
func isOver(err error) bool {
	return errors.Is(err, tokenjar.ErrSessionEnded) || errors.Is(err, tokenjar.ErrSessionReused)
}

// The ways a session is ended by its user.
var endings = []struct {
	name string
	end  func(ctx context.Context, w *world, g tokenjar.Grant) error
}{
	{"logout by access token", func(ctx context.Context, w *world, g tokenjar.Grant) error {
		return w.Logout(ctx, w.SignedSessions([]string{g.AccessToken}, nil))
	}},
	{"logout by refresh token", func(ctx context.Context, w *world, g tokenjar.Grant) error {
		return w.Logout(ctx, w.SignedSessions(nil, []string{g.RefreshToken}))
	}},
	{"logout all", func(ctx context.Context, w *world, g tokenjar.Grant) error {
		_, err := w.LogoutAll(ctx, g.User.ID)
		return err
	}},
	{"ended from the list", func(ctx context.Context, w *world, g tokenjar.Grant) error {
		return w.EndSession(ctx, g.User.ID, g.SessionID)
	}},
	{"user disabled", func(ctx context.Context, w *world, g tokenjar.Grant) error {
		return w.SetUserActive(ctx, g.User.ID, false)
	}},
}

// Refreshes of the newest token and of the one before it, of callers who stay and callers who leave, on this node and on
// another one, notes of what was used and readers, all racing one sign-out. From its answer on, this node answers no
// refresh with tokens, whenever it began, and takes no access token of the session, whenever it was made.
func TestR9AfterLogoutNoRefreshSucceedsInSeededInterleavings(t *testing.T) { // T-11, S-01
	inBubble(t, 1000, func(t *testing.T, w *world, s *schedule, seed uint64, rng *rand.Rand) {
		u := w.newUser(t, fmt.Sprint("user-", seed))
		g, err := w.OpenSession(t.Context(), u, tokenjar.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		parent := g
		for range rng.IntN(3) {
			parent, g = g, w.mustRefresh(t, g)
		}
		other := w.second(t)
		ending := endings[rng.IntN(len(endings))]

		var mu sync.Mutex
		grants := []tokenjar.Grant{parent, g}
		var over atomic.Bool // the sign-out has been answered
		show := func(node *world, token string) func(context.Context) {
			return func(ctx context.Context) {
				got, err := node.Refresh(ctx, tokenjar.RefreshRequest{Token: token})
				switch {
				case err != nil && !isOver(err) && ctx.Err() == nil:
					t.Errorf("a refresh that races a sign-out: %v", err)
				case err == nil && node == w && over.Load():
					t.Error("a refresh was answered with tokens after the sign-out")
				}
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					grants = append(grants, got)
				}
			}
		}
		actors := map[string]func(context.Context){
			"sign-out": func(ctx context.Context) {
				if err := ending.end(ctx, w, g); errors.Is(err, tokenjar.ErrNotFound) {
					return // one of the others has shown a token two generations old: reuse was first
				} else if err != nil {
					t.Errorf("%s: %v", ending.name, err)
				}
				over.Store(true)
				for _, token := range []string{g.RefreshToken, parent.RefreshToken} { // others are still on their way
					if _, err := w.Refresh(ctx, tokenjar.RefreshRequest{Token: token}); !isOver(err) {
						t.Errorf("a refresh after the sign-out: got %v", err)
					}
				}
			},
		}
		for i := range 1 + rng.IntN(3) {
			actors[fmt.Sprint("newest ", i)] = show(w, g.RefreshToken)
		}
		if rng.IntN(2) == 0 {
			actors["parent"] = show(w, parent.RefreshToken)
		}
		if rng.IntN(2) == 0 {
			actors["other node"] = show(other, g.RefreshToken)
		}
		if rng.IntN(2) == 0 {
			leave := make(chan struct{})
			actors["leaver"] = func(ctx context.Context) {
				ctx, cancel := context.WithCancel(ctx)
				go func() { <-leave; cancel() }()
				show(w, g.RefreshToken)(ctx)
			}
			actors["its leaving"] = func(context.Context) { close(leave) }
		}
		if rng.IntN(2) == 0 {
			actors["note"] = func(ctx context.Context) {
				if err := w.FlushSeen(ctx); err != nil {
					t.Error(err)
				}
			}
		}
		if rng.IntN(2) == 0 {
			actors["reader"] = func(ctx context.Context) {
				w.LiveSession(ctx, g.Identity())
				if _, err := w.Authenticate(g.AccessToken); err == nil && over.Load() {
					t.Error("the access token was taken after the sign-out")
				}
			}
		}
		s.run(t, rng, actors)

		if row := w.row(t, g.SessionID); row.RevokedAt.IsZero() {
			t.Errorf("the row is %+v", row)
		}
		learn := []*world{other}
		if !over.Load() {
			learn = append(learn, w) // it was not asked, so it has its second
		}
		for _, node := range learn {
			if err := node.PollRevocations(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, each := range grants {
			for name, node := range map[string]*world{"this node": w, "the other node": other} {
				if _, err := node.Authenticate(each.AccessToken); !errors.Is(err, tokenjar.ErrTokenRevoked) {
					t.Errorf("%s: the access token of generation %d: got %v", name, each.Generation, err)
				}
				if _, err := node.refresh(t, each); !isOver(err) {
					t.Errorf("%s: the refresh token of generation %d: got %v", name, each.Generation, err)
				}
			}
		}
		if t.Failed() {
			t.Logf("%s\n%s", ending.name, s.order())
		}
	})
}

// A hundred sign-ins and one sign-out everywhere: what was there when it was called is over, and so is what it says it
// ended; nothing else is.
func TestALogoutOfAllSessionsRacingAHundredSignIns(t *testing.T) { // S-14
	const signIns = 100
	inBubble(t, 20, func(t *testing.T, w *world, s *schedule, seed uint64, rng *rand.Rand) {
		u := w.newUser(t, fmt.Sprint("user-", seed))
		var mu sync.Mutex
		var before, opened []tokenjar.Grant // answered before the sign-out was called; all
		called := false
		actors := make(map[string]func(context.Context))
		for i := range signIns {
			actors[fmt.Sprintf("sign-in %02d", i)] = func(ctx context.Context) {
				g, err := w.OpenSession(ctx, u, tokenjar.Credentials{})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				opened = append(opened, g)
				if !called {
					before = append(before, g)
				}
			}
		}
		ended, later := 0, rng.IntN(signIns)
		actors["sign-out"] = func(ctx context.Context) {
			for range later { // it comes at any time, not among the first
				s.hold(ctx, "not yet")
			}
			mu.Lock()
			called = true
			mu.Unlock()
			var err error
			if ended, err = w.LogoutAll(ctx, u.ID); err != nil {
				t.Error(err)
			}
		}
		s.run(t, rng, actors)

		list, err := w.store.UserSessions(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		live := make(map[string]bool)
		for _, each := range list {
			live[each.ID] = true
		}
		if len(opened) != signIns || len(live)+ended != signIns {
			t.Errorf("%d sessions were opened, %d ended, %d are live", len(opened), ended, len(live))
		}
		for _, g := range before {
			if live[g.SessionID] {
				t.Errorf("a session older than the sign-out is live")
			}
		}
		for _, g := range opened {
			if _, err := w.Authenticate(g.AccessToken); (err == nil) != live[g.SessionID] {
				t.Errorf("its access token: %v, but that the session is live is %v", err, live[g.SessionID])
			}
		}
		if g := opened[rng.IntN(signIns)]; live[g.SessionID] {
			w.mustRefresh(t, g)
		} else if _, err := w.refresh(t, g); !errors.Is(err, tokenjar.ErrSessionEnded) {
			t.Errorf("refresh of a session that ended: %v", err)
		}
		if t.Failed() {
			t.Log(s.order())
		}
	})
}

// Sign-ins whose password was right when it was checked, racing its change: none survives. The session that changed it
// goes on, and so does its refresh in flight.
func TestASignInRacingAPasswordChangeInSeededInterleavings(t *testing.T) { // S-14, S-03
	inBubble(t, 10, func(t *testing.T, w *world, s *schedule, seed uint64, rng *rand.Rand) {
		u := w.newUser(t, fmt.Sprint("user-", seed))
		mine, err := w.OpenSession(t.Context(), u, tokenjar.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var opened []tokenjar.Grant
		actors := map[string]func(context.Context){
			"change": func(ctx context.Context) {
				if err := w.ChangePassword(ctx, tokenjar.PasswordChangeRequest{
					Identity: mine.Identity(), Old: testPassword, New: newPassword,
				}); err != nil {
					t.Errorf("change: %v", err)
				}
			},
			"refresh of the same session": func(ctx context.Context) {
				if _, err := w.Refresh(ctx, tokenjar.RefreshRequest{Token: mine.RefreshToken}); err != nil {
					t.Errorf("refresh beside the change: %v", err)
				}
			},
		}
		for i := range 8 {
			actors[fmt.Sprint("sign-in ", i)] = func(ctx context.Context) {
				// What Login does, without the hash: the user as read now has the right password.
				now, err := w.User(ctx, u.ID)
				if err != nil {
					t.Error(err)
					return
				}
				if now.PasswordHash != u.PasswordHash {
					return // the password is wrong by now
				}
				g, err := w.OpenSession(ctx, now, tokenjar.Credentials{})
				if err != nil && !errors.Is(err, tokenjar.ErrInvalidCredentials) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					opened = append(opened, g)
				}
			}
		}
		s.run(t, rng, actors)
		for _, g := range opened {
			if _, err := w.Authenticate(g.AccessToken); !errors.Is(err, tokenjar.ErrTokenRevoked) {
				t.Errorf("a sign-in with the old password survived: %v", err)
			}
			if _, err := w.refresh(t, g); !errors.Is(err, tokenjar.ErrSessionEnded) {
				t.Errorf("a sign-in with the old password can be refreshed: %v", err)
			}
		}
		list, err := w.Sessions(t.Context(), u.ID)
		if err != nil || len(list) != 1 || list[0].ID != mine.SessionID {
			t.Errorf("live are %d sessions, %v, want the one that changed the password", len(list), err)
		}
		w.mustRefresh(t, mine)
		if t.Failed() {
			t.Log(s.order())
		}
	})
}

// One seed is one interleaving, or a failure could not be repeated.
func TestAScheduleIsDecidedByItsSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := make([][]string, 2)
		seen := make(map[string]bool)
		for i := range orders {
			w, s := newScheduledWorld(t, stores[0].open)
			for seed := range uint64(50) {
				g := w.login(t)
				act := func(ctx context.Context) { w.Refresh(ctx, tokenjar.RefreshRequest{Token: g.RefreshToken}) }
				s.run(t, rand.New(rand.NewPCG(seed, seed)), map[string]func(context.Context){"a": act, "b": act, "c": act, "d": func(ctx context.Context) {
					w.Logout(ctx, w.SignedSessions([]string{g.AccessToken}, nil))
				}})
				orders[i] = append(orders[i], s.trace...)
				seen[s.order()] = true
				time.Sleep(time.Minute)
			}
		}
		if !slices.Equal(orders[0], orders[1]) {
			t.Error("the same seeds gave other interleavings")
		}
		if len(seen) < 25 {
			t.Errorf("50 seeds gave %d interleavings", len(seen))
		}
	})
}
