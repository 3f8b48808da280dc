package server_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	st "github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/store/memory"
)

// A recorder is a service that keeps the heads of what it got.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	heads []http.Header
}

func newRecorder(t *testing.T) *recorder {
	s := &recorder{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.heads = append(s.heads, r.Header.Clone())
		s.mu.Unlock()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		io.WriteString(w, "service")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *recorder) last(t *testing.T) http.Header {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heads) == 0 {
		t.Fatal("the service got nothing")
	}
	return s.heads[len(s.heads)-1]
}

// route is a route with the defaults of a file.
func route(path, upstream string) config.Route {
	return config.Route{Path: path, Upstream: upstream, Auth: "required", CSRF: "check", Token: "audience"}
}

func secretOf(t *testing.T) tokenjar.Secret {
	secret, err := tokenjar.ParseSecret([]byte(st.Secret))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func newMemory() server.Store { return memory.New(memory.Config{}) }

const (
	shopURL  = "https://shop.example.com"
	adminURL = "https://admin.example.com"
)

// at sends a request to another frontend than the main one.
func at(public string) func(*http.Request) {
	return func(r *http.Request) {
		u, err := url.Parse(public)
		if err != nil {
			panic(err)
		}
		r.URL.Scheme, r.URL.Host, r.Host = u.Scheme, u.Host, u.Host
		if r.Header.Get("Origin") != "" {
			r.Header.Set("Origin", public)
		}
	}
}

// twoFrontends starts a server with a shop and, for its staff, an application of another host.
func twoFrontends(t *testing.T, change func(*config.Config)) (w *st.World, shop, admin *recorder) {
	shop, admin = newRecorder(t), newRecorder(t)
	w = st.Start(t, st.Setup{Config: func(c *config.Config) {
		c.PublicURL = shopURL
		c.SPA.Dir = application(t, spaPage)
		c.Routes = []config.Route{route("/api/", shop.URL), route("/shop-only/", shop.URL)}
		c.Frontends = []config.Frontend{{
			PublicURL: adminURL, SPA: config.SPA{Dir: application(t, "<title>Admin</title>")}, Routes: []config.Route{route("/api/", admin.URL)},
		}}
		if change != nil {
			change(c)
		}
	}})
	return w, shop, admin
}

func TestTheHostSaysWhichFrontend(t *testing.T) {
	w, shop, admin := twoFrontends(t, nil)
	for public, want := range map[string]string{shopURL: spaPage, adminURL: "<title>Admin</title>", adminURL + ":443": "<title>Admin</title>"} {
		if a := w.Send(t, "GET", "/orders/42", "", navigate, at(public)); a.Status != 200 || string(a.Body) != want {
			t.Errorf("%s: %d %s", public, a.Status, a.Body)
		}
	}
	admins := w.Browser(t)
	a := admins.Do(t, "POST", "/auth/login", `{"username":"ada","password":"`+st.Password+`"}`, at(adminURL))
	if a.Status != 200 || len(a.Cookies()) != 3 {
		t.Fatalf("login: %d %s", a.Status, a.Body)
	}
	for _, c := range a.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || c.Domain != "" || !c.Secure {
			t.Errorf("cookie %s: Domain %q, Secure %v", c.Name, c.Domain, c.Secure)
		}
	}
	if a := admins.Do(t, "GET", "/api/x", "", at(adminURL)); a.Status != 200 || string(a.Body) != "service" {
		t.Errorf("a route of the frontend: %d %s", a.Status, a.Body)
	}
	got := admin.last(t)
	if got.Get("X-Forwarded-Host") != "admin.example.com" || got.Get("X-Forwarded-Proto") != "https" || !strings.HasPrefix(got.Get("Authorization"), "Bearer ") {
		t.Errorf("the service was told %v", got)
	}
	// A route of one is none of the other.
	if a := admins.Do(t, "GET", "/shop-only/x", "", navigate, at(adminURL)); string(a.Body) != "<title>Admin</title>" {
		t.Errorf("a route of the other frontend: %d %s", a.Status, a.Body)
	}
	if len(shop.heads) != 0 {
		t.Error("a request for one frontend reached a service of the other")
	}
	// A path that is ambiguous at one is not at the other.
	w.Refused(t, 400, "bad_path", "GET", "/SHOP-only/x", "", at(shopURL))
	if a := w.Send(t, "GET", "/SHOP-only/x", "", navigate, at(adminURL)); a.Status != 200 {
		t.Errorf("/SHOP-only at admin: %d", a.Status)
	}
	for _, host := range []string{"evil.example", "example.com", "ADMIN.example.com", "admin.example.com.", "admin.example.com:8443", "admin.example.com,evil.example"} {
		r := w.Request(t, "GET", "/", "", navigate)
		r.Host = host
		if a := w.Do(t, http.DefaultClient, direct(r, w)); a.Status != 421 || a.Code() != "misdirected_host" {
			t.Errorf("host %s: %d %s", host, a.Status, a.Body)
		}
	}
	if a := w.Send(t, "GET", "/readyz", "", func(r *http.Request) { r.Host = "10.0.0.7:8080" }); a.Status != 200 {
		t.Errorf("health under any host: %d", a.Status)
	}
	if scrape := w.Server.Scrape(); !strings.Contains(scrape, `route="admin.example.com/api/"`) {
		t.Error("the frontend's route is not counted under a name of its own")
	}
}

// direct sends a request to the server's own address, whatever its Host field says.
func direct(r *http.Request, w *st.World) *http.Request {
	r.URL.Scheme, r.URL.Host = "http", w.Addr()
	return r
}

// Each frontend is an origin of its own: what is same-origin, trusted and secure is judged by its address alone.
func TestAFrontendsPagesAreForeignAtTheOther(t *testing.T) {
	w, _, admin := twoFrontends(t, nil)
	b := w.Browser(t)
	b.Login(t, st.Ada)
	csrf := b.Cookie("csrftoken")
	from := func(origin, site string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Origin", origin)
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("X-CSRFToken", csrf)
		}
	}
	if a := b.Do(t, "POST", "/api/x", "{}", from(adminURL, "same-site")); a.Status != 403 || a.Code() != "origin_not_allowed" {
		t.Errorf("a page of the other frontend: %d %s", a.Status, a.Body)
	}
	w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/login", `{"username":"ada","password":"x"}`, from(adminURL, "same-site"))
	w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/login", `{"username":"ada","password":"x"}`, at(adminURL), from(shopURL, "same-site"))
	older := st.Header("Sec-Fetch-Site", "") // of a browser that says no more than the origin
	w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/login", `{"username":"ada","password":"x"}`, at(adminURL), from(shopURL, ""), older)
	w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/login", `{"username":"ada","password":"x"}`, from(adminURL, ""), older)
	if a := w.Send(t, "POST", "/auth/login", `{"username":"ada","password":"`+st.Password+`"}`, at(adminURL), from(adminURL, ""), older); a.Status != 200 {
		t.Errorf("a page of the frontend itself: %d %s", a.Status, a.Body)
	}
	if a := w.Send(t, "GET", "/auth/session", "", st.Header("Origin", adminURL)); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a page of the other frontend may read answers")
	}
	if len(admin.heads) > 0 {
		t.Error("a service of the other frontend got a request")
	}
}

// Host-only cookies do not leave their host. Who copies his own to another frontend is there who he is here.
func TestASessionOfOneFrontendAtAnother(t *testing.T) {
	w, shop, admin := twoFrontends(t, nil)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &st.Browser{World: w, Jar: jar, Client: &http.Client{Transport: w.Transport(t), Jar: jar}}
	b.Login(t, st.Ada)
	if a := b.Do(t, "GET", "/api/x", ""); a.Status != 200 {
		t.Fatalf("at its own frontend: %d", a.Status)
	}
	// What a browser does: nothing goes there.
	if a := b.Do(t, "GET", "/api/x", "", at(adminURL)); a.Status != 401 {
		t.Errorf("a browser at the other frontend: %d", a.Status)
	}
	if a := b.Do(t, "GET", "/auth/session", "", at(adminURL)); a.JSON(t)["authenticated"] != false {
		t.Errorf("the session is there: %s", a.Body)
	}
	// What a person can do by hand.
	u, _ := url.Parse(shopURL)
	var cookies []string
	for _, c := range jar.Cookies(u) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	a := w.Send(t, "GET", "/api/x", "", at(adminURL), st.RawCookie(strings.Join(cookies, "; ")))
	if a.Status != 200 {
		t.Errorf("the cookie by hand: %d %s", a.Status, a.Body)
	}
	bearers := []string{shop.last(t).Get("Authorization"), admin.last(t).Get("Authorization")}
	if bearers[0] == bearers[1] {
		t.Error("two services got one token: each audience has its own")
	}
	// It is one session: signed out at one, it is over at the other.
	if a := b.Do(t, "POST", "/auth/logout", ""); a.Status != 200 {
		t.Fatalf("logout: %d", a.Status)
	}
	if a := w.Send(t, "GET", "/api/x", "", at(adminURL), st.RawCookie(strings.Join(cookies, "; "))); a.Status != 401 {
		t.Errorf("after signing out at the first: %d", a.Status)
	}
}

func TestTokensOfAllFrontendsHaveOneIssuer(t *testing.T) {
	w, _, _ := twoFrontends(t, nil)
	for _, public := range []string{shopURL, adminURL} {
		a := w.Send(t, "POST", "/auth/token", `{"username":"ada","password":"`+st.Password+`"}`, at(public))
		if a.Status != 200 {
			t.Fatalf("%s: %d %s", public, a.Status, a.Body)
		}
		token, _ := a.JSON(t)["access"].(string)
		for _, there := range []string{shopURL, adminURL} {
			if a := w.Send(t, "GET", "/auth/user", "", at(there), st.Bearer(token)); a.Status != 200 {
				t.Errorf("a token got at %s is %d at %s", public, a.Status, there)
			}
		}
	}
	if w.Service.Issuer() != shopURL {
		t.Errorf("issuer %s", w.Service.Issuer())
	}
	keys := w.Send(t, "GET", "/.well-known/jwks.json", "")
	if other := w.Send(t, "GET", "/.well-known/jwks.json", "", at(adminURL)); string(other.Body) != string(keys.Body) {
		t.Error("two frontends publish different keys")
	}
}

// A cookie with a domain is for all frontends below it; which of them set it makes no difference.
func TestWithADomainASessionIsThatOfAllFrontends(t *testing.T) {
	w, _, _ := twoFrontends(t, func(c *config.Config) { c.Cookies.Domain = "example.com" })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &st.Browser{World: w, Jar: jar, Client: &http.Client{Transport: w.Transport(t), Jar: jar}}
	b.Login(t, st.Ada)
	if a := b.Do(t, "GET", "/api/x", "", at(adminURL)); a.Status != 200 {
		t.Errorf("at the other frontend: %d %s", a.Status, a.Body)
	}
	if a := b.Do(t, "POST", "/auth/logout", "", at(adminURL)); a.Status != 200 {
		t.Errorf("logout there: %d %s", a.Status, a.Body)
	}
	if a := b.Do(t, "GET", "/api/x", ""); a.Status != 401 {
		t.Errorf("at the first afterwards: %d", a.Status)
	}
}

func TestHTTPSIsJudgedByEachFrontendsAddress(t *testing.T) {
	w := st.Start(t, st.Setup{Config: func(c *config.Config) {
		c.PublicURL = shopURL
		c.TrustedProxies = []string{"127.0.0.0/8"}
		c.Frontends = []config.Frontend{{PublicURL: "http://localhost:9999"}}
	}})
	byHTTP := st.Header("X-Forwarded-Proto", "http")
	w.Refused(t, 421, "misdirected_host", "GET", "/", "", byHTTP)
	a := w.Send(t, "GET", "/", "", at("http://localhost:9999"), byHTTP)
	if a.Status != 200 || a.Header.Get("Strict-Transport-Security") != "" || !strings.Contains(string(a.Body), "<html") {
		t.Errorf("a loopback frontend: %d, HSTS %q", a.Status, a.Header.Get("Strict-Transport-Security"))
	}
	if a := w.Send(t, "GET", "/", "", st.Header("X-Forwarded-Proto", "https")); a.Status != 200 || a.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("the main frontend: %d, HSTS %q", a.Status, a.Header.Get("Strict-Transport-Security"))
	}
	login := w.Send(t, "POST", "/auth/login", `{"username":"ada","password":"`+st.Password+`"}`, at("http://localhost:9999"))
	for _, c := range login.Cookies() {
		if c.Secure || strings.HasPrefix(c.Name, "__") {
			t.Errorf("loopback frontend sets %s, Secure %v", c.Name, c.Secure)
		}
	}
	if login.Status != 200 {
		t.Errorf("login: %d %s", login.Status, login.Body)
	}
}

func TestFrontendsThatCannotBeToldApartStopTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		frontends []config.Frontend
		domain    string
	}{
		"the main address again":            {frontends: []config.Frontend{{PublicURL: shopURL}}},
		"with the port written":             {frontends: []config.Frontend{{PublicURL: shopURL + ":443"}}},
		"twice":                             {frontends: []config.Frontend{{PublicURL: adminURL}, {PublicURL: adminURL}}},
		"none":                              {frontends: []config.Frontend{{}}},
		"outside the domain of the cookies": {frontends: []config.Frontend{{PublicURL: "https://shop.example.org"}}, domain: "example.com"},
	} {
		cfg := config.Defaults()
		cfg.Listen, cfg.PublicURL, cfg.Frontends, cfg.Cookies.Domain = "127.0.0.1:0", shopURL, c.frontends, c.domain
		_, err := server.Open(t.Context(), cfg, secretOf(t), newMemory(), server.Options{})
		if err == nil || !strings.Contains(err.Error(), "frontends") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
