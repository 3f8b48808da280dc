package tokenjar_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// What claims are built from changes while tokens live.

func withRole(c *tokenjar.Config) {
	c.Claims = func(_ context.Context, u tokenjar.User) (map[string]any, error) {
		return map[string]any{"staff": u.Staff}, nil
	}
}

func (w *world) staff(t *testing.T, raw string) bool {
	t.Helper()
	id, err := w.Authenticate(raw)
	if err != nil {
		t.Fatal(err)
	}
	staff, ok := id.Claims()["staff"].(bool)
	if !ok {
		t.Fatalf("no role in %v", id.Claims())
	}
	return staff
}

func TestS06AChangeOfRolesIsInTheNextTokenAndEndsNoSession(t *testing.T) {
	var told events
	w := newWorld(t, withRole, told.on)
	g := w.login(t)
	if w.staff(t, g.AccessToken) || w.staff(t, g.AccessToken) { // the second time from the cache
		t.Fatal("staff from the beginning")
	}
	if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := w.Authenticate(g.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenExpired) // not revoked: the client renews
		if _, ok := w.Recognize(g.AccessToken, ""); ok {
			t.Fatal("recognized")
		}
	}
	next := w.mustRefresh(t, g)
	if !w.staff(t, next.AccessToken) {
		t.Fatal("the next token has the old role")
	}
	if got := next.Identity().Claims()["cgen"]; got == nil {
		t.Error("the token does not say of which generation its claims are")
	}
	told.want(t, "user.roles_changed", 1)
	if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil {
		t.Fatal(err)
	}
	if !w.staff(t, next.AccessToken) {
		t.Fatal("a change that changes nothing outdates tokens")
	}
	told.want(t, "user.roles_changed", 1)
	wantErr(t, w.SetUserRoles(t.Context(), "nobody", tokenjar.Roles{}), tokenjar.ErrNotFound)
}

func TestS06AnotherNodeLearnsOfAChangeOfRoles(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		w := newWorld(t, withRole)
		g := w.login(t)
		here := w.Service
		w.restart(t)
		if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Superuser: true}); err != nil {
			t.Fatal(err)
		}
		w.Service = here
		if restarted {
			w.restart(t)
		} else if err := w.PollRevocations(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := w.Authenticate(g.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenExpired)
		w.mustRefresh(t, g)
	}
}

func TestS06AChangeOfClaimsOfOwnUsers(t *testing.T) {
	w := newWorld(t)
	g, other := w.login(t), w.login(t)
	for _, bad := range []int64{0, -1} {
		if err := w.ClaimsChanged(t.Context(), w.user.ID, bad); err == nil {
			t.Errorf("generation %d is taken", bad)
		}
	}
	if err := w.ClaimsChanged(t.Context(), "somebody else", 3); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Authenticate(other.AccessToken); err != nil {
		t.Fatalf("another user's change: %v", err)
	}
	if err := w.ClaimsChanged(t.Context(), w.user.ID, 3); err != nil {
		t.Fatal(err)
	}
	_, err := w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenExpired)
}

// It is forgotten no sooner than the last token that it outdates is dead.
func TestS06AChangeOfClaimsIsKeptAsLongAsItIsNeeded(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.AccessLifetime = 10 * time.Minute })
	g := w.login(t)
	if err := w.ClaimsChanged(t.Context(), w.user.ID, 1); err != nil {
		t.Fatal(err)
	}
	for range 9 {
		w.clock.advance(time.Minute)
		w.Prune()
		if _, _, err := w.store.PruneSessions(t.Context(), 10*time.Minute, 100); err != nil {
			t.Fatal(err)
		}
		_, err := w.Authenticate(g.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenExpired)
	}
	if w.ClaimsRaised() != 1 {
		t.Fatal("forgotten already")
	}
	w.clock.advance(time.Hour)
	w.Prune()
	if n := w.ClaimsRaised(); n != 0 {
		t.Errorf("%d are still kept", n)
	}
}

func TestS06ATokenWhoseGenerationIsNoNumberIsInvalid(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	claims := g.Identity().Claims()
	claims["cgen"] = "1"
	raw, err := w.SignAccess(claims)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Authenticate(raw)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	claims["cgen"] = 1
	if raw, err = w.SignAccess(claims); err != nil {
		t.Fatal(err)
	}
	if _, err = w.Authenticate(raw); err != nil {
		t.Fatal(err)
	}
}

func TestS06TheRowDecidesWhereItIsRead(t *testing.T) {
	for _, check := range []tokenjar.SessionCheck{tokenjar.CheckDatabase, tokenjar.CheckCached, tokenjar.CheckStateless} {
		w := newWorld(t, func(c *tokenjar.Config) { c.SessionCheck = check })
		g := w.login(t)
		id, err := w.Authenticate(g.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		here := w.Service
		w.restart(t)
		if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil {
			t.Fatal(err)
		}
		w.Service = here // which has not learned of it
		wantErr(t, w.CheckSessionBy(t.Context(), id, tokenjar.CheckDatabase), tokenjar.ErrTokenExpired)
		run(t, w.Service)
		if err := w.PollRevocations(t.Context()); err != nil {
			t.Fatal(err)
		}
		if check == tokenjar.CheckStateless {
			if _, err := w.Authenticate(g.AccessToken); err != nil {
				t.Errorf("stateless: %v", err)
			}
			wantErr(t, w.CheckSessionBy(t.Context(), id, tokenjar.CheckCached), tokenjar.ErrTokenExpired)
			continue
		}
		_, err = w.Authenticate(g.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenExpired)
	}
}

func TestS02AStricterCheckFindsWhatAWeakerOneDoesNot(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckStateless })
	g := w.login(t)
	id := g.Identity()
	run(t, w.Service)
	if err := w.Logout(t.Context(), []tokenjar.SignedSession{{SessionID: g.SessionID, UserID: w.user.ID}}); err != nil {
		t.Fatal(err)
	}
	if err := w.CheckSession(t.Context(), id); err != nil {
		t.Errorf("stateless: %v", err)
	}
	for _, check := range []tokenjar.SessionCheck{tokenjar.CheckCached, tokenjar.CheckDatabase} {
		wantErr(t, w.CheckSessionBy(t.Context(), id, check), tokenjar.ErrTokenRevoked)
	}
}

func TestS06AnAnswerThatIsKeptIsNotGivenWithOlderClaims(t *testing.T) { // T-23
	for _, several := range []bool{false, true} {
		w := newWorld(t, withRole, func(c *tokenjar.Config) {
			if several {
				watched(c)
			}
		})
		first := w.login(t)
		next := w.mustRefresh(t, first)
		if w.staff(t, next.AccessToken) {
			t.Fatal("staff from the beginning")
		}
		if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			again, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: first.RefreshToken, Renewal: true})
			if err != nil {
				t.Fatal(err)
			}
			sameTokens(t, next, again)
			if !w.staff(t, again.AccessToken) {
				t.Fatal("the answer has the old role")
			}
		}
		w.mustRefresh(t, next)
	}
}

func TestS06ARefreshThatReadTheUserBeforeTheChangeGivesNoOlderClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store *heldStore
		w := newWorld(t, withRole, func(c *tokenjar.Config) {
			store = &heldStore{c.Store.(*memory.Store), make(chan struct{})}
			c.Store = store
		})
		first := w.login(t)
		answers := make(chan tokenjar.Grant, 1)
		go func() {
			g, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: first.RefreshToken})
			if err != nil {
				t.Error(err)
			}
			answers <- g
		}()
		synctest.Wait() // the user has been read, and the rotation is held
		if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil {
			t.Fatal(err)
		}
		close(store.letGo)
		if !w.staff(t, (<-answers).AccessToken) {
			t.Error("the answer has the old role")
		}
	})
}
