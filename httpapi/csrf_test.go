package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/token"
)

// noCSRF takes the header away; csrfHeader sets it.
func noCSRF(r *http.Request) { r.Header.Del("X-CSRFToken") }

func csrfHeader(v string) change {
	return func(r *http.Request) { r.Header["X-Csrftoken"] = []string{v} }
}

func TestEveryUnsafeRouteAsksForTheCSRFToken(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
	n := 0
	for _, r := range routes(t, w) {
		if !r.unsafe() || r.id == "token" { // which looks at no cookie: token_test.go
			continue
		}
		n++
		for name, change := range map[string]change{
			"X-01: no token":                                 noCSRF,
			"X-01: empty token":                              csrfHeader(""),
			"X-01: token only in the cookie":                 all(noCSRF, servertest.AddHeader("Cookie", "csrftoken="+ada.CSRF)),
			"X-02: header unlike cookie":                     all(csrfHeader(strings.Repeat("A", 43)), servertest.AddHeader("Cookie", "csrftoken="+ada.CSRF)),
			"X-02: header like cookie, MAC wrong":            all(csrfHeader(strings.Repeat("A", 43)), servertest.AddHeader("Cookie", "csrftoken="+strings.Repeat("A", 43))),
			"X-03: another user's valid pair":                all(csrfHeader(eve.CSRF), servertest.AddHeader("Cookie", "csrftoken="+eve.CSRF)),
			"X-01: token twice":                              func(r *http.Request) { r.Header["X-Csrftoken"] = []string{ada.CSRF, ada.CSRF} },
			"X-18: malformed token and malformed cookie":     all(csrfHeader("\xff"), servertest.AddHeader("Cookie", "csrftoken=\xff")),
			"X-01: token in query and in another header":     all(noCSRF, servertest.Header("X-XSRF-Token", ada.CSRF), servertest.Header("X-Csrf-Token", ada.CSRF)),
			"X-23: and a junk bearer":                        all(noCSRF, servertest.Bearer("junk")),
			"X-07: and an own Referer, which proves nothing": all(noCSRF, servertest.Header("Referer", w.URL+"/")),
		} {
			for who, as := range map[string]func(*http.Request){"both cookies": ada.As, "access cookie": all(w.Cookies(ada.Access, ""), ada.WithCSRF), "refresh cookie": ada.RefreshOnly} {
				for _, slash := range []string{"", "/"} {
					t.Run(fmt.Sprintf("%s %s%s, %s: %s", r.method, r.path, slash, who, name), func(t *testing.T) {
						changes := []func(*http.Request){as, servertest.NoSignal, change}
						if (r.id == "refresh" || r.id == "blacklist") && who == "access cookie" {
							w.Refused(t, 401, "refresh_missing", r.method, r.at(ada.SessionID)+slash, "", changes...)
							return
						}
						w.Refused(t, 403, "csrf_failed", r.method, r.at(ada.SessionID)+slash, "", changes...)
					})
				}
			}
		}
	}
	if n < 11 {
		t.Errorf("only %d unsafe routes", n)
	}
}

func TestCSRFTokenSpellings(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for name, v := range map[string]string{
		"length 1": "A", "length 31": ada.CSRF[:31], "one short": ada.CSRF[:42], "one long": ada.CSRF + "A", "4 kB": strings.Repeat("A", 4096),
		"non-ASCII": "é" + ada.CSRF[2:], "blank inside": ada.CSRF[:20] + " " + ada.CSRF[21:], "padded": ada.CSRF + "=", "quoted": `"` + ada.CSRF + `"`,
		"another case": strings.ToLower(ada.CSRF), "masked by repeating": ada.CSRF + ada.CSRF, "unused bits": ada.CSRF[:42] + next(ada.CSRF[42]),
	} {
		t.Run("X-18: "+name, func(t *testing.T) {
			w.Refused(t, 403, "csrf_failed", "PATCH", "/auth/user", "{}", ada.As, csrfHeader(v))
		})
	}
	if a := w.Send(t, "PATCH", "/auth/user", "{}", ada.As); a.Status != 200 {
		t.Errorf("the token itself: %d %s", a.Status, a.Body)
	}
}

// next returns a neighbour of the last base64url character that decodes to the same bytes when unused bits are ignored.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, c)
	return string(alphabet[i^1])
}

var foreignOrigins = map[string]change{
	"X-05: foreign origin, own Referer":                     all(origin("https://evil.example", ""), servertest.Header("Referer", "https://app.example.com/")),
	"X-06: http origin of our own host on https":            origin("http://app.example.com", ""),
	"X-06: the same, said to be same-origin":                origin("http://app.example.com", "same-origin"),
	"X-09: another port":                                    origin("https://app.example.com:8443", ""),
	"X-09: default port written":                            origin("https://app.example.com:443", ""),
	"X-09: suffix":                                          origin("https://app.example.com.evil.example", ""),
	"X-09: prefix":                                          origin("https://evilapp.example.com", ""),
	"X-09: trailing dot":                                    origin("https://app.example.com.", ""),
	"X-09: user information":                                origin("https://app.example.com@evil.example", ""),
	"X-09: upper case":                                      origin("https://APP.example.com", ""),
	"X-09: a path behind it":                                origin("https://app.example.com/", ""),
	"X-09: IDN look-alike":                                  origin("https://app.examp\u04cfe.com", ""),
	"X-10: same-origin with a foreign Origin":               origin("https://evil.example", "same-origin"),
	"X-10: own Origin, but cross-site":                      origin("https://app.example.com", "cross-site"),
	"X-10: own Origin, but same-site":                       origin("https://app.example.com", "same-site"),
	"X-10: two Origin fields":                               all(origin("https://app.example.com", ""), servertest.AddHeader("Origin", "https://evil.example")),
	"X-10: two Sec-Fetch-Site fields":                       all(origin("https://app.example.com", "same-origin"), servertest.AddHeader("Sec-Fetch-Site", "cross-site")),
	"X-10: an unknown value":                                origin("", "same-planet"),
	"X-10: an unknown value with our own Origin":            origin("https://app.example.com", "Same-Origin"),
	"X-11: a sibling subdomain":                             origin("https://other.example.com", "same-site"),
	"X-11: same-site without Origin":                        origin("", "same-site"),
	"X-11: none on an unsafe request":                       origin("", "none"),
	"X-21: null":                                            origin("null", ""),
	"X-21: null, said to be same-origin":                    origin("null", "same-origin"),
	"X-26: a forwarded scheme does not make the own origin": all(origin("http://app.example.com", ""), servertest.Header("X-Forwarded-Proto", "http")),
}

func origin(origin, site string) change {
	return func(r *http.Request) {
		r.Header.Del("Origin")
		r.Header.Del("Sec-Fetch-Site")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
	}
}

func TestEveryUnsafeRouteAsksForTheOrigin(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.HTTPS)
	ada := w.SignIn(t, servertest.Ada)
	for _, r := range routes(t, w) {
		if !r.unsafe() {
			continue
		}
		for name, change := range foreignOrigins {
			for who, as := range map[string]func(*http.Request){
				"good cookies": ada.As, "bad cookies": all(w.Cookies("junk", "junk"), ada.WithCSRF), "refresh cookie": ada.RefreshOnly,
			} {
				t.Run(fmt.Sprintf("%s %s, %s: %s", r.method, r.path, who, name), func(t *testing.T) {
					w.Refused(t, 403, "origin_not_allowed", r.method, r.at(ada.SessionID), "", as, change)
				})
			}
			// Without a cookie it holds where a page could make the browser send or take one.
			want, code := 401, "not_authenticated"
			switch r.id {
			case "login", "logout", "refresh", "token", "blacklist":
				want, code = 403, "origin_not_allowed"
			}
			t.Run(fmt.Sprintf("%s %s, no cookie: %s", r.method, r.path, name), func(t *testing.T) {
				w.Refused(t, want, code, r.method, r.at(ada.SessionID), "", change)
			})
		}
	}
	t.Run("what a page of ours sends passes", func(t *testing.T) {
		for name, change := range map[string]change{
			"both": origin("https://app.example.com", "same-origin"), "Origin alone": origin("https://app.example.com", ""),
			"Sec-Fetch-Site alone": origin("", "same-origin"), "neither": servertest.NoSignal, "an empty Origin (M-26)": func(r *http.Request) {
				servertest.NoSignal(r)
				r.Header["Origin"] = []string{""}
			},
		} {
			if a := w.Send(t, "PATCH", "/auth/user", "{}", ada.As, change); a.Status != 200 {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	})
	t.Run("a token in the body is no ambient credential: neither rule", func(t *testing.T) {
		a := w.Send(t, "POST", "/auth/token/verify", fmt.Sprintf(`{"token":%q}`, ada.Access), servertest.CrossSite)
		if a.Status != 200 {
			t.Errorf("verify: %d %s", a.Status, a.Body)
		}
		a = w.Send(t, "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, ada.Refresh), servertest.CrossSite)
		if a.Status != 200 || len(a.Cookies()) != 0 {
			t.Errorf("refresh: %d %s", a.Status, a.Body)
		}
	})
	t.Run("a bearer alone is no ambient credential: neither rule", func(t *testing.T) {
		if a := w.Send(t, "POST", "/auth/token/verify", "", servertest.CrossSite, servertest.Bearer(ada.Access)); a.Status != 200 {
			t.Errorf("verify: %d %s", a.Status, a.Body)
		}
	})
}

func TestTrustedOrigins(t *testing.T) {
	t.Parallel()
	const trusted = "https://spa.example.com"
	w := servertest.Start(t, servertest.HTTPS, servertest.Setup{Config: func(c *config.Config) { c.CSRF.TrustedOrigins = []string{trusted} }})
	ada := w.SignIn(t, servertest.Ada)
	for _, site := range []string{"", "same-site", "cross-site", "none"} {
		if a := w.Send(t, "PATCH", "/auth/user", "{}", ada.As, origin(trusted, site)); a.Status != 200 {
			t.Errorf("X-09: exact, %q: %d %s", site, a.Status, a.Body)
		}
	}
	w.Refused(t, 403, "csrf_failed", "PATCH", "/auth/user", "{}", ada.As, origin(trusted, "same-site"), noCSRF)
	for _, o := range []string{"http://spa.example.com", "https://spa.example.com:444", "https://spa.example.com.evil.example", "https://xspa.example.com", "https://SPA.example.com", "https://spa.example.com."} {
		w.Refused(t, 403, "origin_not_allowed", "PATCH", "/auth/user", "{}", ada.As, origin(o, ""))
	}
}

func TestRefererIsNeverWhatLetsThrough(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.HTTPS)
	ada := w.SignIn(t, servertest.Ada)
	for _, referer := range []string{"https://evil.example/", "https://app.example.com@evil.example/", "https://evil.example/https://app.example.com/", "::", "https://app.example.com/"} {
		t.Run("X-07: "+referer, func(t *testing.T) {
			w.Refused(t, 403, "csrf_failed", "PATCH", "/auth/user", "{}", ada.As, servertest.NoSignal, noCSRF, servertest.Header("Referer", referer))
			if a := w.Send(t, "PATCH", "/auth/user", "{}", ada.As, servertest.NoSignal, servertest.Header("Referer", referer)); a.Status != 200 {
				t.Errorf("with the token: %d %s", a.Status, a.Body)
			}
			w.Refused(t, 403, "origin_not_allowed", "PATCH", "/auth/user", "{}", ada.As, origin("https://evil.example", ""), servertest.Header("Referer", referer))
		})
	}
}

// Login asks for the CSRF token only when nothing tells a browser and a session cookie verifies.
func TestLoginAndTheCSRFToken(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	const wrong = `{}` // 422 means: judged, and let through to the body
	ada, eve, gone, old := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve), w.SignIn(t, servertest.Eve), w.SignIn(t, servertest.Ada)
	if err := w.Service.EndSession(t.Context(), gone.UserID, gone.SessionID); err != nil {
		t.Fatal(err)
	}
	expired := w.SignAccess(t, ada, token.Claims{"exp": w.Clock.Now().Unix(), "iat": w.Clock.Now().Add(-time.Minute).Unix()})
	for _, row := range []struct {
		name   string
		change change
		status int
		code   string
	}{
		{"no signal, no cookie: passes", servertest.NoSignal, 422, "validation_failed"},
		{"no signal, live access cookie, no token: 403", all(servertest.NoSignal, w.Cookies(ada.Access, "")), 403, "csrf_failed"},
		{"no signal, live refresh cookie, no token: 403", all(servertest.NoSignal, w.Cookies("", ada.Refresh)), 403, "csrf_failed"},
		{"no signal, live cookies, another session's token: 403", all(servertest.NoSignal, ada.As, csrfHeader(old.CSRF)), 403, "csrf_failed"},
		{"no signal, live cookies with the token: passes", all(servertest.NoSignal, ada.As), 422, "validation_failed"},
		{"no signal, stale jar: expired access cookie: passes", all(servertest.NoSignal, w.Cookies(expired, "")), 422, "validation_failed"},
		{"no signal, stale jar: session ended: passes", all(servertest.NoSignal, w.Cookies(gone.Access, gone.Refresh)), 422, "validation_failed"},
		{"no signal, stale jar: garbage: passes", all(servertest.NoSignal, servertest.RawCookie(`access_token="quoted"; refresh_token=`)), 422, "validation_failed"},
		{"no signal, a tossed cookie of another user hides nothing: 403", all(servertest.NoSignal, servertest.RawCookie("access_token="+eve.Access+"; access_token="+ada.Access)), 403, "csrf_failed"},
		{"no signal, a tossed dead cookie hides nothing: 403", all(servertest.NoSignal, w.Cookies(gone.Access, ada.Refresh)), 403, "csrf_failed"},
		{"own page, live cookies, no token: passes", all(ada.As, noCSRF), 422, "validation_failed"},
		{"foreign page, no cookie: 403", servertest.CrossSite, 403, "origin_not_allowed"},
		{"foreign page with the token: 403", all(servertest.CrossSite, ada.As), 403, "origin_not_allowed"},
		{"a bearer is no session cookie: passes", all(servertest.NoSignal, servertest.Bearer(ada.Access)), 422, "validation_failed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := w.Refused(t, row.status, row.code, "POST", "/auth/login", wrong, row.change)
			if a.Status == 403 && len(a.Cookies()) != 0 {
				t.Errorf("sets %v", a.Cookies())
			}
		})
	}
}
