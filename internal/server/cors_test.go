package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/store/memory"
)

// The page of another origin that may read, on another port of the same site.
const spa = "http://localhost:5173"

func sharing(change ...func(*config.Config)) servertest.Setup {
	return servertest.Setup{Demo: true, Config: func(c *config.Config) {
		c.CORS.AllowedOrigins = []string{spa}
		for _, f := range change {
			f(c)
		}
	}}
}

// from makes a request that of a page of another origin.
func from(origin string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-site")
	}
}

// shared fails the test unless the answer may be read by origin, with credentials.
func shared(t *testing.T, a servertest.Answer, origin, what string) {
	t.Helper()
	h := a.Header
	if got := h.Values("Access-Control-Allow-Origin"); !slices.Equal(got, []string{origin}) || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("%s: %d: Access-Control-Allow-Origin %q, credentials %q", what, a.Status, got, h.Get("Access-Control-Allow-Credentials"))
	}
	if got := h.Get("Access-Control-Expose-Headers"); got != "X-Tokenjar-Problem, Retry-After, X-Request-Id" {
		t.Errorf("%s: %d: exposes %q", what, a.Status, got)
	}
	varies(t, h, what)
}

// notShared fails the test if an answer carries any permission.
func notShared(t *testing.T, h http.Header, what string) {
	t.Helper()
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %s: %q", what, name, h.Values(name))
		}
	}
}

func varies(t *testing.T, h http.Header, what string) {
	t.Helper()
	if !strings.Contains(strings.Join(h.Values("Vary"), ", "), "Origin") {
		t.Errorf("O-05: %s: Vary is %q", what, h.Values("Vary"))
	}
}

func TestUnlistedOriginsMayNeitherReadNorWrite(t *testing.T) {
	for name, row := range map[string]struct {
		public, listed string
		others         []string
	}{
		"localhost": {"", spa, []string{
			"http://localhost", "http://localhost:5174", "http://localhost:51730", "https://localhost:5173", "http://LOCALHOST:5173", "http://localhost.:5173",
			"http://xlocalhost:5173", "http://localhost:5173.evil.example", "http://localhost:5173@evil.example", `http://localhost:5173\@evil.example`,
			"http://localhost:5173%60.evil.example", "http://localhost:5173/", "http://127.0.0.1:5173", "null", "NULL", "*", "file://", "http://evil.example",
			spa + "," + spa, spa + " http://evil.example",
		}},
		"https": {"https://app.example.com", "https://spa.example.com", []string{
			"https://spa.example.com.evil.example", "https://evilspa.example.com", "https://spa.example.com.", "http://spa.example.com", "https://SPA.example.com",
			"https://spa.example.com:443", "https://spa.example.com:8443", "https://x.spa.example.com", "https://spa.example.co", "https://spa-example.com",
			"https://spa.xn--exmple-cua.com", "https://spa.exämple.com", "https://example.com", "null",
		}},
	} {
		w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) {
			c.PublicURL, c.CORS.AllowedOrigins = row.public, []string{row.listed}
		}})
		ada := w.SignIn(t, servertest.Ada)
		for _, origin := range row.others {
			t.Run("O-01, O-02 "+name+": "+origin, func(t *testing.T) {
				for _, path := range []string{"/auth/user", "/auth/session", "/auth/nothing", "/.well-known/jwks.json"} {
					a := w.Send(t, "GET", path, "", ada.As, from(origin), func(r *http.Request) { r.Header["Origin"] = []string{origin} })
					notShared(t, a.Header, path)
					varies(t, a.Header, path)
				}
				a := w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/logout", "", ada.As, from(origin))
				notShared(t, a.Header, "a write")
			})
		}
		t.Run("O-02 "+name+": two Origin fields, one of them listed", func(t *testing.T) {
			for _, fields := range [][]string{{row.listed, "https://evil.example"}, {"https://evil.example", row.listed}, {row.listed, row.listed}} {
				a := w.Send(t, "GET", "/auth/user", "", ada.As, func(r *http.Request) { r.Header["Origin"] = fields })
				notShared(t, a.Header, fmt.Sprint(fields))
			}
		})
		t.Run("O-02 "+name+": the listed one", func(t *testing.T) {
			shared(t, w.Send(t, "GET", "/auth/user", "", ada.As, from(row.listed)), row.listed, "read")
		})
	}
}

func TestUnsafeListsAreRefusedAtTheStart(t *testing.T) {
	secret, err := tokenjar.ParseSecret([]byte(servertest.Secret))
	if err != nil {
		t.Fatal(err)
	}
	open := func(change func(*config.Config)) error {
		cfg := config.Defaults()
		cfg.Listen = "127.0.0.1:0"
		change(&cfg)
		s, err := server.Open(t.Context(), cfg, secret, memory.New(memory.Config{}), server.Options{})
		if err == nil {
			s.Close()
		}
		return err
	}
	for _, origin := range []string{
		"*", "null", "", "http://*.localhost:5173", "http://localhost:*", "*://localhost", ".*", "^http://localhost", "localhost:5173", "//localhost:5173",
		"http://localhost:5173/", "http://localhost:5173/app", "http://localhost:5173?x", "http://localhost:5173#x", "http://ada@localhost:5173",
		"http://ada:secret@localhost:5173", "http://LOCALHOST:5173", "http://localhost.:5173", "http://localhost:80", "ftp://localhost", "file://", "http://exämple.com", " " + spa,
	} {
		t.Run("O-03 origin "+origin, func(t *testing.T) {
			err := open(func(c *config.Config) { c.CORS.AllowedOrigins = []string{spa, origin} })
			if err == nil || !strings.Contains(err.Error(), "cors.allowed_origins") {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, name := range []string{"*", "", "X-*", "X A", "X:", "X,Y", "X_Y", "é"} {
		t.Run("O-03 header "+name, func(t *testing.T) {
			err := open(func(c *config.Config) {
				c.CORS.AllowedOrigins, c.CORS.AllowedHeaders = []string{spa}, []string{"X-Fine", name}
			})
			if err == nil || !strings.Contains(err.Error(), "cors.allowed_headers") {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := open(func(c *config.Config) {
		c.CORS.AllowedOrigins, c.CORS.AllowedHeaders = []string{spa}, []string{"X-Fine"}
	}); err != nil {
		t.Errorf("a list in order: %v", err)
	}
}

func TestCORSLetsReadAndCSRFLetsWrite(t *testing.T) {
	profile := `{"first_name":"Augusta"}`
	for _, row := range []struct {
		name         string
		cors, csrf   []string
		reads, write bool
	}{
		{"neither", nil, nil, false, false},
		{"cors alone", []string{spa}, nil, true, false},
		{"csrf alone", nil, []string{spa}, false, true},
		{"both", []string{spa}, []string{spa}, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) {
				c.CORS.AllowedOrigins, c.CSRF.TrustedOrigins = row.cors, row.csrf
			}})
			ada := w.SignIn(t, servertest.Ada)
			judge := func(a servertest.Answer, what string) {
				t.Helper()
				if row.reads {
					shared(t, a, spa, what)
				} else {
					notShared(t, a.Header, what)
				}
			}
			read := w.Send(t, "GET", "/auth/user", "", ada.As, from(spa))
			if read.Status != 200 {
				t.Errorf("read: %d %s", read.Status, read.Body)
			}
			judge(read, "read")
			write := w.Send(t, "PATCH", "/auth/user", profile, ada.As, from(spa))
			if row.write && write.Status != 200 || !row.write && write.Code() != "origin_not_allowed" {
				t.Errorf("write: %d %s", write.Status, write.Body)
			}
			judge(write, "write")
			ask := w.Send(t, "OPTIONS", "/auth/user", "", from(spa), servertest.Header("Access-Control-Request-Method", "PATCH"))
			if ask.Status != 204 || (ask.Header.Get("Access-Control-Allow-Origin") != "") != row.reads {
				t.Errorf("preflight: %d %v", ask.Status, ask.Header)
			}
		})
	}
}

func TestRefusalsCanBeReadToo(t *testing.T) {
	w := servertest.Start(t, sharing(func(c *config.Config) { c.CSRF.TrustedOrigins = []string{spa} }))
	ada, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
	for _, row := range []struct {
		name, method, path, body string
		status                   int
		change                   func(*http.Request)
	}{
		{"nobody", "GET", "/auth/user", "", 401, nil},
		{"a bad bearer", "GET", "/api/hello", "", 401, servertest.Bearer("x.y.z")},
		{"no CSRF token", "PATCH", "/auth/user", "{}", 403, func(r *http.Request) { ada.As(r); r.Header.Del("X-CSRFToken") }},
		{"not there", "GET", "/auth/nothing", "", 404, nil},
		{"nowhere", "GET", "/nothing", "", 404, nil},
		{"another method", "PUT", "/auth/login", "", 405, nil},
		{"another type", "POST", "/auth/login", "x", 415, servertest.Header("Content-Type", "text/plain")},
		{"bad body", "POST", "/auth/login", `{"x":1}`, 422, nil},
		{"bad path", "GET", "/auth/%2e%2e/x", "", 400, nil},
		{"another host", "GET", "/auth/user", "", 421, func(r *http.Request) { r.Host = "other.example" }},
	} {
		t.Run("O-09 "+row.name, func(t *testing.T) {
			a := w.Send(t, row.method, row.path, row.body, from(spa), func(r *http.Request) {
				if row.change != nil {
					row.change(r)
				}
			})
			if a.Status != row.status {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			shared(t, a, spa, row.name)
			for _, origin := range []string{"http://evil.example", ""} { // a cache that met the listed one first
				a := w.Send(t, row.method, row.path, row.body, from(origin), func(r *http.Request) {
					if row.change != nil {
						row.change(r)
					}
					if origin == "" {
						r.Header.Del("Origin")
					}
				})
				notShared(t, a.Header, row.name)
				varies(t, a.Header, row.name)
			}
		})
	}
	t.Run("O-09 the store is down", func(t *testing.T) {
		w.Store.SetDown(true)
		defer w.Store.SetDown(false)
		a := w.Send(t, "POST", "/auth/token/refresh", "", ada.As, from(spa))
		if a.Status != 503 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		shared(t, a, spa, "503")
	})
	t.Run("O-09 too many requests", func(t *testing.T) {
		var a servertest.Answer
		for range 70 { // one token, sent again and again
			if a = w.Send(t, "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, eve.Refresh), from(spa)); a.Status != 200 {
				break
			}
		}
		if a.Status != 429 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		shared(t, a, spa, "429")
	})
	t.Run("pages are not shared", func(t *testing.T) {
		notShared(t, w.Send(t, "GET", "/", "", from(spa)).Header, "the page")
	})
}

// untouched sends a request and reports whether it asks the store. The server looks into it now and then on its own, so
// one try of a few without a call is what tells.
func untouched(w *servertest.World, send func() servertest.Answer) (a servertest.Answer, asked bool) {
	for range 5 {
		calls := w.Store.Calls()
		if a = send(); w.Store.Calls() == calls {
			return a, false
		}
	}
	return a, true
}

func TestPreflights(t *testing.T) {
	w := servertest.Start(t, sharing(func(c *config.Config) { c.CORS.AllowedHeaders = []string{"X-Trace"} }))
	ada := w.SignIn(t, servertest.Ada)
	ask := func(path, method, headers string, changes ...func(*http.Request)) servertest.Answer {
		t.Helper()
		changes = append([]func(*http.Request){from(spa), servertest.Header("Access-Control-Request-Method", method),
			servertest.Header("Access-Control-Request-Headers", headers)}, changes...)
		before := w.Digest(t)
		a, asked := untouched(w, func() servertest.Answer { return w.Send(t, "OPTIONS", path, "", changes...) })
		if asked || w.Digest(t) != before {
			t.Error("O-07: the store was asked")
		}
		return a
	}
	for _, path := range []string{"/auth/user", "/auth/login", "/auth/sessions/x", "/auth/nothing", "/api/hello", "/nothing"} {
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE", "PUT"} {
			for _, headers := range []string{"", "content-type,x-csrftoken", "authorization", "x-passive,x-trace"} {
				a := ask(path, method, headers)
				h := a.Header
				if a.Status != 204 || h.Get("Access-Control-Allow-Origin") != spa || h.Get("Access-Control-Allow-Credentials") != "true" ||
					h.Get("Access-Control-Allow-Methods") != method || h.Get("Access-Control-Allow-Headers") != headers || len(a.Body) != 0 {
					t.Errorf("%s %s %q: %d %v", method, path, headers, a.Status, h)
				}
				if vary := h.Get("Vary"); vary != "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" {
					t.Errorf("%s %s: Vary %q", method, path, vary)
				}
			}
		}
	}
	for _, row := range []struct{ name, method, headers string }{
		{"O-06 unlisted method", "BREW", ""}, {"O-06 method in another case", "get", ""}, {"O-06 TRACE", "TRACE", ""}, {"O-06 CONNECT", "CONNECT", ""},
		{"O-06 OPTIONS", "OPTIONS", ""}, {"O-06 star", "*", ""}, {"O-06 two methods in one", "GET, BREW", ""},
		{"O-06 unlisted header", "GET", "x-evil"}, {"O-06 one of them unlisted", "GET", "content-type,x-evil"}, {"O-06 star as a header", "GET", "*"},
		{"O-06 a thousand headers", "GET", strings.TrimSuffix(strings.Repeat("x-a,", 1000), ",")},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := ask("/auth/user", row.method, row.headers)
			if a.Status != 204 {
				t.Errorf("got %d", a.Status)
			}
			notShared(t, a.Header, row.name)
			varies(t, a.Header, row.name)
		})
	}
	t.Run("O-06 two fields, one of them listed", func(t *testing.T) {
		notShared(t, ask("/auth/user", "GET", "", servertest.AddHeader("Access-Control-Request-Method", "BREW")).Header, "methods")
		notShared(t, ask("/auth/user", "GET", "content-type", servertest.AddHeader("Access-Control-Request-Headers", "x-evil")).Header, "headers")
	})
	t.Run("O-07 cookies make no difference", func(t *testing.T) {
		plain := ask("/auth/user", "PATCH", "content-type")
		for name, change := range map[string]func(*http.Request){
			"good cookies": ada.As, "bad cookies": servertest.RawCookie("access_token=x; refresh_token=y.z.a"),
			"a bad bearer": servertest.Bearer("nobody"), "a cookie twice": servertest.RawCookie("access_token=x; access_token=y"),
		} {
			a := ask("/auth/user", "PATCH", "content-type", change)
			for _, h := range []http.Header{plain.Header, a.Header} {
				h.Del("Date")
				h.Del("X-Request-Id")
			}
			if a.Status != plain.Status || fmt.Sprint(a.Header) != fmt.Sprint(plain.Header) {
				t.Errorf("%s: %d %v, want %d %v", name, a.Status, a.Header, plain.Status, plain.Header)
			}
		}
		w.Store.SetDown(true)
		defer w.Store.SetDown(false)
		if a := ask("/auth/user", "PATCH", "", ada.As); a.Status != 204 {
			t.Errorf("with the store down: %d", a.Status)
		}
	})
	t.Run("O-11 a private network is never granted", func(t *testing.T) {
		a := ask("/auth/user", "GET", "", servertest.Header("Access-Control-Request-Private-Network", "true"))
		if got := a.Header.Values("Access-Control-Allow-Private-Network"); got != nil {
			t.Errorf("got %q", got)
		}
	})
	t.Run("host, method and path come first", func(t *testing.T) {
		for what, a := range map[string]servertest.Answer{
			"host": ask("/auth/user", "GET", "", func(r *http.Request) { r.Host = "other.example" }),
			"path": ask("/auth/%2e%2e/user", "GET", ""),
		} {
			if a.Status != 421 && a.Status != 400 {
				t.Errorf("%s: %d", what, a.Status)
			}
			notShared(t, a.Header, what)
			varies(t, a.Header, what)
		}
	})
}

func TestWithoutAListNobodyMayRead(t *testing.T) {
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for _, origin := range []string{spa, "null", "http://evil.example", w.Origin} {
		notShared(t, w.Send(t, "GET", "/auth/user", "", ada.As, from(origin)).Header, origin)
		a, asked := untouched(w, func() servertest.Answer {
			return w.Send(t, "OPTIONS", "/auth/user", "", ada.As, from(origin), servertest.Header("Access-Control-Request-Method", "PATCH"))
		})
		if a.Status != 204 || asked {
			t.Errorf("O-07 preflight from %s: %d, the store asked: %v", origin, a.Status, asked)
		}
		notShared(t, a.Header, origin)
	}
}
