package tokenjar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/token"
)

func TestAServiceGetsTheSameTokenForHalfItsLife(t *testing.T) {
	w := newWorld(t)
	id := w.identity(t, w.login(t))
	orders, billing := w.issuer(t, "orders"), w.issuer(t, "billing")
	first := upstreamToken(t, orders, id)
	if got := upstreamToken(t, billing, id); got == first {
		t.Error("two services get one token")
	}
	w.clock.advance(30*time.Second - 1)
	if upstreamToken(t, orders, id) != first {
		t.Error("a new token in the first half")
	}
	w.clock.advance(1)
	second := upstreamToken(t, orders, id)
	if second == first {
		t.Error("the old token in the second half")
	}
	if exp, _ := w.mustAsService(t, "orders", second).Time("exp"); exp.Sub(w.clock.Now()) != time.Minute {
		t.Errorf("the new one lives for %s", exp.Sub(w.clock.Now()))
	}
}

// A token of another session of the same user is another one.
func TestEachSessionHasItsUpstreamToken(t *testing.T) {
	w := newWorld(t)
	u := w.issuer(t, "orders")
	a, b := w.login(t), w.login(t)
	for range 2 {
		for _, g := range []tokenjar.Grant{a, b} {
			if got := w.mustAsService(t, "orders", upstreamToken(t, u, w.identity(t, g))).String("sid"); got != g.SessionID {
				t.Errorf("got session %s, want %s", got, g.SessionID)
			}
		}
	}
	if n, _ := u.Held(); n != 2 {
		t.Errorf("%d tokens are kept", n)
	}
}

func TestAKeptUpstreamTokenIsNotGivenWhenItIsOvertaken(t *testing.T) {
	t.Run("rotation", func(t *testing.T) {
		w := newWorld(t)
		u, g := w.issuer(t, "orders"), w.login(t)
		first := upstreamToken(t, u, w.identity(t, g))
		next := w.mustRefresh(t, g)
		second := upstreamToken(t, u, w.identity(t, next))
		if second == first {
			t.Error("the token was made from the access token before")
		}
		if n, _ := u.Held(); n != 1 {
			t.Errorf("%d tokens are kept of one session", n)
		}
		if upstreamToken(t, u, w.identity(t, g)) == second { // the tab that has not got its answer yet
			t.Error("the older access token got what was made from the newer one")
		}
	})
	t.Run("role", func(t *testing.T) {
		w := newWorld(t, withRole)
		u, g := w.issuer(t, "orders"), w.login(t)
		id := w.identity(t, g)
		first := upstreamToken(t, u, id)
		if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil {
			t.Fatal(err)
		}
		_, err := u.Token(id)
		wantErr(t, err, tokenjar.ErrTokenExpired)
		second := upstreamToken(t, u, w.identity(t, w.mustRefresh(t, g)))
		if was, is := w.mustAsService(t, "orders", first), w.mustAsService(t, "orders", second); was["staff"] != false || is["staff"] != true {
			t.Errorf("the role has not changed: %v, %v", was, is)
		}
	})
	t.Run("key compromised", func(t *testing.T) {
		w := newWorld(t)
		u, g := w.issuer(t, "orders"), w.login(t)
		first := upstreamToken(t, u, w.identity(t, g))
		if _, err := w.ring(t).Compromise(t.Context(), signedBy(t, first)); err != nil {
			t.Fatal(err)
		}
		w.poll(t)
		if _, err := w.asService(t, "orders", first); err == nil {
			t.Error("a service that has the new keys takes what the compromised one signed")
		}
		second := upstreamToken(t, u, w.identity(t, w.mustRefresh(t, g)))
		if signedBy(t, second) == signedBy(t, first) {
			t.Error("the compromised key signs")
		}
		w.mustAsService(t, "orders", second)
	})
	t.Run("key rotated", func(t *testing.T) {
		w := newWorld(t)
		u, g := w.issuer(t, "orders"), w.login(t)
		id := w.identity(t, g)
		first := upstreamToken(t, u, id)
		if _, err := w.ring(t).Rotate(t.Context(), token.ES384, true); err != nil {
			t.Fatal(err)
		}
		w.poll(t)
		second := upstreamToken(t, u, id)
		if signedBy(t, second) == signedBy(t, first) {
			t.Error("the retired key signs")
		}
		w.mustAsService(t, "orders", first)
		w.mustAsService(t, "orders", second)
	})
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			w := newWorld(t)
			orders, billing, g := w.issuer(t, "orders"), w.issuer(t, "billing"), w.login(t)
			id := w.identity(t, g)
			upstreamToken(t, orders, id)
			if err := ending.end(t.Context(), w, g); err != nil {
				t.Fatal(err)
			}
			if n, _ := orders.Held(); n != 0 {
				t.Error("its token is still kept")
			}
			for _, u := range []*tokenjar.UpstreamIssuer{orders, billing} { // kept before, never made
				_, err := u.Token(id)
				wantErr(t, err, tokenjar.ErrTokenRevoked)
			}
		})
	}
	t.Run("ended on another node", func(t *testing.T) {
		w := newWorld(t)
		u, g := w.issuer(t, "orders"), w.login(t)
		id := w.identity(t, g)
		upstreamToken(t, u, id)
		other := w.second(t)
		if err := other.Logout(t.Context(), other.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
			t.Fatal(err)
		}
		if err := w.PollRevocations(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := u.Token(id)
		wantErr(t, err, tokenjar.ErrTokenRevoked)
	})
}

// Without a look at sessions nothing ends before its time, here as anywhere.
func TestStatelessUpstreamTokensAreAsStatelessAccessTokens(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckStateless })
	u, g := w.issuer(t, "orders"), w.login(t)
	if err := w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	upstreamToken(t, u, w.identity(t, g))
}

func TestAClockThatJumpsGetsNewUpstreamTokens(t *testing.T) { // C-15
	w := newWorld(t)
	u, id := w.issuer(t, "orders"), w.identity(t, w.login(t))
	first := upstreamToken(t, u, id)
	w.clock.advance(-2 * time.Second) // set back: what was made then says it is of the future
	second := upstreamToken(t, u, id)
	if second == first {
		t.Error("a token from before the clock was set back")
	}
	if exp, _ := w.mustAsService(t, "orders", second).Time("exp"); exp.Sub(w.clock.Now()) != time.Minute {
		t.Errorf("it lives for %s", exp.Sub(w.clock.Now()))
	}
	w.clock.advance(2 * time.Minute)
	if third := upstreamToken(t, u, id); third == second || third == first {
		t.Error("a token from before the clock was set forward")
	}
	w.clock.advance(-time.Hour)
	upstreamToken(t, u, id)
	w.clock.advance(time.Hour)
	upstreamToken(t, u, id)
	if n, _ := u.Held(); n != 1 {
		t.Errorf("%d tokens are kept of one session", n)
	}
	w.clock.advance(-time.Hour)
	w.Prune()
	w.clock.advance(30 * time.Second)
	w.Prune()
	if n, _ := u.Held(); n != 0 {
		t.Errorf("half a minute after the clock was set back %d tokens are still kept", n)
	}
}

// The cache never holds more than it may, what was made last stays, and what nobody asks for goes. All sessions of this test
// fall into one of its sixteen parts.
func TestKeptUpstreamTokensAreBounded(t *testing.T) {
	const part = tokenjar.MaxUpstreamHeld / 16
	w := newWorld(t, withClaims(map[string]any{"note": strings.Repeat("x", 2000)}))
	u, id := w.issuer(t, "orders"), w.identity(t, w.login(t))
	session := func(i int) tokenjar.Identity {
		other := id
		other.SessionID = fmt.Sprintf("%06d-same", i) // the cache asks for the name alone
		return other
	}
	most := part/len(upstreamToken(t, u, id)) + 1
	for i := range 2 * most {
		first := upstreamToken(t, u, session(i))
		if again := upstreamToken(t, u, session(i)); again != first {
			t.Fatalf("session %d: not kept at all", i)
		}
		if n, held := u.Held(); held > part+1<<13 || n < min(i, most/4) {
			t.Fatalf("after %d sessions: %d tokens of %d bytes are kept, want at most %d", i, n, held, part)
		}
	}
	for range 2 {
		w.clock.advance(30 * time.Second)
		w.Prune()
	}
	if n, held := u.Held(); n != 0 {
		t.Errorf("a minute later %d tokens are kept, of %d bytes", n, held)
	}
}

// One session whose token is made anew again and again takes the room of one.
func TestASessionTakesTheRoomOfOneUpstreamToken(t *testing.T) {
	w := newWorld(t, withClaims(map[string]any{"note": strings.Repeat("x", 2000)}))
	u, g := w.issuer(t, "orders"), w.login(t)
	ids := []tokenjar.Identity{w.identity(t, g), w.identity(t, w.mustRefresh(t, g))} // two tabs
	for i := range ids {
		ids[i].SessionID = "two tabs, same"
	}
	other := w.identity(t, w.login(t))
	other.SessionID = "other one, same"
	first := upstreamToken(t, u, other)
	for i := range 2 * tokenjar.MaxUpstreamHeld / 16 / len(first) {
		upstreamToken(t, u, ids[i%2])
	}
	if upstreamToken(t, u, other) != first {
		t.Error("another session's token has been forgotten")
	}
}

// Half a minute after one token was made another was: neither is forgotten for the other's sake.
func TestAnUpstreamTokenIsKeptForItsOwnTime(t *testing.T) {
	w := newWorld(t)
	u, id := w.issuer(t, "orders"), w.identity(t, w.login(t))
	early, late := id, id
	early.SessionID, late.SessionID = "early, same", "late, same"
	upstreamToken(t, u, early)
	w.clock.advance(20 * time.Second)
	first := upstreamToken(t, u, late)
	for range 2 {
		w.clock.advance(14 * time.Second)
		upstreamToken(t, u, early)
		w.Prune()
		if upstreamToken(t, u, late) != first {
			t.Error("forgotten in the first half of its life")
		}
	}
}

func TestAKeptUpstreamTokenCostsNoAllocation(t *testing.T) {
	w := newWorld(t)
	u, id := w.issuer(t, "orders"), w.identity(t, w.login(t))
	upstreamToken(t, u, id)
	if n := testing.AllocsPerRun(100, func() { upstreamToken(t, u, id) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
