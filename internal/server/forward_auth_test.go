package server_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/store/memory"
	"github.com/tokenjar/tokenjar/token"
)

// dialects are the proxies, each as it asks about a request: what the browser sent, and what the proxy makes of it.
var dialects = []string{"nginx", "traefik", "caddy", "envoy"}

func forwardAuth(dialect string) servertest.Setup {
	return servertest.Setup{Config: func(c *config.Config) {
		c.PublicURL = "https://app.example.com"
		c.Admin.Listen, c.Admin.ForwardAuth = "127.0.0.1:0", dialect
	}}
}

// A page is a request as a browser sends it to the proxy.
type page struct {
	method, target, host string // default GET /api/x of app.example.com
	changes              []func(*http.Request)
}

// ask has the proxy ask about a page's request. Changes are of what the proxy sends.
func ask(t *testing.T, w *servertest.World, dialect string, p page, changes ...func(*http.Request)) servertest.Answer {
	t.Helper()
	for _, d := range []struct {
		value *string
		usual string
	}{{&p.method, "GET"}, {&p.target, "/api/x"}, {&p.host, "app.example.com"}} {
		if *d.value == "" {
			*d.value = d.usual
		}
	}
	r := w.Request(t, "GET", "/", "")
	r.Method = p.method
	if !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, p.method) {
		r.Header.Set("Origin", w.Origin)
	}
	for _, change := range p.changes {
		change(r)
	}
	r.URL = &url.URL{Scheme: "http", Host: w.Server.AdminAddr().String(), Path: "/forward-auth"}
	r.Host = ""
	set := func(method, uri, host string) {
		r.Method = "GET"
		for name, value := range map[string]string{method: p.method, uri: p.target, host: p.host} {
			r.Header.Set(name, value)
		}
	}
	switch dialect {
	case "nginx":
		set("X-Original-Method", "X-Original-URI", "X-Original-Host")
	case "envoy":
		r.URL.Path, r.URL.Opaque, r.Host = "", "/forward-auth"+p.target, p.host
	default:
		set("X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host")
	}
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	r.Header.Set("X-Forwarded-Proto", "https")
	for _, change := range changes {
		change(r)
	}
	before := w.Digest(t)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s asks about %s %s: %v", dialect, p.method, p.target, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := servertest.Answer{Status: res.StatusCode, Header: res.Header, Body: body}
	if w.Digest(t) != before || len(a.Cookies()) != 0 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s asks about %s %s: something changed, a cookie is set or the answer may be kept: %v", dialect, p.method, p.target, a.Header)
	}
	if passes := a.Status == 200; passes != (a.Header.Get("X-Auth-User") != "") || passes != strings.HasPrefix(a.Header.Get("Authorization"), "Bearer ") ||
		passes == (a.Header.Get("X-Tokenjar-Problem") != "") {
		t.Errorf("%s asks about %s %s: %d with %v", dialect, p.method, p.target, a.Status, a.Header)
	}
	w.Canary(strings.TrimPrefix(a.Header.Get("Authorization"), "Bearer "))
	return a
}

// verdict fails the test unless the answer is that one. No code is 200.
func verdict(t *testing.T, what string, a servertest.Answer, status int, code string) {
	t.Helper()
	if got := a.Header.Get("X-Tokenjar-Problem"); a.Status != status || got != code {
		t.Errorf("%s: got %d %s, want %d %s: %s", what, a.Status, got, status, code, a.Body)
	}
	if a.Status != 200 && status != 503 && status != 401 && status != 403 {
		t.Errorf("%s: proxies do not understand %d", what, status)
	}
}

func TestForwardAuthSaysWhoMayPass(t *testing.T) {
	for _, dialect := range dialects {
		t.Run(dialect, func(t *testing.T) {
			w := servertest.Start(t, forwardAuth(dialect))
			ada, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
			ended := w.SignIn(t, servertest.Ada)
			if err := w.Service.EndSession(t.Context(), ended.UserID, ended.SessionID); err != nil {
				t.Fatal(err)
			}
			expired := w.SignAccess(t, ada, token.Claims{"exp": w.Clock.Now().Add(-time.Second).Unix()})
			noCSRF := servertest.Header("X-CSRFToken", "")
			socket := []func(*http.Request){
				servertest.Header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), servertest.Header("Sec-WebSocket-Version", "13"),
			}
			with := func(changes ...func(*http.Request)) []func(*http.Request) { return changes }
			for _, row := range []struct {
				name   string
				page   page
				status int
				code   string
			}{
				{"who is signed in", page{changes: with(ada.As)}, 200, ""},
				{"who is signed in, by HEAD", page{method: "HEAD", changes: with(ada.As)}, 200, ""},
				{"a bearer", page{changes: with(servertest.Bearer(ada.Access))}, 200, ""},
				{"a bearer that writes", page{method: "DELETE", changes: with(servertest.Bearer(ada.Access), servertest.NoSignal)}, 200, ""},
				{"a query is not judged", page{target: "/api/x?next=//evil/../%2e%2e;a&%zz", changes: with(ada.As)}, 200, ""},
				{"an escape of what needs none", page{target: "/api/%75ser", changes: with(ada.As)}, 200, ""},
				{"our host with its port", page{host: "app.example.com:443", changes: with(ada.As)}, 200, ""},
				{"nobody", page{}, 401, "not_authenticated"},
				{"nobody, writing", page{method: "POST"}, 401, "not_authenticated"},
				{"no token at all", page{changes: with(w.Cookies("x", ""))}, 401, "token_invalid"},
				{"a session that has ended", page{changes: with(ended.As)}, 401, "token_revoked"},
				{"an access token that has run out", page{changes: with(w.Cookies(expired, ""))}, 401, "token_expired"},
				{"an access token that has run out beside a good refresh token", page{changes: with(w.Cookies(expired, ada.Refresh))}, 401, "token_expired"},
				{"a refresh token alone", page{changes: with(ada.RefreshOnly)}, 401, "not_authenticated"},
				{"a refresh token alone, writing", page{method: "POST", changes: with(ada.RefreshOnly)}, 401, "not_authenticated"},
				{"a refresh token in the place of an access token", page{changes: with(w.Cookies(ada.Refresh, ""))}, 401, "token_invalid"},
				{"tokens of two users", page{changes: with(w.Cookies(ada.Access, eve.Refresh))}, 401, "token_invalid"},
				{"another scheme than Bearer", page{changes: with(servertest.Header("Authorization", "Basic YWRhOmE="))}, 401, "not_authenticated"},
				{"two Authorization fields", page{changes: with(servertest.Bearer(ada.Access), servertest.AddHeader("Authorization", "Bearer "+eve.Access))}, 403, "validation_failed"},
				{"CK-14 more cookies than are read", page{changes: with(servertest.RawCookie(strings.Repeat("a=b; ", 400) + w.AccessName() + "=" + ada.Access))}, 403, "header_too_large"},

				{"a write with its CSRF token", page{method: "POST", changes: with(ada.As)}, 200, ""},
				{"a write without", page{method: "POST", changes: with(ada.As, noCSRF)}, 403, "csrf_failed"},
				{"a write with that of another session", page{method: "PUT", changes: with(ada.As, servertest.Header("X-CSRFToken", eve.CSRF))}, 403, "csrf_failed"},
				{"a write with the token spelt with underscores", page{method: "POST", changes: with(ada.As, noCSRF, servertest.Header("X_CSRFToken", ada.CSRF))}, 403, "csrf_failed"},
				{"a write of another site", page{method: "POST", changes: with(ada.As, servertest.CrossSite)}, 403, "origin_not_allowed"},
				{"a write of the same site", page{method: "PATCH", changes: with(ada.As, servertest.Header("Sec-Fetch-Site", "same-site"))}, 403, "origin_not_allowed"},
				{"a write of our origin by http", page{method: "POST", changes: with(ada.As, servertest.Header("Origin", "http://app.example.com"))}, 403, "origin_not_allowed"},
				{"a write of a sandboxed frame", page{method: "POST", changes: with(ada.As, servertest.Header("Origin", "null"))}, 403, "origin_not_allowed"},
				{"a write of a program with a cookie and no CSRF token", page{method: "POST", changes: with(ada.As, noCSRF, servertest.NoSignal)}, 403, "csrf_failed"},
				{"a write of another site, renewable", page{method: "POST", changes: with(ada.RefreshOnly, servertest.CrossSite)}, 403, "origin_not_allowed"},
				{"a read of another site", page{changes: with(ada.As, servertest.CrossSite)}, 200, ""},

				{"P-34 a handshake of our page", page{changes: append(with(ada.As, servertest.Header("Origin", w.Origin)), socket...)}, 200, ""},
				{"P-34 a handshake of another site", page{changes: append(with(ada.As, servertest.CrossSite), socket...)}, 403, "origin_not_allowed"},
				{"P-34 a handshake without origin", page{changes: append(with(ada.As), socket...)}, 403, "origin_not_allowed"},
				{"P-34 a handshake of which only the key is left", page{changes: with(ada.As, servertest.CrossSite, socket[0])}, 403, "origin_not_allowed"},
				{"P-34 a handshake of which only Fetch Metadata is left", page{changes: with(ada.As, servertest.CrossSite, servertest.Header("Sec-Fetch-Mode", "websocket"))}, 403, "origin_not_allowed"},

				{"P-22 another host", page{host: "evil.example", changes: with(ada.As)}, 403, "misdirected_host"},
				{"P-22 our host in capitals", page{host: "APP.example.com", changes: with(ada.As)}, 403, "misdirected_host"},
				{"P-22 our host with a dot", page{host: "app.example.com.", changes: with(ada.As)}, 403, "misdirected_host"},
				{"P-22 our host with another port", page{host: "app.example.com:8443", changes: with(ada.As)}, 403, "misdirected_host"},
				{"P-24 a method of another tongue", page{method: "TRACE", changes: with(ada.As)}, 403, "method_not_allowed"},
				{"P-24 a method in small letters", page{method: "post", changes: with(ada.As)}, 403, "method_not_allowed"},
				{"P-24 PROPFIND", page{method: "PROPFIND", changes: with(ada.As)}, 403, "method_not_allowed"},
			} {
				a := ask(t, w, dialect, row.page)
				verdict(t, row.name, a, row.status, row.code)
				if row.status == 200 && a.Header.Get("X-Auth-User") != ada.UserID {
					t.Errorf("%s: the user is %q", row.name, a.Header.Get("X-Auth-User"))
				}
				if (row.status == 401) != (a.Header.Get("WWW-Authenticate") != "") {
					t.Errorf("%s: WWW-Authenticate is %q", row.name, a.Header.Get("WWW-Authenticate"))
				}
			}
			if a := ask(t, w, dialect, page{changes: with(ada.RefreshOnly)}); !strings.Contains(string(a.Body), `"action":"refresh"`) {
				t.Errorf("a session that can be renewed is not told to refresh: %s", a.Body)
			}
			if g := ada.Generation(t); g != 1 || !ada.Live(t) {
				t.Errorf("the session is of generation %d, want the first", g)
			}
		})
	}
}

func TestForwardAuthRefusesPathsOfSeveralReadings(t *testing.T) {
	for _, dialect := range dialects {
		w := servertest.Start(t, forwardAuth(dialect))
		ada := w.SignIn(t, servertest.Ada)
		for _, target := range []string{
			"/api/%2e%2e/x", "/api/%2E%2e/x", "/api/.%2e/x", "/api/../x", "/api/./x", "/api/x/%2e", "/api/..;/x", "/api/..;a=b/x", "/api/.;/x", "/api/%2e%2e;/x",
			"/api/..%2fx", "/api%2f..%2fx", "/api%2Fx", "/api/..%5cx", "/api/%5cx", `/api/..\x`, "//api/x", "/api//x", "/%2fapi", "/api/%00", "/api/x%0d%0aA:b", "/api/%7f",
			"/api/%c0%ae%c0%ae/x", "/api/%ff", "/api/%e2%80", "/api/%C2%85",
			"/api/../../x?y=1",
		} {
			verdict(t, dialect+" "+target, ask(t, w, dialect, page{target: target, changes: []func(*http.Request){ada.As}}), 403, "bad_path")
		}
		for _, target := range []string{"/api/%252e%252e/x", "/api/x;v=1", "/api/%C3%A9", "/", "/API/x", "/api/%26%3D"} {
			verdict(t, dialect+" "+target, ask(t, w, dialect, page{target: target, changes: []func(*http.Request){ada.As}}), 200, "")
		}
		if dialect == "envoy" { // the rest cannot be a request's target
			continue
		}
		for _, target := range []string{
			"https://app.example.com/api/x", "http://evil.example/api/x", "https:/api/x", "*", "api/x", "?x", "/api/x#y", "/api/%zz", "/api/%2", "/api/é", "/api/ x", "app.example.com:443", `\api`,
		} {
			verdict(t, dialect+" "+target, ask(t, w, dialect, page{target: target, changes: []func(*http.Request){ada.As}}), 403, "bad_path")
		}
	}
}

func TestForwardAuthBelievesOneProxyAndItsOwnWords(t *testing.T) {
	fields := map[string][]string{
		"nginx": {"X-Original-Method", "X-Original-URI", "X-Original-Host"}, "traefik": {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
	}
	fields["caddy"] = fields["traefik"]
	for _, dialect := range dialects {
		w := servertest.Start(t, forwardAuth(dialect))
		ada := w.SignIn(t, servertest.Ada)
		// A client that would have its write taken for a read.
		post := page{method: "POST", target: "/api/x", changes: []func(*http.Request){ada.As, servertest.Header("X-CSRFToken", "")}}
		for _, name := range []string{
			"X-Original-Method", "X-Forwarded-Method", "X_Original_Method", "X_Forwarded_Method", "X-Original_Method", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Auth-Request-Method",
		} {
			if slices.Contains(fields[dialect], name) {
				continue
			}
			a := ask(t, w, dialect, post, servertest.Header(name, "GET"))
			verdict(t, dialect+" "+name, a, 403, "csrf_failed")
		}
		for _, name := range fields[dialect] {
			verdict(t, dialect+" without "+name, ask(t, w, dialect, page{changes: post.changes}, servertest.Header(name, "")), 403, "proxy_misconfigured")
			a := ask(t, w, dialect, post, servertest.AddHeader(name, "GET"))
			verdict(t, dialect+" with two "+name, a, 403, "proxy_misconfigured")
			if !strings.Contains(strings.ToLower(string(a.Body)), strings.ToLower(name)) || !strings.Contains(w.Log.String(), "does not say which request") {
				t.Errorf("%s: nobody is told of %s: %s", dialect, name, a.Body)
			}
		}
		if dialect != "envoy" { // how the proxy asks says nothing
			verdict(t, dialect+" asks by POST", ask(t, w, dialect, page{changes: []func(*http.Request){ada.As}}, func(r *http.Request) { r.Method = "POST" }), 200, "")
			verdict(t, dialect+" asks by GET about POST", ask(t, w, dialect, post), 403, "csrf_failed")
		}
		for scheme, code := range map[string]string{"http": "misdirected_host", "ws": "misdirected_host", "https, http": "misdirected_host", "http, https": "", "wss": ""} {
			status := map[bool]int{true: 200, false: 403}[code == ""]
			verdict(t, dialect+" "+scheme, ask(t, w, dialect, page{changes: []func(*http.Request){ada.As}}, servertest.Header("X-Forwarded-Proto", scheme)), status, code)
		}
	}
}

func TestTheServiceBehindForwardAuthGetsATokenOfItsOwn(t *testing.T) {
	for _, configured := range []string{"", "orders"} {
		audience := configured
		if audience == "" {
			audience = "https://app.example.com/forward-auth"
		}
		w := servertest.Start(t, forwardAuth("nginx"), servertest.Setup{Config: func(c *config.Config) { c.Admin.ForwardAuthAudience = configured }})
		ada := w.SignIn(t, servertest.Ada)
		bearer := strings.TrimPrefix(ask(t, w, "nginx", page{changes: []func(*http.Request){ada.As}}).Header.Get("Authorization"), "Bearer ")
		claims := decodeFor(t, w, audience, bearer)
		if claims.String("sub") != ada.UserID || claims.String("sid") != ada.SessionID {
			t.Errorf("%s: got %v", audience, claims)
		}
		a := ask(t, w, "nginx", page{changes: []func(*http.Request){servertest.Bearer(bearer)}})
		verdict(t, "the token of a service", a, 401, "token_invalid")
		w.Refused(t, 401, "token_invalid", "GET", "/auth/user", "", servertest.Bearer(bearer))
	}
}

func TestTokensForServicesMustNotBeOurOwn(t *testing.T) {
	secret, err := tokenjar.ParseSecret([]byte(servertest.Secret))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Defaults()
	cfg.Listen, cfg.Admin.Listen, cfg.Admin.ForwardAuth = "127.0.0.1:0", "127.0.0.1:0", "nginx"
	cfg.PublicURL, cfg.Token.Audience = "https://app.example.com", "https://app.example.com/forward-auth"
	s, err := server.Open(t.Context(), cfg, secret, memory.New(memory.Config{}), server.Options{})
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "admin.forward_auth_audience") {
		t.Errorf("got %v", err)
	}
}

func TestForwardAuthIsOffUntilADialectIsChosen(t *testing.T) {
	w := servertest.Start(t, withAdmin)
	for _, path := range []string{"/forward-auth", "/forward-auth/api/x", "/forward-auth/"} {
		if res, _ := askAdmin(t, w, "GET", path); res.StatusCode != 404 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	for _, dialect := range dialects {
		w := servertest.Start(t, forwardAuth(dialect))
		ada := w.SignIn(t, servertest.Ada)
		for _, path := range []string{"/forward-auth", "/forward-auth/", "/forward-auth/api/x"} { // LG-09
			a := w.Send(t, "GET", path, "", ada.As, servertest.Header("X-Original-URI", "/api/x"), servertest.Header("X-Original-Method", "GET"), servertest.Header("X-Original-Host", "app.example.com"))
			if a.Status != 404 || a.Header.Get("Authorization") != "" {
				t.Errorf("%s on the public listener: %d %v", path, a.Status, a.Header)
			}
		}
	}
}

func TestForwardAuthWithoutAStoreSignsNobodyOut(t *testing.T) {
	w := servertest.Start(t, forwardAuth("nginx"), servertest.Setup{Config: func(c *config.Config) { c.Token.SessionCheck = tokenjar.CheckDatabase }})
	ada := w.SignIn(t, servertest.Ada)
	signedIn := page{changes: []func(*http.Request){ada.As}}
	verdict(t, "before", ask(t, w, "nginx", signedIn), 200, "")
	w.Store.SetDown(true)
	a := ask(t, w, "nginx", signedIn)
	verdict(t, "with the store down", a, 503, "store_unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	verdict(t, "nobody, with the store down", ask(t, w, "nginx", page{}), 401, "not_authenticated")
	w.Store.SetDown(false)
	verdict(t, "after", ask(t, w, "nginx", signedIn), 200, "")
}

func TestWhatAProxyAsksAboutIsLoggedAndCounted(t *testing.T) {
	w := servertest.Start(t, forwardAuth("nginx"))
	ada := w.SignIn(t, servertest.Ada)
	ask(t, w, "nginx", page{method: "PUT", target: "/api/things?canary-in-the-query", changes: []func(*http.Request){ada.As}})
	ask(t, w, "nginx", page{})
	ask(t, w, "nginx", page{}, servertest.Header("X-Original-URI", ""))
	counted(t, w, `tokenjar_http_requests_total{method="PUT",route="/forward-auth",status="200"} 1`)
	counted(t, w, `tokenjar_http_requests_total{method="GET",route="/forward-auth",status="401"} 1`)
	counted(t, w, `tokenjar_http_requests_total{method="GET",route="/forward-auth",status="403"} 1`)
	counted(t, w, `tokenjar_problems_total{code="proxy_misconfigured"} 1`)
	log := w.Log.String()
	if !strings.Contains(log, `"method":"PUT","path":"/api/things","status":200`) || !strings.Contains(log, `"client_ip":"203.0.113.7","forward_auth":true`) ||
		strings.Contains(log, "canary-in-the-query") {
		t.Errorf("the log: %s", log)
	}
}
