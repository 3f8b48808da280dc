package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// bearer returns the token of the last request to a service.
func (s *service) bearer(t *testing.T) string {
	t.Helper()
	r, _ := s.last(t)
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// judgeAt is what a service says of a token whose clock shows that time.
func judgeAt(t *testing.T, app *tokenjartest.App, audience, raw string, now time.Time) error {
	t.Helper()
	d, err := token.NewDecoder(token.DecoderConfig{
		Keys: keysOf(t, app), Type: "at+jwt", Issuer: app.Service.Issuer(), Audience: audience, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Decode(raw)
	return err
}

// A page that asks every second for half an hour, and services whose clocks are off: none ever refuses what it is sent.
func TestAServiceWhoseClockIsOffRefusesNobody(t *testing.T) {
	for _, kind := range []proxy.Token{proxy.Audience, proxy.Forward} {
		t.Run(string(kind), func(t *testing.T) {
			s := newService(t)
			r := proxy.Route{Path: "/api", Upstream: s.URL, Token: kind}
			app, _ := newApp(t, r)
			audience := s.URL
			if kind == proxy.Forward {
				audience = app.Service.Issuer()
			}
			ada := app.SignIn("ada")
			refused := map[int]int{}
			renewed, before := 0, ada.AccessToken()
			const seconds = 900
			for range seconds {
				ada.Get("/api/x").Want(200)
				for _, ahead := range []int{-5, 9} {
					if kind == proxy.Forward && ahead < 0 {
						continue // it has nbf, like any access token
					}
					if judgeAt(t, app, audience, s.bearer(t), app.Clock.Now().Add(time.Duration(ahead)*time.Second)) != nil {
						refused[ahead]++
					}
				}
				if now := ada.AccessToken(); now != before {
					renewed, before = renewed+1, now
				}
				app.Clock.Advance(time.Second)
			}
			if len(refused) > 0 {
				t.Errorf("refused, of %d requests, by how far the service's clock is ahead: %v", seconds, refused)
			}
			if renewed < seconds/300 || renewed > seconds/270 {
				t.Errorf("renewed %d times in %d seconds", renewed, seconds)
			}
		})
	}
}

func TestASessionIsRenewedEarlyOnlyWhereItHelps(t *testing.T) {
	s := newService(t)
	const early = 295 * time.Second
	for _, c := range []struct {
		name    string
		config  tokenjartest.Config
		route   proxy.Route
		wait    time.Duration
		renewed bool
	}{
		{"a token of its own", tokenjartest.Config{}, proxy.Route{}, early, true},
		{"the user's own", tokenjartest.Config{}, proxy.Route{Token: proxy.Forward}, early, true},
		{"no token", tokenjartest.Config{}, proxy.Route{Token: proxy.NoToken}, early, false},
		{"anybody's", tokenjartest.Config{}, proxy.Route{Auth: proxy.None}, early, false},
		{"optional", tokenjartest.Config{}, proxy.Route{Auth: proxy.Optional}, early, true},
		{"in the middle of its life", tokenjartest.Config{}, proxy.Route{}, 4 * time.Minute, false},
		{"a short life, three quarters over", tokenjartest.Config{Service: func(c *tokenjar.Config) { c.AccessLifetime = 8 * time.Second }}, proxy.Route{},
			6500 * time.Millisecond, true},
		{"a short life, half over", tokenjartest.Config{Service: func(c *tokenjar.Config) { c.AccessLifetime = 8 * time.Second }}, proxy.Route{},
			4 * time.Second, false},
		{"the session ends as soon", tokenjartest.Config{Service: func(c *tokenjar.Config) { c.Absolute, c.Idle = 4*time.Minute, 4*time.Minute }}, proxy.Route{},
			early, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := tokenjartest.New(t, c.config)
			c.route.Path, c.route.Upstream = "/api", s.URL
			p, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: []proxy.Route{c.route}})
			if err != nil {
				t.Fatal(err)
			}
			app.Serve(p)
			ada := app.SignIn("ada")
			ends := ada.Identity().ExpiresAt // up to 15 s early
			wait := min(c.wait, ends.Sub(app.Clock.Now())-time.Second)
			if c.wait == early {
				wait = ends.Sub(app.Clock.Now()) - 5*time.Second
			}
			before := ada.AccessToken()
			app.Clock.Advance(wait)
			ada.Get("/api/x").Want(200)
			if renewed := ada.AccessToken() != before; renewed != c.renewed {
				t.Errorf("renewed: %v, want %v", renewed, c.renewed)
			}
			after := ada.AccessToken()
			ada.Get("/api/x").Want(200)
			if ada.AccessToken() != after {
				t.Error("the next request renews again")
			}
		})
	}
}

// What cannot be renewed early goes on with what it has.
func TestARenewalThatFailsEarlyIsNoFault(t *testing.T) {
	s := newService(t)
	t.Run("the store is away", func(t *testing.T) {
		var away atomic.Bool
		app := tokenjartest.New(t, tokenjartest.Config{Service: func(c *tokenjar.Config) {
			c.Store = storehook.Wrap(c.Store.(storehook.All), func(ctx context.Context, call string, do func(context.Context) error) error {
				if away.Load() && call == "Rotate" {
					return tokenjar.ErrStoreUnavailable
				}
				return do(ctx)
			})
		}})
		p, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: []proxy.Route{{Path: "/api", Upstream: s.URL}}})
		if err != nil {
			t.Fatal(err)
		}
		app.Serve(p)
		ada := app.SignIn("ada")
		before, ends := ada.AccessToken(), ada.Identity().ExpiresAt
		app.Clock.Advance(ends.Sub(app.Clock.Now()) - 5*time.Second)
		away.Store(true)
		ada.Get("/api/x").Want(200)
		if ada.AccessToken() != before {
			t.Error("renewed without a store")
		}
		app.Clock.Advance(5 * time.Second)
		ada.Get("/api/x").Want(503)
		away.Store(false)
		ada.Get("/api/x").Want(200)
	})
	t.Run("the session is over", func(t *testing.T) {
		app, _ := newApp(t, proxy.Route{Path: "/api", Upstream: s.URL})
		ada := app.SignIn("ada")
		app.Clock.Advance(ada.Identity().ExpiresAt.Sub(app.Clock.Now()) - 5*time.Second)
		ada.Tab().SignOut()
		ada.Get("/api/x").Want(401)
	})
	app, _ := newApp(t, proxy.Route{Path: "/api", Upstream: s.URL})
	phone := app.Bearer("ada")
	access, ends := phone.AccessToken(), phone.Identity().ExpiresAt
	app.Clock.Advance(ends.Sub(app.Clock.Now()) - 5*time.Second)
	a := app.Anonymous().Get("/api/x", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+access) }).Want(200) // nothing to renew with
	if len(a.Header["Set-Cookie"]) > 0 {
		t.Error("a bearer got cookies")
	}
	ada := app.SignIn("ada")
	app.Clock.Advance(ada.Identity().ExpiresAt.Sub(app.Clock.Now()) - 5*time.Second)
	before := ada.AccessToken()
	ada.Post("/api/x", nil, tokenjartest.WithoutCSRF).Want(403)
	if ada.AccessToken() != before {
		t.Error("a request that is refused has renewed a session")
	}
}

// A session may end between the moment in which the guard lets a request in and the one in which its token is made.
func TestASessionThatEndsOnTheWayIsRefusedLikeAnyOther(t *testing.T) {
	s := newService(t)
	app := tokenjartest.New(t, tokenjartest.Config{})
	var onTheWay func()
	p, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, LoginPage: "/sign-in",
		Routes: []proxy.Route{
			{Path: "/api", Upstream: s.URL}, {Path: "/open", Upstream: s.URL, Auth: proxy.Optional, WebSocket: true},
		},
		ClientIP: func(*http.Request) string { onTheWay(); return "192.0.2.1" },
	})
	if err != nil {
		t.Fatal(err)
	}
	app.Serve(p)
	navigate := func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") }
	for _, c := range []struct {
		name, path string
		change     func(*http.Request)
		status     int
		asked      bool
	}{
		{"a script", "/api/x", func(*http.Request) {}, 401, false},
		{"a page", "/api/x", navigate, 303, false},
		{"a script, where anybody may", "/open/x", func(*http.Request) {}, 200, true},
		{"a page, where anybody may", "/open/x", navigate, 200, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ada, before := app.SignIn("ada"), s.count()
			onTheWay = func() {
				onTheWay = func() {}
				if err := app.Service.EndSession(t.Context(), ada.User.ID, ada.Identity().SessionID); err != nil {
					t.Error(err)
				}
			}
			a := ada.Get(c.path, c.change).Want(c.status)
			if got := a.Header.Get("Location"); c.status == 303 && got != "/sign-in?next=%2Fapi%2Fx" {
				t.Errorf("sent to %q", got)
			}
			if c.status == 401 && a.Code() != problem.TokenRevoked {
				t.Errorf("got %s", a.Code())
			}
			if asked := s.count() > before; asked != c.asked {
				t.Errorf("the service was asked: %v", asked)
			}
			if c.asked && s.bearer(t) != "" {
				t.Error("the service got a token of a session that has ended")
			}
		})
	}
	// What has changed is no reason to open a WebSocket as a stranger's.
	ada := app.SignIn("ada")
	onTheWay = func() {
		onTheWay = func() {}
		if err := app.Service.SetUserRoles(t.Context(), ada.User.ID, rolesOfStaff); err != nil {
			t.Error(err)
		}
	}
	before := s.count()
	if _, status := handshake(t, app, ada, "/open/x"); status != 401 || s.count() > before {
		t.Errorf("a WebSocket: %d", status)
	}
}

// The token that a service gets opens nothing of ours, wherever it is shown.
func TestAServicesTokenIsNoCredentialOfOurs(t *testing.T) {
	s := newService(t)
	app, _ := newApp(t, proxy.Route{Path: "/api", Upstream: s.URL, Audience: "orders"})
	ada := app.SignIn("ada")
	ada.Get("/api/x").Want(200)
	raw := s.bearer(t)
	asCookie := func(names ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, name := range names {
				r.Header.Add("Cookie", name+"="+raw)
			}
		}
	}
	asBearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+raw) }
	stranger := app.Anonymous()
	for _, show := range []func(*http.Request){asBearer, asCookie("__Host-access_token"), asCookie("__Host-refresh_token"),
		asCookie("__Host-access_token", "__Host-refresh_token")} {
		stranger.Get("/api/x", show).Want(401)
		stranger.Get("/auth/user", show).Want(401)
		stranger.Post("/auth/token/refresh", nil, show).Want(401)
		if a := stranger.Get("/auth/session", show).Want(200); !strings.Contains(string(a.Body), `"authenticated":false`) {
			t.Errorf("got %s", a.Body)
		}
	}
	stranger.Post("/auth/token/verify", map[string]string{"token": raw}).Want(401)
	stranger.Post("/auth/token/refresh", map[string]string{"refresh": raw}).Want(401)
	stranger.Post("/auth/token/blacklist", map[string]string{"refresh": raw}).Want(200) // it says nothing, and does nothing
	stranger.Post("/auth/logout", nil, asBearer).Want(200)
	if n := s.count(); n != 1 {
		t.Errorf("the service got %d requests, want hers alone", n)
	}
	ada.Get("/api/x").Want(200)
}

// A program that logs a request's context does not log the token.
func TestAContextDoesNotPrintItsToken(t *testing.T) {
	var printed, inTransport string
	app := tokenjartest.New(t, tokenjartest.Config{})
	s := newService(t)
	p, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: []proxy.Route{{Path: "/api", Upstream: s.URL}},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			inTransport = fmt.Sprintf("%v %+v %#v", r.Context(), r.Context(), r)
			return http.DefaultTransport.RoundTrip(r)
		})})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", p)
	mux.Handle("/", app.Guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		printed = fmt.Sprintf("%v %+v %v", r.Context(), r.Context(), []any{r.Context()})
	})))
	app.Serve(mux)
	ada := app.SignIn("ada")
	for range 2 {
		ada.Get("/x").Want(200)
		ada.Get("/api/x").Want(200)
		if printed == "" || strings.Contains(printed, ada.AccessToken()) {
			t.Errorf("a handler prints its context: %q", printed)
		}
		if inTransport == "" || strings.Contains(inTransport, ada.AccessToken()) {
			t.Errorf("a transport prints the context: %q", inTransport)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
