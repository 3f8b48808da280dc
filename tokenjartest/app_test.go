package tokenjartest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

func newApp(t testing.TB, cfg tokenjartest.Config) *tokenjartest.App {
	t.Helper()
	app := tokenjartest.New(t, cfg)
	app.Serve(routes(app.Guard))
	return app
}

func TestAHandlerBehindTheGuardSeesTheUser(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada, phone := app.SignIn("ada"), app.Bearer("ada")
	for _, tt := range []struct {
		name   string
		client *tokenjartest.Client
		path   string
		status int
		body   string
	}{
		{"Required lets a browser in", ada, "/me", 200, ada.User.ID},
		{"Required lets a bearer in", phone, "/me", 200, ada.User.ID},
		{"Required refuses nobody", app.Anonymous(), "/me", 401, ""},
		{"Optional knows a browser", ada, "/", 200, ada.User.ID},
		{"Optional knows a bearer", phone, "/", 200, ada.User.ID},
		{"Optional lets nobody in", app.Anonymous(), "/", 200, "nobody"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.client.With(t).Get(tt.path).Want(tt.status)
			if tt.body != "" && got.Text() != tt.body {
				t.Errorf("got %q, want %q", got.Text(), tt.body)
			}
		})
	}
	if code := app.Anonymous().Get("/me").Code(); code != "not_authenticated" {
		t.Errorf("got the code %q", code)
	}
}

func TestAnAccessTokenThatRunsOutIsRenewedOnTheWay(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada, phone := app.SignIn("ada"), app.Bearer("ada")
	before := ada.AccessToken()
	app.Clock.Advance(5 * time.Minute)
	if ada.AccessToken() != "" {
		t.Error("the browser still has its access cookie")
	}
	got := ada.Get("/me").Want(200)
	if got.Text() != ada.User.ID || len(got.Cookies()) != 3 {
		t.Errorf("got %q and %d cookies, want the user and the three of a renewal", got.Text(), len(got.Cookies()))
	}
	if after := ada.AccessToken(); after == "" || after == before {
		t.Errorf("the access token is %q, and was %q", after, before)
	}
	if got := ada.Get("/me").Want(200); len(got.Cookies()) != 0 {
		t.Error("renewed again although nothing has run out")
	}
	if got := phone.Get("/me").Want(401); got.Code() != "token_expired" {
		t.Errorf("a bearer whose token has run out: got %s", got.Code())
	}
	phone.Refresh()
	phone.Get("/me").Want(200)

	app.Clock.Advance(24 * time.Hour)
	ada.Get("/me").Want(401)
}

func TestAMovedClockRefusesNobodyRightAfterTheStart(t *testing.T) {
	t.Parallel()
	for range 4 {
		app := newApp(t, tokenjartest.Config{})
		app.Clock.Advance(time.Minute) // more than a service goes without news, if it does not run
		if err := app.Service.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	app := newApp(t, tokenjartest.Config{})
	ada := app.SignIn("ada")
	app.Clock.Advance(time.Minute)
	ada.Get("/me").Want(200)
	app.Clock.Advance(-time.Minute)
	ada.Get("/me").Want(200)
}

func TestOneClockMovesEverything(t *testing.T) {
	t.Parallel()
	clock := tokenjartest.NewClock(time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC))
	app := newApp(t, tokenjartest.Config{Clock: clock, Service: func(c *tokenjar.Config) { c.AccessLifetime = 10 * time.Second }})
	ada := app.SignIn("ada")
	if app.Clock != clock {
		t.Error("the app has another clock")
	}
	id := ada.Identity()
	if want := clock.Now().Add(10 * time.Second); id.ExpiresAt != want || id.AuthTime != clock.Now() {
		t.Errorf("service: the token ends at %s, want %s", id.ExpiresAt, want)
	}
	live, err := app.Service.LiveSession(t.Context(), id)
	if err != nil || live.CreatedAt != clock.Now() {
		t.Errorf("store: the session began at %s, want %s: %v", live.CreatedAt, clock.Now(), err)
	}
	if now := app.Guard.Now(); now != clock.Now() {
		t.Errorf("guard: it is %s, want %s", now, clock.Now())
	}
	if age := maxAge(ada, "__Host-access_token"); age != 10 {
		t.Errorf("cookie: Max-Age is %d, want 10", age)
	}
	clock.Advance(4 * time.Second)
	if age := maxAge(ada, "__Host-access_token"); age != 6 {
		t.Errorf("cookie: Max-Age is %d after 4 seconds, want 6", age)
	}
	clock.Advance(6 * time.Second)
	if age := maxAge(ada, "__Host-access_token"); age != -1 {
		t.Errorf("cookie: it is still there, with Max-Age %d", age)
	}
}

// maxAge is what is left of a cookie's life, -1 if it is not there.
func maxAge(c *tokenjartest.Client, name string) int {
	for _, each := range c.Cookies() {
		if each.Name == name {
			return each.MaxAge
		}
	}
	return -1
}

func TestTheServerDatesCookiesByTheClock(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{Service: func(c *tokenjar.Config) { c.AccessLifetime = 10 * time.Second }})
	ada := app.SignIn("ada")
	set := map[string]*http.Cookie{}
	for _, c := range ada.Refresh().Cookies() {
		set[c.Name] = c
	}
	if got := set["__Host-access_token"]; got == nil || got.MaxAge != 10 || !got.HttpOnly || !got.Secure {
		t.Errorf("got %v", got)
	}
	remembered := app.Anonymous()
	remembered.Post("/auth/login", map[string]any{
		"username": "ada", "password": tokenjartest.Password, "remember": true,
	}).Want(200)
	month := int((30 * 24 * time.Hour).Seconds())
	if got := maxAge(remembered, "__Host-refresh_token"); got != month {
		t.Errorf("a remembered session's cookie has %d seconds, want %d", got, month)
	}
	app.Clock.Advance(29 * 24 * time.Hour)
	remembered.Get("/me").Want(200)
	app.Clock.Advance(2 * 24 * time.Hour)
	if got := len(remembered.Cookies()); got != 0 {
		t.Errorf("after more than a month there are %d cookies", got)
	}
	remembered.Get("/me").Want(401)
}

func TestTheConfiguration(t *testing.T) {
	t.Parallel()
	t.Run("http has bare cookie names", func(t *testing.T) {
		app := newApp(t, tokenjartest.Config{InsecureHTTP: true})
		ada := app.SignIn("ada")
		if !strings.HasPrefix(app.URL, "http://127.0.0.1:") || maxAge(ada, "csrftoken") != 0 {
			t.Errorf("%s has %v", app.URL, ada.Cookies())
		}
		ada.Post("/me", nil).Want(200)
		app.Clock.Advance(5 * time.Minute)
		ada.Post("/me", nil).Want(200)
	})
	t.Run("an address that is the same in every run", func(t *testing.T) {
		for _, url := range []string{"https://example.com", "https://app.example.com"} {
			app := newApp(t, tokenjartest.Config{URL: url})
			ada := app.SignIn("ada")
			ada.Post("/me", nil).Want(200)
			if iss := ada.Identity().Claims().String("iss"); app.URL != url || iss != url {
				t.Errorf("got %s, issuer %s", app.URL, iss)
			}
		}
	})
	t.Run("an address whose certificate the server has not", func(t *testing.T) {
		for _, url := range []string{
			"https://app.example.org", "http://example.com", "https://example.com:8443", "https://example.com/", "https://", ":",
			"https://u@example.com", "https://evil.com/.example.com",
		} {
			wantFailure(t, func(t testing.TB) { tokenjartest.New(t, tokenjartest.Config{URL: url}) }, "Config.URL", "example.com")
		}
		wantFailure(t, func(t testing.TB) {
			tokenjartest.New(t, tokenjartest.Config{URL: "https://example.com", InsecureHTTP: true})
		}, "InsecureHTTP")
	})
	t.Run("service, guard and API can be changed", func(t *testing.T) {
		app := newApp(t, tokenjartest.Config{
			Service: func(c *tokenjar.Config) {
				c.Algorithm = token.EdDSA
				c.Claims = func(_ context.Context, u tokenjar.User) (map[string]any, error) {
					return map[string]any{"staff": u.Staff}, nil
				}
			},
			Guard: func(c *session.Config) {
				c.NoRenewal = true
				policy, err := cookie.New(cookie.Config{PublicURL: c.PublicURL, Access: "a", Refresh: "r", CSRF: "xsrf"})
				if err != nil {
					t.Fatal(err)
				}
				c.Cookies = policy
			},
			API: func(c *httpapi.Config) { c.Path = "/accounts" },
		})
		app.User("grace", func(u *tokenjar.User) { u.Staff = true })
		grace := app.SignIn("grace")
		if staff := grace.Identity().Claims()["staff"]; staff != true {
			t.Errorf("the claim is %v", staff)
		}
		grace.Post("/me", nil).Want(200)
		app.Clock.Advance(5 * time.Minute)
		grace.Get("/me").Want(401)
		grace.Refresh()
		grace.Get("/me").Want(200)
		grace.SignOut()
		grace.Get("/me").Want(401)
		if got := app.Anonymous().Get("/auth/session").Want(200).Text(); got != "nobody" {
			t.Errorf("/auth is the program's own now, but answered %q", got)
		}
	})
	t.Run("a mistake fails the test and says where it is", func(t *testing.T) {
		wantFailure(t, func(t testing.TB) {
			tokenjartest.New(t, tokenjartest.Config{Service: func(c *tokenjar.Config) { c.Grace = time.Hour }})
		}, "Config.Grace")
		wantFailure(t, func(t testing.TB) {
			tokenjartest.New(t, tokenjartest.Config{Guard: func(c *session.Config) { c.PublicURL = "http://app.example" }})
		}, "PublicURL")
		wantFailure(t, func(t testing.TB) {
			tokenjartest.New(t, tokenjartest.Config{API: func(c *httpapi.Config) { c.Path = "auth" }})
		}, "Config.Path")
	})
}

func TestTheServer(t *testing.T) {
	t.Parallel()
	app := tokenjartest.New(t, tokenjartest.Config{})
	t.Run("it serves sign-in before there is a handler", func(t *testing.T) {
		if got := app.SignIn("ada").Get("/me").Want(404).Text(); !strings.Contains(got, "App.Serve") {
			t.Errorf("got %q", got)
		}
		app.Anonymous().Get("/.well-known/jwks.json").Want(200)
	})
	t.Run("the program has all other paths", func(t *testing.T) {
		app.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "program "+r.URL.Path) }))
		for _, path := range []string{"/", "/authors", "/docs", "/healthz", "/.well-known/security.txt"} {
			if got := app.Anonymous().Get(path).Want(200).Text(); got != "program "+path {
				t.Errorf("%s: got %q", path, got)
			}
		}
		app.Anonymous().Get("/auth/session").Want(200).JSON(&struct{}{})
	})
	t.Run("a handler can be replaced", func(t *testing.T) {
		app.Serve(http.NotFoundHandler())
		app.Anonymous().Get("/").Want(404)
	})
	t.Run("a panic of the handler fails who asked, and is logged", func(t *testing.T) {
		var log bytes.Buffer
		message := ""
		func() {
			s := newStandIn(&log)
			defer s.finish()
			app := tokenjartest.New(s, tokenjartest.Config{})
			app.Serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of tea") }))
			done := make(chan struct{})
			go func() { defer close(done); app.Anonymous().Get("/tea") }()
			<-done
			message = s.failure
		}()
		if !strings.Contains(message, "GET /tea: no answer") || !strings.Contains(log.String(), "out of tea") ||
			!strings.Contains(log.String(), "time=2026-01-02T15:04:05.000Z") {
			t.Errorf("got %q and the log\n%s", message, log.String())
		}
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var url string
	t.Run("a test", func(t *testing.T) {
		app := newApp(t, tokenjartest.Config{})
		ada := app.SignIn("ada")
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { ada.Tab().Get("/me"); app.Bearer("eve").Get("/me") })
		}
		group.Wait()
		iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{})
		if res, err := http.Get(iss.JWKSURL); err == nil {
			res.Body.Close()
		}
		t.Cleanup(func() { // runs before the app is gone, although the test's context is
			ada.Get("/me").Want(200)
			ada.SignOut()
		})
		url = app.URL
	})
	t.Run("a test that fails while it begins", func(t *testing.T) {
		failure(t, func(t testing.TB) {
			tokenjartest.New(t, tokenjartest.Config{Service: func(c *tokenjar.Config) { c.Grace = time.Hour }})
		})
	})
	goleak.VerifyNone(t, before)
	if res, err := http.Get(url); err == nil {
		res.Body.Close()
		t.Error("the server still answers")
	}
}

func TestAppsShareNothing(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			one, other := newApp(t, tokenjartest.Config{}), newApp(t, tokenjartest.Config{})
			ada := one.SignIn("ada")
			one.Clock.Advance(time.Hour)
			if other.Clock.Now() == one.Clock.Now() {
				t.Error("the clocks are one")
			}
			r := other.Request("GET", "/me", "", nil)
			for _, c := range ada.Cookies() {
				r.AddCookie(c)
			}
			w := httptest.NewRecorder()
			other.ServeHTTP(w, r)
			if w.Code != 401 {
				t.Errorf("a session of one app is good in another: %d", w.Code)
			}
		})
	}
}

// A meeting is a store whose first two callers find nobody, because neither has made the user yet.
type meeting struct {
	*memory.Store
	both  *sync.WaitGroup
	calls atomic.Int32
}

func (m *meeting) FindUser(ctx context.Context, id tokenjar.Identifier) (tokenjar.User, error) {
	if m.calls.Add(1) <= 2 {
		m.both.Done()
		m.both.Wait()
		return tokenjar.User{}, tokenjar.ErrNotFound
	}
	return m.Store.FindUser(ctx, id)
}

func TestUser(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	t.Run("the first call makes the user, with what it is told", func(t *testing.T) {
		grace := app.With(t).User("grace", func(u *tokenjar.User) { u.ID, u.FirstName = "g-1", "Grace" })
		if grace.ID != "g-1" || grace.FirstName != "Grace" || grace.Email != "grace@example.com" || !grace.Active {
			t.Errorf("got %+v", grace)
		}
		if again := app.User("grace"); again != grace {
			t.Errorf("got %+v, then %+v", grace, again)
		}
		if signedIn := app.SignIn("grace").User; signedIn.ID != "g-1" {
			t.Errorf("signed in as %+v", signedIn)
		}
	})
	t.Run("a name that no address can have", func(t *testing.T) {
		if u := app.With(t).User("zoë"); u.Email != "" {
			t.Errorf("got the address %q", u.Email)
		}
		app.SignIn("zoë").Get("/me").Want(200)
	})
	t.Run("two tests may make one user at once", func(t *testing.T) {
		var both sync.WaitGroup
		both.Add(2)
		app := tokenjartest.New(t, tokenjartest.Config{Service: func(c *tokenjar.Config) {
			c.Store = &meeting{Store: c.Store.(*memory.Store), both: &both}
		}})
		var group sync.WaitGroup
		var ids [2]string
		for i := range ids {
			group.Go(func() { ids[i] = app.User("together").ID })
		}
		group.Wait()
		if ids[0] == "" || ids[0] != ids[1] {
			t.Errorf("got %q", ids)
		}
	})
	t.Run("what cannot be done fails the test", func(t *testing.T) {
		wantFailure(t, func(t testing.TB) { app.With(t).User("grace", func(*tokenjar.User) {}) }, "grace", "too late")
		wantFailure(t, func(t testing.TB) { app.With(t).SignIn("ada@example.com") }, "ada@example.com")
		wantFailure(t, func(t testing.TB) {
			app.With(t).User("other", func(u *tokenjar.User) { u.Email = "grace@example.com" })
		}, "conflict")
		disabled := app.User("disabled", func(u *tokenjar.User) { u.Active = false })
		wantFailure(t, func(t testing.TB) { app.With(t).SignIn(disabled.Username) },
			"POST /auth/login", "got status 401, want 200", "invalid_credentials")
	})
}

// ownUsers is a user table of a program's own, which nobody but the program writes to.
type ownUsers struct{ tokenjar.UserStore }

func TestAUserTableOfOnesOwn(t *testing.T) {
	t.Parallel()
	table := memory.New(memory.Config{})
	err := table.CreateUser(t.Context(), tokenjar.User{
		ID: "1", Username: "ada", PasswordHash: tokenjartest.PasswordHash(), Active: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	app := newApp(t, tokenjartest.Config{Service: func(c *tokenjar.Config) { c.Users = ownUsers{table} }})
	if got := app.SignIn("ada").Get("/me").Want(200).Text(); got != "1" {
		t.Errorf("got %q", got)
	}
	wantFailure(t, func(t testing.TB) { app.With(t).SignIn("eve") }, `no user "eve"`, "PasswordHash")
}
