package proxy_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar/internal/upstreamtest"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// A service records what it gets and answers with it.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	answer   http.HandlerFunc // nil: 200 and nothing
}

func newService(t *testing.T) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
		answer := s.answer
		s.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// last returns the last request, and how many there were.
func (s *service) last(t *testing.T) (*http.Request, int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		t.Fatal("the service got no request")
	}
	return s.requests[len(s.requests)-1], len(s.requests)
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// newApp serves routes behind a guard.
func newApp(t *testing.T, routes ...proxy.Route) (*tokenjartest.App, *proxy.Proxy) {
	t.Helper()
	app := tokenjartest.New(t, tokenjartest.Config{})
	p, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: routes, LoginPage: "/sign-in"})
	if err != nil {
		t.Fatal(err)
	}
	app.Serve(p)
	return app, p
}

func TestACookieBecomesABearerForThatServiceAlone(t *testing.T) {
	orders := newService(t)
	app, _ := newApp(t, proxy.Route{Path: "/api/", Upstream: orders.URL, Audience: "orders", Scopes: []string{"orders:read"}})
	ada := app.SignIn("ada")
	ada.Get("/api/list?page=2&x=%2F").Want(200)
	got, _ := orders.last(t)
	if got.RequestURI != "/api/list?page=2&x=%2F" {
		t.Errorf("target: got %s", got.RequestURI)
	}
	if got.Header.Get("Cookie") != "" || got.Header.Get("X-CSRFToken") != "" {
		t.Errorf("the service got a credential of the browser's: %v", got.Header)
	}
	bearer, ok := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
	if !ok || bearer == ada.AccessToken() {
		t.Fatalf("Authorization: got %q, want a token of its own", got.Header.Get("Authorization"))
	}
	decode := func(audience string) (token.Claims, error) {
		d, err := token.NewDecoder(token.DecoderConfig{
			Keys: keysOf(t, app), Type: "at+jwt", Issuer: app.Service.Issuer(), Audience: audience, Now: app.Clock.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return d.Decode(bearer)
	}
	claims, err := decode("orders")
	if err != nil {
		t.Fatal(err)
	}
	if claims.String("sub") != ada.User.ID || claims.String("scope") != "orders:read" || claims.String("sid") != ada.Identity().SessionID {
		t.Errorf("claims: %v", claims)
	}
	if _, has := claims["nbf"]; has {
		t.Error("the token has nbf: a service whose clock is behind would refuse it")
	}
	if _, err := decode(app.Service.Issuer()); err == nil {
		t.Error("the token of a service is good for us")
	}
	app.Anonymous().Get("/api/list", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+bearer) }).Want(401)
	if n := orders.count(); n != 1 {
		t.Errorf("the service got %d requests, want 1", n)
	}
}

func TestWhoMayPass(t *testing.T) {
	s := newService(t)
	app, _ := newApp(t,
		proxy.Route{Path: "/api", Upstream: s.URL},
		proxy.Route{Path: "/api/open", Upstream: s.URL, Auth: proxy.Optional},
		proxy.Route{Path: "/files", Upstream: s.URL, Auth: proxy.None},
	)
	ada, stranger := app.SignIn("ada"), app.Anonymous()
	forged := func(r *http.Request) { r.Header.Set("Authorization", "Bearer forged") }
	for _, c := range []struct {
		who    *tokenjartest.Client
		path   string
		change func(*http.Request)
		status int
		bearer bool
	}{
		{ada, "/api", nil, 200, true},
		{ada, "/api/", nil, 200, true},
		{ada, "/api/x", nil, 200, true},
		{ada, "/apix", nil, 404, false},
		{ada, "/API/x", nil, 400, false},
		{ada, "/api/open", nil, 200, true},
		{ada, "/files/x", nil, 200, false},
		{stranger, "/api/x", nil, 401, false},
		{stranger, "/api/x", forged, 401, false},
		{stranger, "/api/open/x", nil, 200, false},
		{stranger, "/api/open/x", forged, 200, false},
		{stranger, "/files/x", forged, 200, false},
	} {
		change := c.change
		if change == nil {
			change = func(*http.Request) {}
		}
		before := s.count()
		c.who.Get(c.path, change).Want(c.status)
		if after := s.count(); (after > before) != (c.status == 200) {
			t.Errorf("%s: the service got %d requests, and the answer was %d", c.path, after-before, c.status)
		}
		if c.status == 200 {
			got, _ := s.last(t)
			if has := got.Header.Get("Authorization") != ""; has != c.bearer {
				t.Errorf("%s: Authorization %q", c.path, got.Header.Get("Authorization"))
			}
		}
	}
}

func TestWhatAServiceIsToldOfTheClientIsOursAlone(t *testing.T) {
	s := newService(t)
	app, _ := newApp(t, proxy.Route{Path: "/api/", Upstream: s.URL, StripPrefix: true})
	ada := app.SignIn("ada")
	ada.Get("/api/x", func(r *http.Request) {
		for _, name := range []string{
			"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL",
			"X-Cluster-Client-IP", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP", "Forwarded", "Remote-User", "X-User", "X-User-Id",
			"X-Auth-Request-User", "X-HTTP-Method-Override", "X-Method-Override", "Proxy-Authorization", "X-Request-Id", "X_User",
			"X-Tokenjar-Problem", "Client-Cert", "Te", "Trailer",
		} {
			r.Header[http.CanonicalHeaderKey(name)] = []string{"evil"}
		}
		r.Header.Set("Connection", "close, Authorization, X-Forwarded-For, X-Forwarded-Prefix")
		r.Header.Set("X-App", "mine")
	}).Want(200)
	got, _ := s.last(t)
	for name, values := range got.Header {
		for _, v := range values {
			if strings.Contains(v, "evil") {
				t.Errorf("%s reached the service", name)
			}
		}
		if len(values) != 1 {
			t.Errorf("%s: %d values", name, len(values))
		}
	}
	host := strings.TrimPrefix(app.URL, "https://")
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/api", "X-App": "mine",
		"Forwarded": `for=127.0.0.1;host="` + host + `";proto=https`,
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.RequestURI != "/x" || got.Host != strings.TrimPrefix(s.URL, "http://") || got.Header.Get("Authorization") == "" {
		t.Errorf("target %s, host %s, Authorization %q", got.RequestURI, got.Host, got.Header.Get("Authorization"))
	}
}

func TestANavigationIsSentToSignIn(t *testing.T) {
	s := newService(t)
	app, _ := newApp(t, proxy.Route{Path: "/api/", Upstream: s.URL})
	navigate := func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") }
	fetch := func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors"); r.Header.Set("Accept", "text/html") }
	stranger := app.Anonymous()
	a := stranger.Get("/api/page?a=1&b=2", navigate).Want(303)
	if got := a.Header.Get("Location"); got != "/sign-in?next=%2Fapi%2Fpage%3Fa%3D1%26b%3D2" {
		t.Errorf("Location: %s", got)
	}
	stranger.Get("/api/page", fetch).Want(401)
	stranger.Send("POST", "/api/page", nil, navigate).Want(401)
}

func TestAServiceThatIsNotThereIsNoFaultOfTheClients(t *testing.T) {
	app, p := newApp(t, proxy.Route{Path: "/api/", Upstream: "http://" + upstreamtest.Refusing(t)})
	a := app.SignIn("ada").Get("/api/x").Want(502)
	var doc problem.Problem
	if err := json.Unmarshal(a.Body, &doc); err != nil || doc.Code != problem.UpstreamUnavailable {
		t.Errorf("got %s and %v", a.Body, err)
	}
	if got := p.Stats(); got.Unavailable != 1 {
		t.Errorf("counts: %+v", got)
	}
}

// keysOf returns the published keys, as a service gets them.
func keysOf(t *testing.T, app *tokenjartest.App) *token.Ring {
	t.Helper()
	keys, err := token.ParseKeySet(app.Service.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(nil, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestACheckedRouteIsOneThatIsServed(t *testing.T) {
	long := strings.Repeat("a", 256)
	for _, tt := range []struct {
		route proxy.Route
		want  string // beginning; empty: nothing is wrong
	}{
		{proxy.Route{Path: "/api/", Upstream: "http://127.0.0.1:9000", Scopes: []string{"a:b", "!#[]~"}}, ""},
		{proxy.Route{Path: "/api/", Upstream: "http://127.0.0.1:9000", Scopes: []string{"a b"}}, `Scopes: "a b" is no scope-token`},
		{proxy.Route{Path: "/api/", Upstream: "http://127.0.0.1:9000", Scopes: []string{`a\b`}}, `Scopes: "a\\b" is no scope-token`},
		{proxy.Route{Path: "/api/", Upstream: "http://127.0.0.1:9000", Scopes: []string{`"`}}, `Scopes: "\"" is no scope-token`},
		{proxy.Route{Path: "/api/", Upstream: "http://127.0.0.1:9000", Scopes: []string{""}}, `Scopes: "" is no scope-token`},
		{proxy.Route{Path: "/api/", Upstream: "http://127.0.0.1:9000", Audience: long}, "Audience: is longer"},
		{proxy.Route{Path: "api", Upstream: "http://localhost:8080"}, "Path: "},
		{proxy.Route{Path: "/api/", Upstream: "http://localhost:8080"}, "Upstream: \"http://localhost:8080\" is where we listen ourselves"},
	} {
		self := []string{"127.0.0.1:8080"}
		err := tt.route.Check(self)
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q", tt.route, err, tt.want)
		}
		app := tokenjartest.New(t, tokenjartest.Config{})
		_, served := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: []proxy.Route{tt.route}, Self: self})
		if (served == nil) != (err == nil) {
			t.Errorf("%+v: checked with %v, and made with %v", tt.route, err, served)
		}
	}
	for name, want := range map[string]bool{"x-user": true, "Cf-Connecting-IP": true, "X_User": true, "X-Trace": false, "Accept": false} {
		if got := proxy.IsIdentity(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestWhatARouteAllowsIsLoggedUnlessItWasAnnounced(t *testing.T) {
	app := tokenjartest.New(t, tokenjartest.Config{})
	for _, announced := range []bool{false, true} {
		var log strings.Builder
		_, err := proxy.New(proxy.Config{
			Guard: app.Guard, PublicURL: app.URL, Logger: slog.New(slog.NewTextHandler(&log, nil)), Announced: announced,
			Routes: []proxy.Route{
				{Path: "/open", Upstream: "http://127.0.0.1:9", InsecureSkipCSRF: true}, {Path: "/own", Upstream: "http://127.0.0.1:9", Token: proxy.Forward},
				{Path: "/plain", Upstream: "http://127.0.0.1:9"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		said := log.String()
		if announced && said != "" {
			t.Errorf("it is said again: %s", said)
		}
		if !announced && (strings.Count(said, "\n") != 2 || !strings.Contains(said, "path=/open") || !strings.Contains(said, "path=/own")) {
			t.Errorf("got %s, want a line for each of two routes", said)
		}
	}
}
