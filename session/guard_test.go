package session_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/session"
)

// A program of somebody else, behind the guard, asked through real HTTP.

type embedded struct {
	*servertest.World
	guard *session.Guard
}

func newEmbedded(t *testing.T, changes ...func(*session.Config)) embedded {
	t.Helper()
	w := servertest.Start(t)
	cfg := session.Config{Service: w.Service, PublicURL: w.URL, Now: w.Clock.Now, RenewalExclude: []string{"/admin/"}}
	for _, change := range changes {
		change(&cfg)
	}
	g, err := session.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return embedded{w, g}
}

// ask sends one request to a handler on a server of its own.
func (e embedded) ask(t *testing.T, h http.Handler, method, path string, changes ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, change := range changes {
		change(r)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, "" // the connection itself
	}
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

// whoami tells who a request speaks for.
func whoami(w http.ResponseWriter, r *http.Request) {
	id, ok := tokenjar.IdentityFromContext(r.Context())
	fmt.Fprintf(w, "%s %v", id.UserID, ok)
}

func TestCacheHeaders(t *testing.T) {
	e := newEmbedded(t)
	cached := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "public, s-maxage=600, max-age=60")
		h.Set("Expires", "Thu, 01 Jan 2099 00:00:00 GMT")
		h["ETag"] = []string{`"x"`}
		h.Set("Last-Modified", "Thu, 01 Jan 2009 00:00:00 GMT")
		h.Set("CDN-Cache-Control", "max-age=9")
		h["Vercel-CDN-Cache-Control"] = []string{"max-age=9"}
		h.Set("Surrogate-Control", "max-age=9")
		h.Set("X-Accel-Expires", "9")
		io.WriteString(w, "private things")
	})
	for kind, wrap := range map[string]func(http.Handler) http.Handler{"required": e.guard.Required, "optional": e.guard.Optional} {
		check := func(t *testing.T, res *http.Response, control string, validators bool) {
			t.Helper()
			h := res.Header
			if h.Get("Cache-Control") != control {
				t.Errorf("Cache-Control: %q, want %q", h.Get("Cache-Control"), control)
			}
			for _, name := range []string{"Etag", "Last-Modified", "Expires"} {
				if (h.Get(name) != "") != validators {
					t.Errorf("%s: %q", name, h.Get(name))
				}
			}
			for _, name := range []string{"Cdn-Cache-Control", "Vercel-Cdn-Cache-Control", "Surrogate-Control", "X-Accel-Expires"} {
				if h.Get(name) != "" {
					t.Errorf("%s: %q", name, h.Get(name))
				}
			}
			if vary := strings.Join(h["Vary"], ","); !strings.Contains(vary, "Cookie") || !strings.Contains(vary, "Authorization") {
				t.Errorf("Vary: %q", vary)
			}
		}
		t.Run(kind+": an answer that sets our cookies is nobody's to store", func(t *testing.T) {
			p := e.SignIn(t, servertest.Ada)
			res, body := e.ask(t, wrap(cached), "GET", "/", p.RefreshOnly)
			if res.StatusCode != 200 || body != "private things" || len(res.Cookies()) != 3 {
				t.Errorf("got %d %s %v", res.StatusCode, body, res.Cookies())
			}
			check(t, res, "no-store", false)
		})
		t.Run(kind+": any other is private to its user", func(t *testing.T) {
			res, _ := e.ask(t, wrap(cached), "GET", "/", e.SignIn(t, servertest.Ada).As)
			check(t, res, "private, max-age=60", true)
		})
		t.Run(kind+": a refusal is nobody's to store", func(t *testing.T) {
			res, _ := e.ask(t, wrap(cached), "POST", "/", e.SignIn(t, servertest.Ada).As, servertest.CrossSite)
			if res.StatusCode != 403 || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d, %s", res.StatusCode, res.Header.Get("Cache-Control"))
			}
		})
		t.Run(kind+": a handler that writes nothing", func(t *testing.T) {
			p := e.SignIn(t, servertest.Ada)
			res, _ := e.ask(t, wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), "GET", "/", p.RefreshOnly)
			if res.StatusCode != 200 || len(res.Cookies()) != 3 || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v", res.StatusCode, res.Header)
			}
		})
		t.Run(kind+": a handler that streams, and one that says more beforehand", func(t *testing.T) {
			p := e.SignIn(t, servertest.Ada)
			res, body := e.ask(t, wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Link", "</a>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				w.(http.Flusher).Flush()
				io.WriteString(w, "data: 1\n\n")
				http.NewResponseController(w).Flush()
				w.Header().Set("Cache-Control", "public") // too late
			})), "GET", "/", p.RefreshOnly)
			if res.StatusCode != 200 || body != "data: 1\n\n" || len(res.Cookies()) != 3 || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %q %v", res.StatusCode, body, res.Header)
			}
		})
	}
}

func TestRenewedOnTheWayToAnEmbeddedHandler(t *testing.T) {
	e := newEmbedded(t)
	for _, status := range []int{200, 201, 204, 304, 400, 401, 404, 418, 422, 500, 503} {
		t.Run(fmt.Sprint("the new cookies are on a ", status), func(t *testing.T) {
			p := e.SignIn(t, servertest.Ada)
			h := e.guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				whoami(httptest.NewRecorder(), r)
				if id, ok := tokenjar.IdentityFromContext(r.Context()); !ok || id.UserID != "user-ada" || id.SessionID != p.SessionID || id.Generation != 2 {
					t.Errorf("identity %v %v", id, ok)
				}
				w.WriteHeader(status)
			}))
			res, _ := e.ask(t, h, "POST", "/things", p.RefreshOnly)
			if res.StatusCode != status || len(res.Cookies()) != 3 || p.Generation(t) != 2 {
				t.Errorf("got %d %v, generation %d", res.StatusCode, res.Cookies(), p.Generation(t))
			}
		})
	}
	t.Run("and on the answer to a panic, when somebody above answers it", func(t *testing.T) {
		p := e.SignIn(t, servertest.Ada)
		h := e.guard.Required(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("at the disco") }))
		res, _ := e.ask(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				recover()
				w.WriteHeader(500)
			}()
			h.ServeHTTP(w, r)
		}), "GET", "/", p.RefreshOnly)
		if res.StatusCode != 500 || len(res.Cookies()) != 3 || res.Header.Get("Cache-Control") != "no-store" || p.Generation(t) != 2 {
			t.Errorf("got %d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("not under renewal_exclude, in whole segments, however it is written", func(t *testing.T) {
		p := e.SignIn(t, servertest.Ada)
		for path, want := range map[string]int{"/admin": 401, "/admin/": 401, "/admin/users": 401, "/%61dmin/users": 401, "/admin%2Fusers": 401, "/administrator": 200, "/x/admin/": 200} {
			if res, _ := e.ask(t, e.guard.Required(http.HandlerFunc(whoami)), "GET", path, p.RefreshOnly); res.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
			}
		}
	})
	t.Run("not with NoRenewal", func(t *testing.T) {
		e := newEmbedded(t, func(c *session.Config) { c.NoRenewal = true })
		p := e.SignIn(t, servertest.Ada)
		res, body := e.ask(t, e.guard.Required(http.HandlerFunc(whoami)), "GET", "/", p.RefreshOnly)
		if res.StatusCode != 401 || !strings.Contains(body, `"action":"refresh"`) || p.Generation(t) != 1 {
			t.Errorf("got %d %s", res.StatusCode, body)
		}
		if res, body := e.ask(t, e.guard.Optional(http.HandlerFunc(whoami)), "GET", "/", p.RefreshOnly); res.StatusCode != 200 || body != " false" || p.Generation(t) != 1 {
			t.Errorf("optional: %d %s", res.StatusCode, body)
		}
	})
}

func TestOptionalIsAnonymousForBadCredentials(t *testing.T) {
	e := newEmbedded(t)
	p, gone, eve := e.SignIn(t, servertest.Ada), e.SignIn(t, servertest.Ada), e.SignIn(t, servertest.Eve)
	if err := e.Service.EndSession(t.Context(), gone.UserID, gone.SessionID); err != nil {
		t.Fatal(err)
	}
	h := e.guard.Optional(http.HandlerFunc(whoami))
	for name, row := range map[string]struct {
		method string
		change func(*http.Request)
		status int
		body   string
	}{
		"nothing":                     {"GET", func(*http.Request) {}, 200, " false"},
		"good cookies":                {"GET", p.As, 200, "user-ada true"},
		"good bearer":                 {"GET", servertest.Bearer(p.Access), 200, "user-ada true"},
		"bad cookies":                 {"GET", e.Cookies("junk", "junk"), 200, " false"},
		"quoted cookie":               {"GET", servertest.RawCookie(`access_token="x"`), 200, " false"},
		"bad bearer":                  {"GET", servertest.Bearer("junk"), 200, " false"},
		"malformed Authorization":     {"GET", servertest.Header("Authorization", "Bearer a b"), 200, " false"},
		"revoked session":             {"GET", gone.As, 200, " false"},
		"refresh cookie of the ended": {"GET", gone.RefreshOnly, 200, " false"},
		"cookies of two users":        {"GET", e.Cookies(p.Access, eve.Refresh), 200, " false"},
		"cookie and bearer of two":    {"GET", func(r *http.Request) { p.As(r); servertest.Bearer(eve.Access)(r) }, 200, " false"},
		"bad cookies, POST":           {"POST", e.Cookies("junk", "junk"), 200, " false"},
		"bad cookies, foreign POST":   {"POST", func(r *http.Request) { e.Cookies("junk", "")(r); servertest.CrossSite(r) }, 403, "origin_not_allowed"},
		"foreign POST":                {"POST", func(r *http.Request) { p.As(r); servertest.CrossSite(r) }, 403, "origin_not_allowed"},
		"foreign POST, no cookie":     {"POST", servertest.CrossSite, 200, " false"},
		"POST without CSRF token":     {"POST", func(r *http.Request) { p.As(r); r.Header.Del("X-CSRFToken") }, 403, "csrf_failed"},
		"renewable, without token":    {"POST", e.Cookies("", p.Refresh), 403, "csrf_failed"},
		"two Authorization fields":    {"GET", func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }, 400, "validation_failed"},
		"too many cookies (X-19)":     {"GET", servertest.RawCookie(strings.Repeat("a=b;", 300)), 431, "header_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := e.ask(t, h, row.method, "/", row.change)
			if res.StatusCode != row.status || !strings.Contains(body, row.body) || len(res.Cookies()) != 0 {
				t.Errorf("got %d %s %v", res.StatusCode, body, res.Cookies())
			}
		})
	}
	e.Store.SetDown(true)
	res, body := e.ask(t, h, "GET", "/", p.RefreshOnly)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || len(res.Cookies()) != 0 {
		t.Errorf("store down: %d %s %v", res.StatusCode, body, res.Header)
	}
	if res, body := e.ask(t, h, "GET", "/", p.As); res.StatusCode != 200 || body != "user-ada true" {
		t.Errorf("store down, live access token: %d %s", res.StatusCode, body)
	}
	e.Store.SetDown(false)
	if res, body := e.ask(t, h, "GET", "/", p.RefreshOnly); res.StatusCode != 200 || body != "user-ada true" || len(res.Cookies()) != 3 {
		t.Errorf("and again: %d %s", res.StatusCode, body)
	}
}

func TestWebSocketHandshake(t *testing.T) {
	const trusted = "https://spa.example.com"
	e := newEmbedded(t, func(c *session.Config) { c.TrustedOrigins = []string{trusted} })
	p := e.SignIn(t, servertest.Ada)
	socket := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		rw.Flush()
		bufio.NewReader(conn).ReadByte()
	})
	upgrade := func(value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", value)
		}
	}
	origin := func(o, site string) func(*http.Request) {
		return func(r *http.Request) {
			servertest.NoSignal(r)
			if o != "" {
				r.Header.Set("Origin", o)
			}
			if site != "" {
				r.Header.Set("Sec-Fetch-Site", site)
			}
		}
	}
	for _, row := range []struct {
		name   string
		as     func(*http.Request)
		origin func(*http.Request)
		status int
	}{
		{"own page with cookies", p.As, origin(e.Origin, "same-origin"), 101},
		{"own page, older browser", p.As, origin(e.Origin, ""), 101},
		{"a trusted page", p.As, origin(trusted, "same-site"), 101},
		{"X-22: a foreign page", p.As, origin("https://evil.example", "cross-site"), 403},
		{"X-22: a foreign page, no Fetch Metadata", p.As, origin("https://evil.example", ""), 403},
		{"X-22: null", p.As, origin("null", ""), 403},
		{"X-22: no Origin, though same-origin", p.As, origin("", "same-origin"), 403},
		{"X-22: no Origin at all", p.As, origin("", ""), 403},
		{"X-22: a foreign page with the refresh cookie alone", p.RefreshOnly, origin("https://evil.example", "cross-site"), 403},
		{"X-22: a foreign page with bad cookies", e.Cookies("junk", ""), origin("https://evil.example", ""), 403},
		{"a program with a bearer and no Origin", servertest.Bearer(p.Access), origin("", ""), 101},
		{"P-34: nobody", func(*http.Request) {}, origin(e.Origin, ""), 401},
	} {
		for _, value := range []string{"websocket", "WebSocket", "h2c, websocket"} {
			t.Run(row.name+", "+value, func(t *testing.T) {
				before := e.Digest(t)
				res, body := e.ask(t, e.guard.Required(socket), "GET", "/ws", row.as, row.origin, upgrade(value))
				if res.StatusCode != row.status {
					t.Errorf("got %d %s", res.StatusCode, body)
				}
				if row.status != 101 && e.Digest(t) != before {
					t.Error("something changed")
				}
			})
		}
	}
	if res, _ := e.ask(t, e.guard.Required(http.HandlerFunc(whoami)), "GET", "/", p.As, origin("https://evil.example", "cross-site")); res.StatusCode != 200 {
		t.Errorf("X-11: a plain GET of a foreign page: %d", res.StatusCode)
	}
}

// A WebSocket that was opened while the access token had run out would be a stranger's for as long as the page is open.
func TestAHandshakeThatARefreshWouldHelpIsNotAnonymous(t *testing.T) {
	e := newEmbedded(t)
	p, gone := e.SignIn(t, servertest.Ada), e.SignIn(t, servertest.Ada)
	if err := e.Service.EndSession(t.Context(), gone.UserID, gone.SessionID); err != nil {
		t.Fatal(err)
	}
	h := e.guard.Optional(http.HandlerFunc(whoami))
	upgrade := func(r *http.Request) {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Origin", e.Origin)
	}
	for _, row := range []struct {
		name string
		as   func(*http.Request)
		want string
	}{
		{"good cookies", p.As, "user-ada true"},
		{"a refresh cookie alone", p.RefreshOnly, `"action":"refresh"`},
		{"a bad access cookie beside it", e.Cookies("junk", p.Refresh), `"action":"refresh"`},
		{"nothing", func(*http.Request) {}, " false"},
		{"bad cookies", e.Cookies("junk", "junk"), " false"},
		{"an access cookie where the refresh cookie belongs", e.Cookies("", p.Access), " false"},
		{"a session that has ended", gone.As, " false"},
		{"a bad bearer", servertest.Bearer("junk"), " false"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := e.Digest(t)
			res, body := e.ask(t, h, "GET", "/ws", row.as, upgrade)
			if !strings.Contains(body, row.want) || (res.StatusCode == 401) != strings.Contains(row.want, "refresh") {
				t.Errorf("got %d %s, want %s", res.StatusCode, body, row.want)
			}
			if len(res.Cookies()) != 0 || e.Digest(t) != before {
				t.Errorf("something changed, and the cookies are %v", res.Cookies())
			}
		})
	}
	if res, body := e.ask(t, h, "GET", "/ws", p.RefreshOnly); body != "user-ada true" || len(res.Cookies()) != 3 {
		t.Errorf("no handshake: %d %s", res.StatusCode, body)
	}
}

func TestNewNamesEveryMistake(t *testing.T) {
	e := newEmbedded(t)
	_, err := session.New(session.Config{Service: e.Service, PublicURL: "http://app.example.com", TrustedOrigins: []string{"null", "https://*.example.com"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"plain http", "null", "wildcards"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
	if _, err := session.New(session.Config{PublicURL: "https://app.example.com"}); err == nil {
		t.Error("no service: accepted")
	}
}
