package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/nginxtest"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/token"
)

// A service keeps what reaches it and answers with the user's id.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func newService(t *testing.T, answer http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func (s *service) last() (*http.Request, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1], s.bodies[len(s.bodies)-1]
}

// A visitor is a browser that reaches the server through nginx.
type visitor struct {
	t      *testing.T
	w      *servertest.World
	client *http.Client
}

func newVisitor(t *testing.T, w *servertest.World, front string, pool *x509.CertPool) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, front)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t, w, &http.Client{
		Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// use gives the browser the cookies of a session; an empty access token stands for one that has run out.
func (v *visitor) use(access, refresh string) {
	u, _ := url.Parse(v.w.URL)
	var list []*http.Cookie
	for name, value := range map[string]string{v.w.AccessName(): access, v.w.RefreshName(): refresh} {
		c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: u.Scheme == "https"}
		if value == "" {
			c.MaxAge = -1
		}
		list = append(list, c)
	}
	v.client.Jar.SetCookies(u, list)
}

// send sends a request of a page of the site; the target goes over the wire as it is.
func (v *visitor) send(method, target, body string, changes ...func(*http.Request)) servertest.Answer {
	v.t.Helper()
	r := v.w.Request(v.t, method, "/", body, changes...)
	r.URL.Path, r.URL.Opaque = "", target
	for _, c := range v.client.Jar.Cookies(&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: "/"}) {
		r.AddCookie(c)
	}
	res, err := (&http.Client{Transport: v.client.Transport, CheckRedirect: v.client.CheckRedirect}).Do(r)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	a := servertest.Answer{Status: res.StatusCode, Header: res.Header, Body: text}
	u, _ := url.Parse(v.w.URL)
	v.client.Jar.SetCookies(u, a.Cookies())
	for _, c := range a.Cookies() {
		v.w.Canary(c.Value)
	}
	return a
}

// The configuration of docs/howto/forward-auth.md in a real nginx. Paths and ports are replaced, nothing else.
func TestBesideNginx(t *testing.T) {
	nginxtest.Find(t)
	api := newService(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/own-401":
			w.Header().Set("X-Tokenjar-Problem", "token_expired")
			w.WriteHeader(401)
		case "/api/own-500":
			w.WriteHeader(500)
		}
		io.WriteString(w, r.Header.Get("X-Auth-User"))
	})
	w := servertest.Start(t, forwardAuth("nginx"), servertest.Setup{Config: func(c *config.Config) {
		c.TrustedProxies, c.Token.SessionCheck = []string{"127.0.0.1"}, tokenjar.CheckDatabase
	}})
	dir, front := t.TempDir(), nginxtest.FreeAddress(t)
	pool := nginxtest.Certificate(t, dir, "app.example.com")
	shown, err := os.ReadFile("../../examples/nginx/forward-auth.conf")
	if err != nil {
		t.Fatal(err)
	}
	nginxtest.Start(t, dir, front, strings.NewReplacer(
		"listen 443 ssl;", "listen "+front+" ssl;", "/etc/ssl/app.example.com", dir+"/app.example.com",
		"http://127.0.0.1:8080", "http://"+w.Addr(), "http://127.0.0.1:9090", "http://"+w.Server.AdminAddr().String(), "http://127.0.0.1:9000", api.URL,
	).Replace(string(shown)))

	ada, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
	v := newVisitor(t, w, front, pool)
	// refused fails the test unless the answer is that one and the service was not asked.
	refused := func(what string, a servertest.Answer, status int, code string) {
		t.Helper()
		if got := a.Header.Get("X-Tokenjar-Problem"); a.Status != status || got != code || a.Header.Get("Cache-Control") != "no-store" && status != 403 {
			t.Errorf("%s: got %d %s %v, want %d %s", what, a.Status, got, a.Header, status, code)
		}
		if len(a.Cookies()) != 0 {
			t.Errorf("%s: cookies are set: %v", what, a.Cookies())
		}
	}
	served := func(what string, a servertest.Answer, user string) {
		t.Helper()
		if a.Status != 200 || string(a.Body) != user || a.Header.Get("X-Tokenjar-Problem") != "" || a.Header.Get("Authorization") != "" || a.Header.Get("X-Auth-User") != "" {
			t.Errorf("%s: got %d %v %s, want %s", what, a.Status, a.Header, a.Body, user)
		}
	}

	refused("nobody", v.send("GET", "/api/x", ""), 401, "not_authenticated")
	if a := v.send("GET", "/api/x", ""); a.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("nobody: WWW-Authenticate is %q", a.Header.Get("WWW-Authenticate"))
	}
	if a := v.send("GET", "/api/x", ""); a.Code() != "not_authenticated" || a.JSON(t)["action"] != "refresh" || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("nobody: a page reads %v %s", a.Header, a.Body)
	}
	if a := v.send("GET", "/api/x?y=1", "", servertest.Header("Sec-Fetch-Mode", "navigate")); a.Status != 303 || a.Header.Get("Location") != "/?next=/api/x?y=1" {
		t.Errorf("a page is opened: %d to %q", a.Status, a.Header.Get("Location"))
	}
	if n := api.count(); n != 0 {
		t.Fatalf("the service was asked %d times", n)
	}

	v.use(ada.Access, ada.Refresh)
	forged := []func(*http.Request){
		servertest.Header("X-Auth-User", eve.UserID), servertest.AddHeader("x-auth-user", eve.UserID), servertest.Header("X_Auth_User", eve.UserID),
		servertest.Header("Connection", "X-Auth-User, Authorization"), servertest.Header("X-Forwarded-For", "198.51.100.66"),
	}
	served("who is signed in", v.send("GET", "/api/x?y=%2e%2e/", "", forged...), ada.UserID)
	got, _ := api.last()
	if got.RequestURI != "/api/x?y=%2e%2e/" || len(got.Header["X-Auth-User"]) != 1 || got.Header["X_auth_user"] != nil || got.Header.Get("Cookie") != "" ||
		got.Header.Get("X-Csrftoken") != "" || got.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("the service got %s %v", got.RequestURI, got.Header)
	}
	bearer, _ := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
	if claims := decodeFor(t, w, "https://app.example.com/forward-auth", bearer); claims.String("sub") != ada.UserID {
		t.Errorf("the token is for %v", claims)
	}
	served("a bearer of another user does not count", v.send("GET", "/api/x", "", servertest.Bearer("x.y.z")), ada.UserID)
	if got, _ := api.last(); len(got.Header["Authorization"]) != 1 || strings.Contains(got.Header.Get("Authorization"), "x.y.z") {
		t.Errorf("the service got %v", got.Header["Authorization"])
	}
	served("a write", v.send("POST", "/api/x", `{"a":1}`, ada.WithCSRF), ada.UserID)
	if got, body := api.last(); got.Method != "POST" || body != `{"a":1}` {
		t.Errorf("the service got %s %s", got.Method, body)
	}

	before := api.count()
	get := servertest.Header("X-Original-Method", "GET")
	refused("a write without CSRF token", v.send("POST", "/api/x", "{}"), 403, "csrf_failed")
	refused("a write that says it is a read", v.send("DELETE", "/api/x", "", get, servertest.AddHeader("X_Original_Method", "GET"), servertest.Header("X-HTTP-Method-Override", "GET")), 403, "csrf_failed")
	refused("a write of another site", v.send("POST", "/api/x", "{}", ada.WithCSRF, servertest.CrossSite), 403, "origin_not_allowed")
	refused("a handshake of another site", v.send("GET", "/api/x", "", servertest.CrossSite, servertest.Header("Upgrade", "websocket"),
		servertest.Header("Connection", "Upgrade"), servertest.Header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")), 403, "origin_not_allowed")
	for target, status := range map[string]int{
		// nginx takes dots and slashes together before it looks for the location; what the browser wrote is judged.
		"/api/%2e%2e/x": 400, "/api/../x": 400, "/api/..%2fx": 400, "/x/%2e%2e/api/y": 403, "/auth/..%2fapi/y": 403, "/api/..;/x": 403, "/api/%2e%2e;/x": 403, "/api//x": 403,
		"/api/./x": 403, "/api/x%2fy": 403, "/api/%5cx": 403, "/api/%ff": 403, "/api/%C2%85": 403, "/./api/x": 403, "/%61pi//x": 403,
	} {
		refused(target, v.send("GET", target, ""), status, "bad_path")
	}
	if a := v.send("GET", "/forward-auth", "", servertest.Header("X-Original-URI", "/api/x"), get, servertest.Header("X-Original-Host", "app.example.com")); a.Status != 404 {
		t.Errorf("a browser asks: %d %v", a.Status, a.Header)
	}
	for _, head := range []string{
		"GET https://evil.example/api/x HTTP/1.1\r\nHost: app.example.com", "GET /api/x HTTP/1.1\r\nHost: evil.example", "GET /api/x HTTP/1.1\r\nHost: app.example.com.evil.example",
	} {
		conn, err := tls.Dial("tcp", front, &tls.Config{RootCAs: pool, ServerName: "app.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, head+"\r\nCookie: "+w.AccessName()+"="+ada.Access+"\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 403 || res.Header.Get("X-Tokenjar-Problem") != "misdirected_host" {
			t.Errorf("%q: %d %v", head, res.StatusCode, res.Header)
		}
		conn.Close()
	}
	if after := api.count(); after != before {
		t.Errorf("INV-2 the service was asked %d times about what was refused", after-before)
	}

	if a := v.send("GET", "/api/own-401", ""); a.Status != 401 || a.Header.Get("X-Tokenjar-Problem") != "" {
		t.Errorf("a 401 of the service looks like ours: %v", a.Header)
	}
	if a := v.send("GET", "/api/own-500", ""); a.Status != 500 || a.Header.Get("Retry-After") != "" {
		t.Errorf("a 500 of the service: %d %v", a.Status, a.Header)
	}

	// The access token has run out: nothing is renewed on the way, the page refreshes.
	v.use("", ada.Refresh)
	refused("renewable", v.send("GET", "/api/x", ""), 401, "not_authenticated")
	refused("renewable, writing", v.send("POST", "/api/x", "{}", ada.WithCSRF), 401, "not_authenticated")
	if g := ada.Generation(t); g != 1 {
		t.Errorf("the session was renewed on the way: generation %d", g)
	}
	if a := v.send("POST", "/auth/token/refresh", "", ada.WithCSRF); a.Status != 200 || len(a.Cookies()) != 3 {
		t.Fatalf("refresh: %d %s", a.Status, a.Body)
	}
	served("refreshed", v.send("GET", "/api/x", ""), ada.UserID)

	w.Store.SetDown(true)
	a := v.send("GET", "/api/x", "")
	refused("with the store down", a, 503, "store_unavailable")
	if a.Header.Get("Retry-After") == "" || a.JSON(t)["action"] != "retry" {
		t.Errorf("with the store down: %v %s", a.Header, a.Body)
	}
	w.Store.SetDown(false)
	served("with the store up again", v.send("GET", "/api/x", ""), ada.UserID)

	if err := w.Service.EndSession(t.Context(), ada.UserID, ada.SessionID); err != nil {
		t.Fatal(err)
	}
	refused("ended elsewhere", v.send("GET", "/api/x", ""), 401, "token_revoked")
	v.use(eve.Access, eve.Refresh)
	served("another user", v.send("GET", "/api/x", ""), eve.UserID)
	before = api.count()
	w.Stop()
	for { // until nobody answers
		conn, err := net.Dial("tcp", w.Server.AdminAddr().String())
		if err != nil {
			break
		}
		conn.Close()
	}
	refused("nobody to ask", v.send("GET", "/api/x", ""), 503, "")
	if api.count() != before {
		t.Error("nobody was there to ask, and the request passed")
	}
}

// decodeFor verifies a token as the service of that audience does.
func decodeFor(t *testing.T, w *servertest.World, audience, bearer string) token.Claims {
	t.Helper()
	keys, err := token.ParseKeySet(w.Service.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(nil, keys...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := token.NewDecoder(token.DecoderConfig{Keys: ring, Type: "at+jwt", Issuer: w.Service.Issuer(), Audience: audience, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := d.Decode(bearer)
	if err != nil {
		t.Errorf("the token for %s: %v", audience, err)
	}
	return claims
}
