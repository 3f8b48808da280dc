package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// Every call of the store that a request makes fails in its turn, in every way that a call can fail. No answer claims what is
// not in the store, none is a 401, none takes a cookie away; and the same request, sent again, succeeds.

// A failing store lets one call of the requests fail. Work in the background goes on.
type failing struct {
	mu     sync.Mutex
	calls  []string
	nth    int // from 1; 0: none
	around func(ctx context.Context, do func(context.Context) error) error
}

func (f *failing) arm(nth int, around func(context.Context, func(context.Context) error) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.nth, f.around = nil, nth, around
}

func (f *failing) made() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

func (f *failing) hook(ctx context.Context, call string, do func(context.Context) error) error {
	if tokenjar.RequestIDFromContext(ctx) == "" {
		return do(ctx)
	}
	f.mu.Lock()
	f.calls = append(f.calls, call)
	fails := len(f.calls) == f.nth
	f.mu.Unlock()
	if fails {
		return f.around(ctx, do)
	}
	return do(ctx)
}

// A visitor has two sessions of a user of their own.
type visitor struct {
	*servertest.World
	name        string
	mine, other servertest.Pair
}

// A flow is a request, the calls that it makes of the store when all goes well, and how to see in the store what came of it.
type flow struct {
	name   string
	calls  string
	setup  servertest.Setup
	first  func(t *testing.T, v *visitor) // comes before it
	method string
	path   string // {other} is the id of the other session
	body   string
	as     func(v *visitor) change
	status int // when all goes well; 0 is 200
	done   func(t *testing.T, v *visitor) bool
	// again is what the second request may be told instead when the first was done without anybody knowing.
	again int
	// unsure is the answer when the store cannot tell whether the session lives; 0 is 503.
	unsure int
	// goesOn are calls whose failure the answer need not tell of: what was asked for is done.
	goesOn string
}

func bothCookies(v *visitor) change   { return v.mine.As }
func refreshCookie(v *visitor) change { return v.mine.RefreshOnly }
func bearer(v *visitor) change        { return servertest.Bearer(v.mine.Access) }
func nobody(*visitor) change          { return func(*http.Request) {} }

func mineIsOver(t *testing.T, v *visitor) bool  { return !v.mine.Live(t) }
func otherIsOver(t *testing.T, v *visitor) bool { return !v.other.Live(t) }
func bothAreOver(t *testing.T, v *visitor) bool { return !v.mine.Live(t) && !v.other.Live(t) }
func onlyMine(t *testing.T, v *visitor) bool    { return v.mine.Live(t) && !v.other.Live(t) }
func rotatedOnce(t *testing.T, v *visitor) bool { return v.mine.Generation(t) == 2 }

// opened reports whether the user has so many live sessions, or more: of a sign-in whose answer was lost nobody has tokens.
func opened(n int) func(t *testing.T, v *visitor) bool {
	return func(t *testing.T, v *visitor) bool {
		list, err := v.Store.Store.UserSessions(t.Context(), "user-"+v.name)
		return err == nil && len(list) >= n
	}
}

var flows = []flow{
	{name: "login", calls: "FindUser RecordLogin CreateSession", method: "POST", path: "/auth/login", body: `{"username":"{name}","password":"{password}"}`, as: nobody, done: opened(3)},
	{name: "login over a session", calls: "FindUser RecordLogin CreateSession", method: "POST", path: "/auth/login", body: `{"username":"{name}","password":"{password}"}`, as: bothCookies, done: mineIsOver},
	{name: "token", calls: "FindUser RecordLogin CreateSession", method: "POST", path: "/auth/token", body: `{"username":"{name}","password":"{password}"}`, as: nobody, done: opened(3)},
	{name: "refresh", calls: "User Rotate", method: "POST", path: "/auth/token/refresh", as: refreshCookie, done: rotatedOnce},
	{name: "refresh by body", calls: "User Rotate", method: "POST", path: "/auth/token/refresh", body: `{"refresh":"{refresh}"}`, as: nobody, done: rotatedOnce},
	{name: "refresh of a session that has ended", calls: "User Rotate", first: endElsewhere, method: "POST", path: "/auth/token/refresh", as: refreshCookie, status: 401, done: mineIsOver},
	{name: "refresh of a session that has ended, without the CSRF token", calls: "Session", first: endElsewhere, method: "POST", path: "/auth/token/refresh",
		as: func(v *visitor) change { return all(v.mine.RefreshOnly, noCSRF) }, status: 401, unsure: 403, done: mineIsOver},
	{name: "renewal on the way", calls: "User Rotate User", method: "GET", path: "/auth/user", as: refreshCookie, done: rotatedOnce},
	{name: "renewal, then a list", calls: "User Rotate UserSessions", method: "GET", path: "/auth/sessions", as: refreshCookie, done: rotatedOnce},
	{name: "logout", calls: "Session User RevokeSessions", method: "POST", path: "/auth/logout", as: bothCookies, done: mineIsOver},
	{name: "logout with the refresh cookie", calls: "Session User RevokeSessions", method: "POST", path: "/auth/logout", as: refreshCookie, done: mineIsOver},
	{name: "logout by bearer", calls: "Session User RevokeSessions", method: "POST", path: "/auth/logout", as: bearer, done: mineIsOver},
	{name: "logout of all", calls: "Session User RevokeUserSessions News KeyRing RevokeSessions", method: "POST", path: "/auth/logout?all=true", as: bothCookies, done: bothAreOver},
	{name: "blacklist", calls: "Session User RevokeSessions", method: "POST", path: "/auth/token/blacklist", as: refreshCookie, done: mineIsOver},
	{name: "blacklist by body", calls: "RevokeSessions", method: "POST", path: "/auth/token/blacklist", body: `{"refresh":"{refresh}"}`, as: nobody, done: mineIsOver},
	{name: "sessions", calls: "UserSessions", method: "GET", path: "/auth/sessions", as: bothCookies},
	{name: "rename a session", calls: "RenameSession", method: "PATCH", path: "/auth/sessions/{other}", body: `{"name":"phone"}`, as: bothCookies,
		done: func(t *testing.T, v *visitor) bool {
			row, err := v.Store.Store.Session(t.Context(), v.other.SessionID)
			return err == nil && row.Name == "phone"
		}},
	{name: "end a session", calls: "RevokeSessions", method: "DELETE", path: "/auth/sessions/{other}", as: bothCookies, done: otherIsOver, again: 404},
	{name: "end other sessions", calls: "RevokeUserSessions News KeyRing", method: "DELETE", path: "/auth/sessions", as: bothCookies, done: onlyMine},
	{name: "change the password", calls: "Session User SetPassword News KeyRing Session User User Rotate", method: "POST", path: "/auth/password/change",
		body: `{"old_password":"{password}","new_password":"a sound one of my own"}`, as: bothCookies, done: onlyMine, again: 403, goesOn: "News KeyRing Session User Rotate"},
	{name: "session", calls: "User", method: "GET", path: "/auth/session", as: bothCookies},
	{name: "session by refresh cookie", calls: "Session User", method: "GET", path: "/auth/session", as: refreshCookie},
	{name: "verify a refresh token", calls: "Session User", method: "POST", path: "/auth/token/verify", body: `{"token":"{refresh}"}`, as: nobody},
	{name: "verify by refresh cookie", calls: "Session User", method: "POST", path: "/auth/token/verify", as: refreshCookie},
	{name: "csrf", calls: "Session User", method: "GET", path: "/auth/csrf", as: bothCookies},
	{name: "csrf by refresh cookie", calls: "Session User", method: "GET", path: "/auth/csrf", as: refreshCookie},
	{name: "user", calls: "User", method: "GET", path: "/auth/user", as: bothCookies},
	{name: "user by bearer", calls: "User", method: "GET", path: "/auth/user", as: bearer},
	{name: "user where each session is read", calls: "Session User User", method: "GET", path: "/auth/user", as: bothCookies,
		setup: servertest.Setup{Config: func(c *config.Config) { c.Token.SessionCheck = tokenjar.CheckDatabase }}},
	{name: "update the user", calls: "User UpdateProfile", method: "PATCH", path: "/auth/user", body: `{"first_name":"Augusta"}`, as: bothCookies, done: firstName},
	{name: "replace the user", calls: "User UpdateProfile", method: "PUT", path: "/auth/user", body: `{"first_name":"Augusta","last_name":"King"}`, as: bothCookies, done: firstName},
	{name: "readyz", calls: "KeyRing", method: "GET", path: "/readyz", as: nobody},
}

func firstName(t *testing.T, v *visitor) bool {
	u, err := v.Store.Store.User(t.Context(), "user-"+v.name)
	return err == nil && u.FirstName == "Augusta"
}

// endElsewhere ends the session so that this node has not learned of it.
func endElsewhere(t *testing.T, v *visitor) {
	if _, err := v.Store.Store.RevokeSessions(t.Context(), "", []string{v.mine.SessionID}, tokenjar.ReasonEndedByUser); err != nil {
		t.Fatal(err)
	}
}

// fault is a way in which a call fails.
type fault struct {
	name    string
	status  int  // of the answer
	unknown bool // the call is made all the same
	around  func(ctx context.Context, do func(context.Context) error) error
}

var faults = []fault{
	{"refused", 503, false, func(context.Context, func(context.Context) error) error {
		return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}},
	{"done, and not known to be", 503, true, func(ctx context.Context, do func(context.Context) error) error {
		do(context.WithoutCancel(ctx))
		return fmt.Errorf("injected: commit: %w", tokenjar.ErrStoreUnavailable)
	}},
	{"foreign error", 500, false, func(context.Context, func(context.Context) error) error {
		return errors.New("a driver's own error")
	}},
}

func TestF07EveryCallOfTheStoreFailsInItsTurn(t *testing.T) { // F-07, S-09, INV-6
	t.Parallel()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			store := &failing{}
			w := servertest.Start(t, f.setup, servertest.Setup{Between: func(s *servertest.FaultyStore) server.Store {
				return storehook.Wrap(s, store.hook)
			}})
			client := &http.Client{Transport: w.Transport(t)}
			want := max(f.status, 200)

			v := f.visitor(t, w, "whole")
			store.arm(0, nil)
			if a, err := f.send(t, t.Context(), client, v); err != nil || a.Status != want {
				t.Fatalf("without a fault: %d %s, %v", a.Status, a.Body, err)
			}
			if got := store.made(); got != f.calls || f.calls == "" {
				t.Fatalf("the calls of the store are %q, want %q", got, f.calls)
			}
			if f.done != nil && !f.done(t, v) {
				t.Fatal("without a fault it is not done")
			}
			for i, call := range strings.Fields(f.calls) {
				for j, each := range faults {
					v := f.visitor(t, w, fmt.Sprint("u", i, "-", j))
					store.arm(i+1, each.around)
					a, err := f.send(t, t.Context(), client, v)
					if err != nil {
						t.Fatal(err)
					}
					f.check(t, v, a, call, each)
					store.arm(0, nil)
					f.checkAgain(t, v, client, a, want, each.unknown)
					if t.Failed() {
						t.Fatalf("when call %d, %s, fails: %s", i+1, call, each.name)
					}
				}
				v := f.visitor(t, w, fmt.Sprint("u", i, "-left"))
				f.leave(t, v, client, store, i+1)
				f.checkAgain(t, v, client, servertest.Answer{}, want, strings.Contains(f.goesOn, call))
				if t.Failed() {
					t.Fatalf("when call %d, %s, hangs until its caller has left", i+1, call)
				}
			}
		})
	}
}

// visitor makes a user with two sessions.
func (f flow) visitor(t *testing.T, w *servertest.World, name string) *visitor {
	t.Helper()
	ada, err := w.Store.Store.User(t.Context(), "user-"+servertest.Ada)
	if err != nil {
		t.Fatal(err)
	}
	ada.ID, ada.Username, ada.Email = "user-"+name, name, ""
	if err := w.Store.Store.CreateUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	v := &visitor{World: w, name: name, mine: w.SignIn(t, name), other: w.SignIn(t, name)}
	if f.first != nil {
		f.first(t, v)
	}
	return v
}

// send sends the flow's request, and nothing is wrong with an answer yet.
func (f flow) send(t *testing.T, ctx context.Context, client *http.Client, v *visitor) (servertest.Answer, error) {
	t.Helper()
	fill := strings.NewReplacer("{other}", v.other.SessionID, "{refresh}", v.mine.Refresh, "{name}", v.name, "{password}", servertest.Password)
	r := v.Request(t, f.method, fill.Replace(f.path), fill.Replace(f.body), f.as(v)).WithContext(ctx)
	res, err := client.Do(r)
	if err != nil {
		return servertest.Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := servertest.Answer{Status: res.StatusCode, Header: res.Header, Body: body}
	if a.Status != http.StatusInternalServerError { // described once for all operations, whether they renew or not
		v.CheckContract(t, f.method, r.URL.Path, a)
	}
	return a, err
}

// check judges the answer to a request of which one call failed.
func (f flow) check(t *testing.T, v *visitor, a servertest.Answer, call string, how fault) {
	t.Helper()
	if a.Status == max(f.status, 200) && strings.Contains(f.goesOn, call) && f.done(t, v) {
		return
	}
	want := how.status
	if f.unsure != 0 {
		want = f.unsure
	}
	if a.Status != want {
		t.Errorf("got %d %s %s, want %d", a.Status, a.Code(), a.Body, want)
	}
	if a.Status == 503 && (a.Header.Get("Retry-After") == "" || f.path != "/readyz" && a.Code() != "store_unavailable") {
		t.Errorf("503 with Retry-After %q: %s", a.Header.Get("Retry-After"), a.Body)
	}
	for _, c := range a.Cookies() {
		if c.MaxAge < 0 {
			t.Errorf("%d takes the cookie %s away", a.Status, c.Name)
		}
	}
	if !how.unknown && f.status == 0 && v.mine.Live(t) {
		if a := v.Send(t, "GET", "/auth/user", "", servertest.Bearer(v.mine.Access)); a.Status != 200 {
			t.Errorf("the session lives, its access token: %d %s", a.Status, a.Body)
		}
	}
}

// checkAgain sends the same request once more, now that the store works.
func (f flow) checkAgain(t *testing.T, v *visitor, client *http.Client, before servertest.Answer, want int, unknown bool) {
	t.Helper()
	if before.Status == want && (f.done == nil || f.done(t, v)) {
		return
	}
	a, err := f.send(t, t.Context(), client, v)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != want && !(unknown && f.again != 0 && a.Status == f.again) {
		t.Errorf("sent again: %d %s, want %d", a.Status, a.Body, want)
	}
	if f.done != nil && !f.done(t, v) {
		t.Error("sent again, it is not done")
	}
}

// leave sends the request, one call of which hangs, and goes away; then the call fails.
func (f flow) leave(t *testing.T, v *visitor, client *http.Client, store *failing, nth int) {
	t.Helper()
	entered, release := make(chan struct{}), make(chan struct{})
	failed := make(chan struct{})
	store.arm(nth, func(ctx context.Context, _ func(context.Context) error) error {
		close(entered)
		<-release
		defer close(failed)
		return fmt.Errorf("injected: %w: %w", tokenjar.ErrStoreUnavailable, context.Canceled)
	})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := f.send(t, ctx, client, v)
		gone <- err
	}()
	<-entered
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	<-failed
	store.arm(0, nil)
}
