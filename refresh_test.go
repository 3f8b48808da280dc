package tokenjar_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// What could go wrong around a refresh: hosts that panic, tokens that are short-lived, claims that do not fit, clocks
// that step back, answers that come late.

func TestAPanicInTheClaimsHookIsAnErrorOfThatRequestAlone(t *testing.T) {
	panics := false
	w := newWorld(t, func(c *tokenjar.Config) {
		c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) {
			if panics {
				panic("a fault of the program")
			}
			return nil, nil
		}
	})
	g := w.login(t)
	panics = true
	if _, err := w.refresh(t, g); err == nil || errors.Is(err, tokenjar.ErrSessionEnded) {
		t.Fatalf("got %v", err)
	}
	panics = false
	w.mustRefresh(t, g)
}

func TestAnAnswerIsNotKeptLongerThanItsAccessToken(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.AccessLifetime = 5 * time.Second })
	first := w.login(t)
	next := w.mustRefresh(t, first)
	w.clock.advance(6 * time.Second)
	again, err := w.refresh(t, first)
	if err != nil {
		t.Fatal(err)
	}
	sameTokens(t, next, again)
	if _, err := w.Authenticate(again.AccessToken); err != nil {
		t.Errorf("the access token given again is dead: %v", err)
	}
}

func TestClaimsThatCannotBeIssuedSpendNoToken(t *testing.T) { // CK-09
	for name, claims := range map[string]map[string]any{
		"too many for a cookie":      {"roles": strings.Repeat("x", 3500)},
		"too many for any token":     {"roles": strings.Repeat("x", 9000)},
		"text that no reader takes":  {"name": "a\x00b"},
		"text that is not UTF-8":     {"name": "a\xff"},
		"a value that JSON has none": {"f": func() {}},
	} {
		t.Run(name, func(t *testing.T) {
			var now map[string]any
			w := newWorld(t, func(c *tokenjar.Config) {
				c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) { return now, nil }
			})
			g := w.login(t)
			now = claims
			for range 3 {
				if _, err := w.refresh(t, g); err == nil {
					t.Fatal("the token was issued")
				}
				w.clock.advance(time.Minute)
			}
			if _, err := w.OpenSession(t.Context(), w.user, tokenjar.Credentials{}); err == nil {
				t.Error("a session was opened")
			}
			if list, err := w.Sessions(t.Context(), w.user.ID); err != nil || len(list) != 1 || list[0].Generation != 1 {
				t.Errorf("got %+v, %v: something was spent or opened", list, err)
			}
			now = nil
			w.mustRefresh(t, g)
		})
	}
}

func TestAnExpiredTokenStaysDeadWhenTheClockStepsBack(t *testing.T) { // C-15
	w := newWorld(t)
	g := w.login(t)
	w.clock.advance(25 * time.Hour)
	_, err := w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrTokenExpired)
	w.clock.advance(-2 * time.Hour)
	_, err = w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}

func TestALogoutOfASessionThatIsOverIsFinal(t *testing.T) { // C-15
	w := newWorld(t)
	g := w.login(t)
	w.clock.advance(24*time.Hour + time.Minute)
	if err := w.Logout(t.Context(), w.SignedSessions(nil, []string{g.RefreshToken})); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(-10 * time.Minute)
	w.restart(t)
	_, err := w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}

func TestRevocationsAreLearnedAlthoughTheClockSteppedBack(t *testing.T) {
	w := newWorld(t)
	other, err := tokenjar.New(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := w.login(t)
	w.clock.advance(-5 * time.Minute)
	if err := w.Logout(t.Context(), w.SignedSessions(nil, []string{g.RefreshToken})); err != nil {
		t.Fatal(err)
	}
	if err := other.PollRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Ended(g.SessionID); err == nil {
		t.Error("the other process takes the session for live")
	}
}

func TestAGrantIsOvertakenOnceItsSessionHasMovedOn(t *testing.T) { // R9
	w := newWorld(t)
	first := w.mustRefresh(t, w.login(t))
	if w.Overtaken(t.Context(), first) {
		t.Error("the newest grant is overtaken")
	}
	second := w.mustRefresh(t, first)
	if !w.Overtaken(t.Context(), first) || w.Overtaken(t.Context(), second) {
		t.Errorf("after a rotation: first %v, second %v", w.Overtaken(t.Context(), first), w.Overtaken(t.Context(), second))
	}
	if err := w.Logout(t.Context(), w.SignedSessions(nil, []string{second.RefreshToken})); err != nil {
		t.Fatal(err)
	}
	if !w.Overtaken(t.Context(), second) {
		t.Error("after logout the grant is not overtaken")
	}
}

func TestManyRotationsOfOneSessionKeepOneAnswer(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range 2000 {
		g = w.mustRefresh(t, g)
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("2,000 rotations keep %d KiB", (after-before)>>10)
	}
	runtime.KeepAlive(g)
}

func TestARenewedRequestHasTheClaimsOfItsNewToken(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) {
		c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) {
			return map[string]any{"role": "admin", "level": 3}, nil
		}
	})
	g := w.mustRefresh(t, w.login(t))
	verified, err := w.Authenticate(g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	granted := g.Identity()
	if len(verified.Claims()) < 14 || len(granted.Claims()) != len(verified.Claims()) {
		t.Fatalf("got %v and %v", granted.Claims(), verified.Claims())
	}
	for name, want := range verified.Claims() {
		if got := granted.Claims()[name]; got != want {
			t.Errorf("%s: got %v (%T), want %v (%T)", name, got, got, want, want)
		}
	}
	if granted.UserID != verified.UserID || granted.SessionID != verified.SessionID || granted.Generation != verified.Generation ||
		!granted.AuthTime.Equal(verified.AuthTime) || !granted.ExpiresAt.Equal(verified.ExpiresAt) {
		t.Errorf("got %+v, want %+v", granted, verified)
	}
}
