package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// The rotation contract as a browser sees it, on every store. Of the service it is tested in the root package.

var stores = map[string]servertest.Setup{
	"memory": {},
	"sqlite": {Store: servertest.OpenSQLite}, "postgresql": {Store: servertest.OpenPostgres},
}

func onEveryStore(t *testing.T, run func(t *testing.T, w *servertest.World)) {
	t.Helper()
	for name, setup := range stores {
		t.Run(name, func(t *testing.T) { run(t, servertest.Start(t, setup)) })
	}
}

// spends are the two ways to spend a refresh cookie.
var spends = map[string]func(t *testing.T, w *servertest.World, p servertest.Pair) servertest.Answer{
	"by refresh": func(t *testing.T, w *servertest.World, p servertest.Pair) servertest.Answer {
		return w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
	},
	"on the way": func(t *testing.T, w *servertest.World, p servertest.Pair) servertest.Answer {
		return w.Send(t, "GET", "/auth/user", "", p.RefreshOnly)
	},
}

// spend spends a refresh cookie and returns what the browser then has.
func spend(t *testing.T, w *servertest.World, p servertest.Pair) servertest.Pair {
	t.Helper()
	a := spends["by refresh"](t, w, p)
	if a.Status != 200 {
		t.Fatalf("refresh: %d %s", a.Status, a.Body)
	}
	return after(p, a)
}

func after(p servertest.Pair, a servertest.Answer) servertest.Pair {
	p.Access, p.Refresh, p.CSRF = cookieValue(a, "access_token"), cookieValue(a, "refresh_token"), cookieValue(a, "csrftoken")
	return p
}

// use makes an ordinary request, and waits until the store knows that tokens of this generation are in use.
func use(t *testing.T, w *servertest.World, p servertest.Pair) {
	t.Helper()
	if a := w.Send(t, "GET", "/auth/user", "", p.As); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		row, err := w.Store.Session(t.Context(), p.SessionID)
		if err != nil {
			t.Fatal(err)
		}
		if row.SuccessorSeen {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("that the session is in use is not noted")
		}
	}
}

// wantOver fails the test unless a refresh is told that its session has ended, with a code, and its cookies are cleared.
func wantOver(t *testing.T, w *servertest.World, p servertest.Pair, code string) {
	t.Helper()
	a := spends["by refresh"](t, w, p)
	if a.Status != 401 || a.Code() != code || !a.Clears() || a.JSON(t)["action"] != "login" {
		t.Errorf("got %d %s, cookies %v, want 401 %s and all cleared", a.Status, a.Body, a.Cookies(), code)
	}
}

func TestR1ParallelRequestsAllGetTheSameCookies(t *testing.T) { testR6(t, 20) } // T-02, T-03

func TestR6NoCookieIsClearedForLosingARace(t *testing.T) { testR6(t, 2) } // T-03

func testR6(t *testing.T, n int) {
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		for name, send := range spends {
			t.Run(name, func(t *testing.T) {
				p := w.SignIn(t, servertest.Ada)
				answers := make([]servertest.Answer, n)
				var wg sync.WaitGroup
				for i := range n {
					wg.Go(func() { answers[i] = send(t, w, p) })
				}
				wg.Wait()
				for _, a := range answers {
					if a.Status != 200 || a.Clears() || len(a.Cookies()) != 3 {
						t.Fatalf("got %d %s %v", a.Status, a.Body, a.Cookies())
					}
					if after(p, a) != after(p, answers[0]) {
						t.Error("one was given other tokens")
					}
				}
				if g := p.Generation(t); g != 2 {
					t.Errorf("generation %d", g)
				}
				spend(t, w, after(p, answers[n-1]))
			})
		}
	})
}

func TestR2WhatWasAnsweredIsInTheStore(t *testing.T) { // T-19
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		p := w.SignIn(t, servertest.Ada)
		for generation := int64(2); generation < 6; generation++ {
			p = spend(t, w, p)
			if got := p.Generation(t); got != generation {
				t.Errorf("answered generation %d, the row is of %d", generation, got)
			}
		}
		hold := w.Store.HoldNext() // before the rotation
		answered := make(chan servertest.Answer)
		go func() { answered <- spends["by refresh"](t, w, p) }()
		<-hold.Entered
		select {
		case a := <-answered:
			t.Errorf("answered with %d before it was committed", a.Status)
		default:
		}
		if got := p.Generation(t); got != 5 {
			t.Errorf("the row is of generation %d", got)
		}
		close(hold.Release)
		if a := <-answered; a.Status != 200 || p.Generation(t) != 6 {
			t.Errorf("got %d %s, generation %d", a.Status, a.Body, p.Generation(t))
		}
	})
}

func TestR3AnotherNodeGivesTheSameRefreshCookie(t *testing.T) { // T-05
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		p := w.SignIn(t, servertest.Ada)
		service, _ := embedded(t, w) // a node beside the server
		next := spend(t, w, p)
		again, err := service.Refresh(t.Context(), tokenjar.RefreshRequest{Token: p.Refresh})
		if err != nil || again.RefreshToken != next.Refresh {
			t.Errorf("the other node: %v", err)
		}
	})
}

func TestR4AnOlderCookieEndsTheSessionWithinTheGraceAsWell(t *testing.T) { // T-09
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		p := w.SignIn(t, servertest.Ada)
		newest := spend(t, w, spend(t, w, p))
		wantOver(t, w, p, "session_reused")
		wantOver(t, w, newest, "session_reused")
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(newest.Access))
	})
}

func TestR5ALostAnswerIsGivenAgainUntilItIsUsed(t *testing.T) { // T-01, T-05
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		for name, send := range spends {
			t.Run(name, func(t *testing.T) {
				p := w.SignIn(t, servertest.Ada)
				lost := spend(t, w, p)
				w.Clock.Advance(time.Hour)
				a := send(t, w, p)
				if a.Status != 200 || cookieValue(a, "refresh_token") != lost.Refresh {
					t.Fatalf("late retry: %d %s", a.Status, a.Body)
				}
				use(t, w, after(p, a))
				w.Clock.Advance(time.Minute)
				wantOver(t, w, p, "session_reused")
			})
		}
	})
}

func TestR7ReuseLeavesTheUsersOtherSessionsAlone(t *testing.T) { // T-01
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		p, other := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		use(t, w, spend(t, w, p))
		w.Clock.Advance(11 * time.Second)
		wantOver(t, w, p, "session_reused")
		if a := w.Send(t, "GET", "/auth/user", "", other.As); a.Status != 200 || !other.Live(t) {
			t.Errorf("another session: %d %s", a.Status, a.Body)
		}
	})
}

func TestR8TheGraceIsTheStoresAndNotTheBrowsers(t *testing.T) { // T-18
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		p := w.SignIn(t, servertest.Ada)
		next := spend(t, w, p)
		use(t, w, next)
		w.Clock.Advance(10 * time.Second)
		// Whatever a client says of the time counts for nothing.
		a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly, servertest.Header("Date", "Thu, 01 Jan 1970 00:00:00 GMT"))
		if a.Status != 200 || cookieValue(a, "refresh_token") != next.Refresh {
			t.Fatalf("within the grace: %d %s", a.Status, a.Body)
		}
		w.Clock.Advance(time.Second)
		wantOver(t, w, p, "session_reused")
	})
}

func TestR9LogoutBeatsARefreshInFlight(t *testing.T) { // T-11
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		for name, send := range spends {
			t.Run(name, func(t *testing.T) {
				p := w.SignIn(t, servertest.Ada)
				hold := w.Store.HoldNext()
				answered := make(chan servertest.Answer)
				go func() { answered <- send(t, w, p) }()
				<-hold.Entered
				if a := w.Send(t, "POST", "/auth/token/blacklist", fmt.Sprintf(`{"refresh":%q}`, p.Refresh)); a.Status != 200 {
					t.Fatalf("blacklist: %d %s", a.Status, a.Body)
				}
				close(hold.Release)
				a := <-answered
				sets := slices.ContainsFunc(a.Cookies(), func(c *http.Cookie) bool { return c.MaxAge >= 0 })
				if a.Status != 401 || sets {
					t.Errorf("the refresh in flight: %d %s %v", a.Status, a.Body, a.Cookies())
				}
				wantOver(t, w, p, "session_ended")
				w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(p.Access))
			})
		}
	})
}

func TestR10EachWayToShowACookieTwiceIsLoggedAsItself(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		p := w.SignIn(t, servertest.Ada)
		before := len(w.Log.Events())
		spend(t, w, p)
		spend(t, w, p)
		w.Clock.Advance(time.Minute)
		next := spend(t, w, p)
		spend(t, w, next)
		wantOver(t, w, p, "session_reused")
		got := w.Log.Events()[before:]
		want := []string{"refresh.rotated", "refresh.grace_replay", "refresh.late_retry", "refresh.rotated", "session.revoked"}
		if !slices.Equal(got, want) {
			t.Errorf("the events are %v, want %v", got, want)
		}
	})
}

func TestR11AccessCookiesOfOneMomentDoNotEndAtOneMoment(t *testing.T) {
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	lives := make(map[int]int)
	for range 60 {
		a := spends["by refresh"](t, w, p)
		if a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		for _, c := range a.Cookies() {
			if c.Name == w.AccessName() {
				lives[c.MaxAge]++
			}
		}
		if in := a.JSON(t)["access_expires_in"].(float64); in < 285 || in > 300 {
			t.Errorf("access_expires_in is %v", in)
		}
		p = after(p, a)
	}
	if len(lives) < 5 {
		t.Errorf("60 access cookies live for %v seconds", lives)
	}
}

func TestR12WhileTheStoreIsDownEveryCookieStays(t *testing.T) { // S-09
	onEveryStore(t, func(t *testing.T, w *servertest.World) {
		p := w.SignIn(t, servertest.Ada)
		w.Store.SetDown(true)
		for name, send := range spends {
			a := send(t, w, p)
			if a.Status != 503 || a.Code() != "store_unavailable" || a.Header.Get("Retry-After") == "" || len(a.Cookies()) != 0 {
				t.Errorf("%s: %d %s %v", name, a.Status, a.Body, a.Cookies())
			}
		}
		w.Store.SetDown(false)
		spend(t, w, p)
	})
}
