package doctor_test

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/doctor"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// Each of these fronts is broken in one place, and that place is what is found: nothing less and nothing more. Together they
// provoke every finding there is.
var broken = []struct {
	name  string
	build build
	finds string
}{
	{"a certificate of nobody", build{setting: untrusted}, "certificate"},
	{"a certificate that ends in days", build{setting: later(25 * day), answer: dated(25 * day)}, "certificate"},
	{"the path is changed", build{request: func(r *http.Request) { r.URL.Path = "/app" + r.URL.Path }}, "no-api"},
	{"the site's page answers everything", build{handler: instead("/auth", page)}, "no-api"},
	{"the Host is the server's own", build{request: func(r *http.Request) { r.Host = "127.0.0.1:8080" }}, "host"},
	{"public_url has another host", build{config: publicURL("https://www.example.com")}, "public-url"},
	{"public_url has another host, and the proxy says that one", build{
		config: publicURL("https://www.example.com"), request: func(r *http.Request) { r.Host = "www.example.com" },
	}, "public-url"},
	{"public_url is http on loopback, and the proxy says that host", build{
		config: publicURL("http://localhost:8080"), request: func(r *http.Request) { r.Host = "localhost:8080" },
	}, "public-url"},
	{"the proxy says that the browser came by http", build{request: setting("X-Forwarded-Proto", "http")}, "forwarded-proto"},
	{"the database is away", build{setting: func(f *front, _ *doctor.Config) { f.world.Store.SetDown(true) }}, "not-ready"},
	{"health is not for the public", build{handler: instead("/readyz", notFound)}, "health-hidden"},
	{"health is closed to the public", build{handler: instead("/readyz", hangUp)}, "health-hidden"},
	{"liveness is closed to the public", build{handler: instead("/healthz", hangUp)}, "health-hidden"},
	{"the keys are not for the public", build{handler: instead("/.well-known/jwks.json", notFound)}, "jwks"},
	{"the keys may not be kept", build{answer: at("/.well-known/jwks.json", setHeader("Cache-Control", "no-store"))}, "jwks-cache"},
	{"the keys are kept for a day", build{answer: at("/.well-known/jwks.json", setHeader("Cache-Control", "public, max-age=86400"))}, "jwks-cache"},

	{"the page is opened by http, and nobody notices", build{
		through: true, setting: byHTTP, config: func(cfg *config.Config) { cfg.TrustedProxies = nil },
	}, "scheme"},
	{"the page is opened by http, and the proxy says so", build{through: true, setting: byHTTP}, "scheme"},
	{"http leads to https, and http is examined", build{setting: byHTTP}, "scheme"},
	{"plain http is served as well", build{plain: page}, "http-served"},
	{"the redirect to https is a 301", build{plain: moved}, "redirect-method"},
	{"a slash at the end is taken away", build{handler: redirectSlash(false)}, "redirect-slash"},
	{"a slash at the end is added", build{handler: redirectSlash(true)}, "redirect-slash"},
	{"POST is not allowed", build{handler: refusing(http.MethodPost, http.StatusMethodNotAllowed)}, "post-refused"},
	{"localhost promises https alone", build{config: publicURL("https://localhost"), setting: byLocalhost}, "hsts-localhost"},
	{"HSTS is hidden", build{answer: without("Strict-Transport-Security")}, "hsts"},

	{"Set-Cookie is hidden", build{answer: without("Set-Cookie")}, "set-cookie-removed"},
	{"Set-Cookie is hidden at the sign-in alone", build{answer: at("/auth/login", without("Set-Cookie")), loses: true}, "set-cookie-removed"},
	{"cookies get Secure on localhost", build{
		through: true, config: publicURL("http://localhost"), setting: byPlainLocalhost, answer: cookies("; SameSite", "; Secure; SameSite"),
	}, "cookie-localhost"},
	{"public_url is https, and the page is of http://localhost", build{through: true, setting: byPlainLocalhost, request: inTheNameOf(public)}, "cookie-localhost"},
	{"cookies get a path", build{answer: cookies("Path=/", "Path=/app")}, "cookie-prefix"},
	{"cookies get a domain", build{answer: cookies("Path=/", "Path=/; Domain=example.com")}, "cookie-prefix"},
	{"cookies lose Secure", build{answer: cookies("; Secure", "")}, "cookie-prefix"},
	{"cookies get the domain of another host", build{
		config: prefix("secure"), answer: cookies("Path=/", "Path=/; Domain=api.example.net"),
	}, "cookie-domain"},
	{"cookies get a public suffix as domain", build{config: prefix("secure"), answer: cookies("Path=/", "Path=/; Domain=com")}, "cookie-domain"},
	{"cookies lose SameSite", build{answer: cookies("; SameSite=Lax", "")}, "cookie-samesite"},
	{"cookies get SameSite=None and lose Secure", build{
		config: prefix("none"), answer: chain(cookies("SameSite=Lax", "SameSite=None"), cookies("; Secure", "")),
	}, "cookie-samesite"},
	{"cookies without prefix get a path", build{config: prefix("secure"), answer: cookies("Path=/", "Path=/app")}, "cookie-path"},
	{"cookies lose HttpOnly", build{answer: cookies("; HttpOnly", "")}, "cookie-flags"},
	{"all cookies get HttpOnly", build{answer: cookies("; Secure; SameSite", "; HttpOnly; Secure; SameSite")}, "csrf-cookie-hidden"},
	{"cookies without prefix lose Secure", build{config: prefix("none"), answer: cookies("; Secure", "")}, "cookie-flags"},
	{"a cookie grows", build{answer: cookies("access_token=eyJ", "access_token="+strings.Repeat("x", 4000)+"eyJ")}, "cookie-size"},
	{"another program sets the same name", build{answer: adding("__Secure-csrftoken=old; Path=/auth; Secure; SameSite=Lax"), config: prefix("secure")}, "cookie-twice"},
	{"sign-in sets a cookie twice", build{
		config: prefix("secure"), answer: at("/auth/login", adding("__Secure-csrftoken=old; Path=/auth; Secure; SameSite=Lax")),
	}, "cookie-twice"},
	{"sign-out with a session deletes nothing", build{answer: func(a *http.Response) error {
		if a.Request.URL.Path == "/auth/logout" && strings.Contains(a.Request.Header.Get("Cookie"), "eyJ") {
			a.Header.Del("Set-Cookie")
		}
		return nil
	}}, "cookie-stays"},
	{"the balancer sets a cookie", build{answer: adding("LB=1; Path=/; Secure; HttpOnly")}, "cookie-added"},
	{"the balancer sets a cookie that nobody takes", build{answer: adding("LB=1; Path=/; SameSite=None")}, "cookie-added"},
	{"the balancer sets a cookie in place of all others", build{
		answer: chain(without("Set-Cookie"), adding("LB=1; Path=/; Secure")),
	}, "cookie-added set-cookie-removed"},
	{"and so at the sign-in alone", build{
		answer: at("/auth/login", chain(without("Set-Cookie"), adding("LB=1; Path=/; Secure"))), loses: true,
	}, "cookie-added set-cookie-removed"},

	{"Cookie is removed", build{request: setting("Cookie", "")}, "cookie-removed"},
	{"X-CSRFToken is removed", build{request: setting("X-CSRFToken", "")}, "csrf-header-removed"},
	{"Origin and Sec-Fetch-Site are removed", build{request: func(r *http.Request) {
		r.Header.Del("Origin")
		r.Header.Del("Sec-Fetch-Site")
	}}, "origin-removed"},
	{"Origin is null", build{request: func(r *http.Request) {
		r.Header.Set("Origin", "null")
		r.Header.Del("Sec-Fetch-Site")
	}}, "origin-removed"},
	{"a large header is refused", build{handler: largeHeader(2000, refused)}, "request-too-large"},
	{"a large header ends the connection", build{handler: largeHeader(2000, hangUp)}, "request-too-large"},
	{"a large answer is refused", build{answer: func(a *http.Response) error {
		if len(strings.Join(a.Header["Set-Cookie"], "")) > 1000 {
			return errors.New("upstream sent too big header")
		}
		return nil
	}, loses: true}, "answer-too-large"},
	{"a cache keeps who is signed in", build{handler: caching}, "cached"},
	{"a cache says how old its answers are", build{answer: setHeader("Age", "12")}, "cached"},
	{"no-store is removed", build{answer: at("/auth/session", without("Cache-Control"))}, "cache-control"},
	{"the proxy's clock is wrong", build{answer: dated(time.Hour)}, "clock"},
	{"the server's clock is wrong", build{setting: later(-time.Hour), answer: dated(-time.Hour)}, "clock"},

	{"page and API are two sites", build{setting: calledBy("https://app.example.net")}, "other-site"},
	{"page and API differ by the scheme", build{setting: calledBy("http://app.example.com")}, "other-site"},
	{"page and API are two sites, and SameSite is None", crossed("https://app.example.net", build{config: sameSite("None")}), "third-party"},
	{"preflights have to sign in", crossed(sibling, build{handler: refusing(http.MethodOptions, http.StatusUnauthorized)}), "cors-preflight"},
	{"the origin may not read", crossed(sibling, build{config: func(cfg *config.Config) { cfg.CORS.AllowedOrigins = nil }}), "cors-origin"},
	{"any origin may read", crossed(sibling, build{answer: setHeader("Access-Control-Allow-Origin", "*")}), "cors-origin"},
	{"credentials are not allowed", crossed(sibling, build{answer: without("Access-Control-Allow-Credentials")}), "cors-credentials"},
	{"X-CSRFToken is not allowed", crossed(sibling, build{answer: onPreflight(setHeader("Access-Control-Allow-Headers", "content-type"))}), "cors-headers"},
	{"a star allows no header", crossed(sibling, build{answer: onPreflight(setHeader("Access-Control-Allow-Headers", "*"))}), "cors-headers"},
	{"our headers are hidden", crossed(sibling, build{answer: without("Access-Control-Expose-Headers")}), "cors-exposed"},
	{"the proxy does CORS as well", crossed(sibling, build{answer: func(a *http.Response) error {
		a.Header.Add("Access-Control-Allow-Origin", sibling)
		return nil
	}}), "cors-twice"},
	{"the origin may not write", crossed(sibling, build{config: func(cfg *config.Config) { cfg.CSRF.TrustedOrigins = nil }}), "origin-not-trusted"},

	{"the access cookie arrives changed", build{request: func(r *http.Request) {
		if cookie := r.Header.Get("Cookie"); r.URL.Path == "/auth/user" && strings.Contains(cookie, "eyJ") {
			r.Header.Set("Cookie", strings.ReplaceAll(cookie, "eyJ", "eyj"))
		}
	}}, "session-lost"},
	{"half of the requests go to a stranger", build{handler: stranger}, "nodes-differ"},
}

func TestEachBrokenFrontHasItsFinding(t *testing.T) {
	provoked := map[string]bool{}
	var mu sync.Mutex
	t.Run("group", func(t *testing.T) {
		for _, tt := range broken {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				f := open(t, tt.build)
				cfg := f.settings()
				if tt.build.setting != nil {
					tt.build.setting(f, &cfg)
				}
				report := f.examine(cfg)
				if got := names(report); !slices.Equal(got, strings.Fields(tt.finds)) {
					t.Errorf("got %q, want %s", got, tt.finds)
					for _, o := range report.Outcomes {
						t.Logf("%s %s %s %+v", o.Check, o.Result, o.Why, o.Findings)
					}
				}
				note := slices.Contains([]string{"health-hidden", "hsts-localhost", "cookie-added", "third-party"}, tt.finds)
				if report.Failed() == note {
					t.Errorf("failed: got %t", report.Failed())
				}
				if tt.build.loses { // nobody but the server knows the tokens
					if !report.Left {
						t.Error("that a session may be left is not said")
					}
				} else if report.Left {
					t.Error("a session is left")
				} else {
					f.nothingIsLeft()
				}
				mu.Lock()
				defer mu.Unlock()
				for _, kind := range strings.Fields(tt.finds) {
					provoked[kind] = true
				}
			})
		}
	})
	for _, k := range doctor.Kinds() {
		if !provoked[k.Name] {
			t.Errorf("no front here has the finding %s", k.Name)
		}
	}
}

// sibling is another origin of the same site.
const sibling = "https://www.example.com"

func crossed(origin string, b build) build {
	allow, examine := crossOrigin(origin)
	change := b.config
	b.config = func(cfg *config.Config) {
		allow(cfg)
		if change != nil {
			change(cfg)
		}
	}
	b.setting = examine
	return b
}

// Changes of the settings.

func publicURL(url string) func(*config.Config) {
	return func(cfg *config.Config) { cfg.PublicURL = url }
}

func prefix(name string) func(*config.Config) {
	return func(cfg *config.Config) { cfg.Cookies.Prefix = cookie.Prefix(name) }
}

func sameSite(name string) func(*config.Config) {
	return func(cfg *config.Config) { cfg.Cookies.SameSite = name }
}

// Changes of what is examined.

func untrusted(f *front, cfg *doctor.Config) { cfg.Transport = f.transport(x509.NewCertPool()) }

// later moves the clock of the machine that examines; without an account, whose tokens would tell.
func later(by time.Duration) func(*front, *doctor.Config) {
	return func(f *front, cfg *doctor.Config) {
		cfg.Now = func() time.Time { return f.world.Clock.Now().Add(by) }
		if by > 0 {
			cfg.Username, cfg.Password = "", ""
		}
	}
}

func calledBy(origin string) func(*front, *doctor.Config) {
	return func(_ *front, cfg *doctor.Config) { cfg.Origin = origin }
}

func byHTTP(_ *front, cfg *doctor.Config) { cfg.URL = "http://" + host }

func byPlainLocalhost(_ *front, cfg *doctor.Config) { cfg.URL = "http://localhost" }

// byLocalhost goes by https to a front whose certificate is the host's.
func byLocalhost(f *front, cfg *doctor.Config) {
	cfg.URL = "https://localhost"
	transport := f.transport(f.pool).(*http.Transport)
	transport.TLSClientConfig.ServerName = host
	cfg.Transport = transport
}

// Changes of requests and answers.

func setting(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

// inTheNameOf asks as if the page were another origin's, as a development server does that is told to.
func inTheNameOf(origin string) func(*http.Request) {
	return func(r *http.Request) {
		scheme, host, _ := strings.Cut(origin, "://")
		if r.Header.Get("Origin") == "http://localhost" {
			r.Header.Set("Origin", origin)
		}
		r.Host = host
		r.Header.Set("X-Forwarded-Proto", scheme)
	}
}

type change = func(*http.Response) error

func without(name string) change {
	return func(a *http.Response) error { a.Header.Del(name); return nil }
}

func setHeader(name, value string) change {
	return func(a *http.Response) error { a.Header.Set(name, value); return nil }
}

func adding(cookie string) change {
	return func(a *http.Response) error { a.Header.Add("Set-Cookie", cookie); return nil }
}

func cookies(old, new string) change {
	return func(a *http.Response) error {
		for i, line := range a.Header["Set-Cookie"] {
			a.Header["Set-Cookie"][i] = strings.Replace(line, old, new, 1)
		}
		return nil
	}
}

func chain(changes ...change) change {
	return func(a *http.Response) error {
		for _, c := range changes {
			if err := c(a); err != nil {
				return err
			}
		}
		return nil
	}
}

func at(path string, c change) change {
	return func(a *http.Response) error {
		if a.Request.URL.Path != path {
			return nil
		}
		return c(a)
	}
}

func onPreflight(c change) change {
	return func(a *http.Response) error {
		if a.Request.Method != http.MethodOptions {
			return nil
		}
		return c(a)
	}
}

// dated moves the time that answers tell.
func dated(by time.Duration) change {
	return func(a *http.Response) error {
		date, err := http.ParseTime(a.Header.Get("Date"))
		a.Header.Set("Date", date.Add(by).Format(http.TimeFormat))
		return err
	}
}

// Handlers in front of the server, or in its place.

func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	io.WriteString(w, "<!doctype html><title>It works!</title>")
}

func notFound(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

func moved(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, public+r.URL.RequestURI(), http.StatusMovedPermanently)
}

func refused(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "Request Header Or Cookie Too Large", http.StatusBadRequest)
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func instead(prefix string, other http.HandlerFunc) func(*front, http.Handler) http.Handler {
	return func(_ *front, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, prefix) {
				other(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func refusing(method string, status int) func(*front, http.Handler) http.Handler {
	return func(_ *front, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method {
				http.Error(w, "no", status)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// redirectSlash redirects paths that end in a slash, or those that do not.
func redirectSlash(add bool) func(*front, http.Handler) http.Handler {
	return func(_ *front, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ends := strings.HasSuffix(r.URL.Path, "/")
			if r.Method == http.MethodPost && ends != add {
				to := strings.TrimSuffix(r.URL.Path, "/")
				if add {
					to += "/"
				}
				http.Redirect(w, r, to, http.StatusMovedPermanently)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func largeHeader(most int, then http.HandlerFunc) func(*front, http.Handler) http.Handler {
	return func(_ *front, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(r.Header.Get("Cookie")) > most {
				then(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// caching keeps the first answer to each GET, whatever it says.
func caching(_ *front, next http.Handler) http.Handler {
	var mu sync.Mutex
	kept := map[string]*httptest.ResponseRecorder{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		answer := kept[r.URL.Path]
		if answer == nil {
			answer = httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			kept[r.URL.Path] = answer
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
}

// stranger leads every second question who is signed in to a server with another database.
func stranger(f *front, next http.Handler) http.Handler {
	other := servertest.Start(f.t, servertest.HTTPS)
	elsewhere := f.proxy(other.Addr(), build{})
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/session" && n.Add(1)%2 == 0 {
			elsewhere.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
