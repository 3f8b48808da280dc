package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// The order of judgement (design, section 3): each request violates two neighbouring steps, or more, and the earlier
// refusal wins, with nothing changed and no cookie set.
func TestOrderOfJudgement(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	host := func(r *http.Request) { r.Host = "evil.example" }
	path := func(r *http.Request) { r.URL.Opaque = "/auth//user" }
	twoBearers := func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }
	manyCookies := servertest.AddHeader("Cookie", strings.Repeat("a=b;", 300))
	for _, row := range []struct {
		name         string
		method, path string
		body         string
		status       int
		code         string
		changes      []func(*http.Request)
	}{
		{"host before method", "TRACE", "/auth/user", "", 421, "misdirected_host", []func(*http.Request){host}},
		{"host before path", "GET", "/auth/user", "", 421, "misdirected_host", []func(*http.Request){host, path}},
		{"host before origin", "PATCH", "/auth/user", "{}", 421, "misdirected_host", []func(*http.Request){host, p.As, servertest.CrossSite}},
		{"method before path", "BREW", "/auth/user", "", 405, "method_not_allowed", []func(*http.Request){path}},
		{"method before origin", "BREW", "/auth/user", "", 405, "method_not_allowed", []func(*http.Request){p.As, servertest.CrossSite}},
		{"path before origin", "PATCH", "/auth/user", "{}", 400, "bad_path", []func(*http.Request){path, p.As, servertest.CrossSite}},
		{"path before credentials", "GET", "/auth/user", "", 400, "bad_path", []func(*http.Request){path}},
		{"the route's method before origin", "POST", "/auth/user", "{}", 405, "method_not_allowed", []func(*http.Request){p.As, servertest.CrossSite}},
		{"the route before origin", "POST", "/auth/nothing", "{}", 404, "not_found", []func(*http.Request){p.As, servertest.CrossSite}},
		{"origin before credentials", "PATCH", "/auth/user", "{}", 403, "origin_not_allowed", []func(*http.Request){w.Cookies("junk", "junk"), servertest.CrossSite}},
		{"origin before two Authorization fields", "PATCH", "/auth/user", "{}", 403, "origin_not_allowed", []func(*http.Request){p.As, servertest.CrossSite, twoBearers}},
		{"origin before two Authorization fields: refresh", "POST", "/auth/token/refresh", "", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite, twoBearers}},
		{"origin before two Authorization fields: login", "POST", "/auth/login", "", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite, twoBearers}},
		{"origin before the CSRF token", "PATCH", "/auth/user", "{}", 403, "origin_not_allowed", []func(*http.Request){p.As, noCSRF, servertest.CrossSite}},
		{"origin before the body: login", "POST", "/auth/login", "{", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite}},
		{"origin before the query: login", "POST", "/auth/login?password=x", "{}", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite}},
		{"origin before the body: refresh", "POST", "/auth/token/refresh", "{", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite, p.RefreshOnly}},
		{"origin before the body: logout", "POST", "/auth/logout", "{", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite, p.As}},
		{"origin before the body: user", "PATCH", "/auth/user", "{", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite, p.As}},
		{"origin before the body: token", "POST", "/auth/token", "{", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite}},
		{"origin before the query: token", "POST", "/auth/token?password=x", "{}", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite}},
		{"origin before the body: blacklist", "POST", "/auth/token/blacklist", "{", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite, p.RefreshOnly}},
		{"origin before credentials: blacklist", "POST", "/auth/token/blacklist", "", 403, "origin_not_allowed", []func(*http.Request){servertest.CrossSite}},
		{"credentials before the CSRF token: blacklist", "POST", "/auth/token/blacklist", "", 401, "refresh_missing", []func(*http.Request){w.Cookies(p.Access, ""), noCSRF}},
		{"the CSRF token before the body: password change", "POST", "/auth/password/change", "{", 403, "csrf_failed", []func(*http.Request){p.As, noCSRF}},
		{"too many cookies before the CSRF token", "PATCH", "/auth/user", "{}", 431, "header_too_large", []func(*http.Request){p.As, noCSRF, manyCookies}},
		{"credentials before the CSRF token: two users", "PATCH", "/auth/user", "{}", 401, "token_invalid", []func(*http.Request){w.Cookies(p.Access, w.SignIn(t, servertest.Eve).Refresh), noCSRF}},
		{"credentials before the CSRF token: expired", "PATCH", "/auth/user", "{}", 401, "token_invalid", []func(*http.Request){w.Cookies("junk", ""), noCSRF}},
		{"credentials before the body", "PATCH", "/auth/user", "{", 401, "not_authenticated", nil},
		{"the CSRF token before renewal", "PATCH", "/auth/user", "{}", 403, "csrf_failed", []func(*http.Request){p.RefreshOnly, noCSRF}},
		{"the CSRF token before the body", "PATCH", "/auth/user", "{", 403, "csrf_failed", []func(*http.Request){p.As, noCSRF}},
		{"the CSRF token before the body: login", "POST", "/auth/login", "{", 403, "csrf_failed", []func(*http.Request){p.As, noCSRF, servertest.NoSignal}},
		{"the CSRF token before what is not there", "DELETE", "/auth/sessions/unknown", "", 403, "csrf_failed", []func(*http.Request){p.As, noCSRF}},
		{"everything at once", "BREW", "/auth/user", "{", 421, "misdirected_host", []func(*http.Request){host, path, p.As, noCSRF, servertest.CrossSite, twoBearers, manyCookies}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := w.Refused(t, row.status, row.code, row.method, row.path, row.body, row.changes...)
			if len(a.Cookies()) != 0 {
				t.Errorf("cookies: %v", a.Cookies())
			}
		})
	}
	if p.Generation(t) != 1 || !p.Live(t) {
		t.Error("the session was touched")
	}
}
