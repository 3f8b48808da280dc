package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/token"
)

// Where a session is renewed on the way, and where never.
func TestWhereSessionsAreRenewed(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.Setup{Demo: true})
	never := map[string]bool{"login": true, "logout": true, "refresh": true, "verify": true, "session": true, "csrf": true, "jwks": true, "healthz": true, "readyz": true,
		"token": true, "blacklist": true, "openapi": true, "docs": true, "docsScript": true, "docsStyle": true}
	type visit struct {
		name, method, path string
		renewed            bool
	}
	visits := []visit{
		{"the sample API", "GET", "/api/hello", true}, {"the sample API, POST", "POST", "/api/hello", true},
		{"the page", "GET", "/", false}, {"the document", "GET", "/openapi.json", false}, {"nothing", "GET", "/nothing", false},
		{"nothing under /auth", "GET", "/auth/nothing", false}, {"OPTIONS", "OPTIONS", "/auth/user", false},
		{"a method that is not served", "PUT", "/auth/sessions", false},
	}
	listed := 0
	for _, r := range routes(t, w) {
		visits = append(visits, visit{r.id, r.method, r.path, !never[r.id]})
		if never[r.id] {
			listed++
		}
	}
	if listed != len(never) {
		t.Errorf("%d of %d routes found", listed, len(never))
	}
	for _, v := range visits {
		for _, slash := range []string{"", "/"} {
			if v.path == "/" || slash == "/" && !strings.HasPrefix(v.path, "/auth") {
				continue
			}
			t.Run(v.method+" "+v.path+slash, func(t *testing.T) {
				if v.name == "logout" || v.name == "refresh" || v.name == "blacklist" {
					return // they spend the refresh token themselves, or end its session
				}
				p := w.SignIn(t, servertest.Ada)
				a := w.Send(t, v.method, strings.Replace(v.path, "{id}", "x", 1)+slash, "", p.RefreshOnly, servertest.Renewing)
				rotated := p.Generation(t) != 1
				set := cookieValue(a, "access_token") != ""
				if rotated != v.renewed || set != v.renewed {
					t.Errorf("status %d: rotated %v, cookies set %v, want %v", a.Status, rotated, set, v.renewed)
				}
				if a.Status == 401 && v.renewed {
					t.Errorf("the same request did not go through: %s", a.Body)
				}
			})
		}
	}
}

// The same request goes through, and the new cookies are on its answer whatever its status.
func TestRenewedRequestsWithEveryStatus(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	w.MayPanic = true
	for _, row := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/auth/user", "", 200, ""},
		{"PATCH", "/auth/user", `{"first_name":"Augusta"}`, 200, ""},
		{"PUT", "/auth/user", `{"first_name":"Augusta","last_name":"King"}`, 200, ""},
		{"PUT", "/auth/user", `{"first_name":"Augusta"}`, 422, "validation_failed"},
		{"POST", "/auth/password/change", passwords("wrong", "a sound one of my own"), 403, "invalid_credentials"},
		{"PATCH", "/auth/user", `{"id":"x"}`, 422, "validation_failed"},
		{"PATCH", "/auth/user", `{`, 400, "validation_failed"},
		{"PATCH", "/auth/user", `{"first_name":"` + strings.Repeat("x", 70<<10) + `"}`, 413, "body_too_large"},
		{"DELETE", "/auth/sessions/unknown", "", 404, "not_found"},
		{"DELETE", "/auth/sessions", "", 200, ""},
	} {
		t.Run(fmt.Sprintf("%s %s %d", row.method, row.path, row.status), func(t *testing.T) {
			p := w.SignIn(t, servertest.Ada)
			a := w.Send(t, row.method, row.path, row.body, p.RefreshOnly, servertest.Renewing)
			if a.Status != row.status || a.Code() != row.code {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			checkRenewed(t, w, p, a)
		})
	}
	t.Run("415", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		a := w.Send(t, "PATCH", "/auth/user", `x`, p.RefreshOnly, servertest.Renewing, contentType("text/plain"))
		if a.Status != 415 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		checkRenewed(t, w, p, a)
	})
}

// checkRenewed looks whether the session has gone on by one generation and the answer carries the cookies for it.
func checkRenewed(t *testing.T, w *servertest.World, p servertest.Pair, a servertest.Answer) {
	t.Helper()
	access, refresh, token := cookieValue(a, "access_token"), cookieValue(a, "refresh_token"), cookieValue(a, "csrftoken")
	if access == "" || refresh == "" || refresh == p.Refresh || token != p.CSRF || len(a.Cookies()) != 3 {
		t.Fatalf("cookies: %v", a.Cookies())
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control: %s", a.Header.Get("Cache-Control"))
	}
	if g := p.Generation(t); g != 2 || !p.Live(t) {
		t.Errorf("generation %d, live %v", g, p.Live(t))
	}
	if next := w.Send(t, "GET", "/auth/user", "", w.Cookies(access, refresh)); next.Status != 200 || len(next.Cookies()) != 0 {
		t.Errorf("the new cookies: %d %s", next.Status, next.Body)
	}
}

func TestAllReasonsForRenewal(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	for name, access := range map[string]func(p servertest.Pair) string{
		"access cookie missing": func(servertest.Pair) string { return "" },
		"access token expired": func(p servertest.Pair) string {
			return w.SignAccess(t, p, token.Claims{"exp": w.Clock.Now().Unix(), "iat": w.Clock.Now().Add(-time.Minute).Unix()})
		},
		"access token forged": func(p servertest.Pair) string { return forge(p.Access) },
		"access token for another": func(p servertest.Pair) string {
			return w.SignAccess(t, p, token.Claims{"aud": "https://other.example"})
		},
		"access cookie quoted":          func(p servertest.Pair) string { return `"` + p.Access + `"` },
		"access token of a refresh typ": func(p servertest.Pair) string { return w.SignAccessTyped(t, "rt+jwt", p, nil) },
		"CVE-2024-51744, C-13: expired and forged": func(p servertest.Pair) string {
			return forge(w.SignAccess(t, p, token.Claims{"exp": 1, "sub": "user-eve"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.SignIn(t, servertest.Ada)
			a := w.Send(t, "GET", "/auth/user", "", w.Cookies(access(p), p.Refresh))
			if a.Status != 200 || a.JSON(t)["username"] != "ada" {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			checkRenewed(t, w, p, a)
		})
	}
	t.Run("never when the access token was revoked", func(t *testing.T) {
		p, live := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		if err := w.Service.EndSession(t.Context(), p.UserID, p.SessionID); err != nil {
			t.Fatal(err)
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", p.As)
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", w.Cookies(p.Access, live.Refresh))
	})
	t.Run("never without the CSRF token on an unsafe method", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		w.Refused(t, 403, "csrf_failed", "PATCH", "/auth/user", `{}`, p.RefreshOnly, noCSRF)
	})
	t.Run("never from another origin", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		w.Refused(t, 403, "origin_not_allowed", "PATCH", "/auth/user", `{}`, p.RefreshOnly, servertest.CrossSite)
	})
	t.Run("a passive request does not move the idle limit", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		before, _ := w.Store.Session(t.Context(), p.SessionID)
		w.Clock.Advance(time.Hour)
		if a := w.Send(t, "GET", "/auth/user", "", p.RefreshOnly, servertest.Header("X-Passive", "1")); a.Status != 200 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		after, _ := w.Store.Session(t.Context(), p.SessionID)
		if after.Generation != 2 || !after.IdleExpiresAt.Equal(before.IdleExpiresAt) {
			t.Errorf("generation %d, idle %s, before %s", after.Generation, after.IdleExpiresAt, before.IdleExpiresAt)
		}
	})
}

func TestParallelRequestsRenewOnce(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(w *servertest.World, p servertest.Pair) servertest.Answer{
		"T-02, T-03: on the way": func(w *servertest.World, p servertest.Pair) servertest.Answer {
			return w.Send(t, "GET", "/auth/user", "", p.RefreshOnly)
		},
		"T-02, T-03: by refresh": func(w *servertest.World, p servertest.Pair) servertest.Answer {
			return w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := servertest.Start(t)
			p := w.SignIn(t, servertest.Ada)
			const n = 20
			answers := make([]servertest.Answer, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() { answers[i] = send(w, p) })
			}
			wg.Wait()
			for _, a := range answers {
				if a.Status != 200 || a.Clears() {
					t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
				}
				if cookieValue(a, "refresh_token") != cookieValue(answers[0], "refresh_token") {
					t.Error("two successors")
				}
			}
			if g := p.Generation(t); g != 2 {
				t.Errorf("generation %d", g)
			}
			checkRenewed(t, w, p, answers[0])
		})
	}
}

func TestRenewalSwitchedOff(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]servertest.Setup{
		"transparent_renewal: false": {Config: func(c *config.Config) { c.Session.TransparentRenewal = false }},
		"renewal_exclude":            {Config: func(c *config.Config) { c.Session.RenewalExclude = []string{"/auth/user", "/auth/sessions/"} }},
	} {
		t.Run(name, func(t *testing.T) {
			w := servertest.Start(t, setup)
			p := w.SignIn(t, servertest.Ada)
			for _, path := range []string{"/auth/user", "/auth/user/", "/auth/%75ser", "/auth/sessions"} {
				a := w.Refused(t, 401, "not_authenticated", "GET", path, "", p.RefreshOnly)
				if a.JSON(t)["action"] != "refresh" {
					t.Errorf("action: %s", a.Body)
				}
			}
			expired := w.SignAccess(t, p, token.Claims{"exp": w.Clock.Now().Unix(), "iat": w.Clock.Now().Add(-time.Minute).Unix()})
			if a := w.Refused(t, 401, "token_expired", "GET", "/auth/user", "", w.Cookies(expired, p.Refresh)); a.JSON(t)["action"] != "refresh" {
				t.Errorf("action: %s", a.Body)
			}
			if a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly); a.Status != 200 || len(a.Cookies()) != 3 {
				t.Errorf("refresh: %d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("renewal_exclude is in whole segments", func(t *testing.T) {
		w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) { c.Session.RenewalExclude = []string{"/auth/us", "/admin/"} }})
		p := w.SignIn(t, servertest.Ada)
		if a := w.Send(t, "GET", "/auth/user", "", p.RefreshOnly); a.Status != 200 || len(a.Cookies()) != 3 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
}

func TestSpentRefreshCookies(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	t.Run("T-05: within the grace: the same successor again", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		first, again := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly), w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		if again.Status != 200 || cookieValue(first, "refresh_token") != cookieValue(again, "refresh_token") {
			t.Errorf("got %d %s", again.Status, again.Body)
		}
	})
	t.Run("T-01: after the grace, successor used: reuse ends that session alone, clears the cookies, and says so", func(t *testing.T) {
		p, other := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		first := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		newest := cookieValue(first, "refresh_token")
		second := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies("", newest), p.WithCSRF)
		if second.Status != 200 {
			t.Fatalf("second: %d %s", second.Status, second.Body)
		}
		w.Clock.Advance(time.Minute)
		a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		if a.Status != 401 || a.Code() != "session_reused" || a.JSON(t)["action"] != "login" || !a.Clears() {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		if p.Live(t) || !other.Live(t) {
			t.Error("not that session alone")
		}
		for _, raw := range []string{newest, cookieValue(second, "refresh_token")} {
			if a := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies("", raw), p.WithCSRF); a.Code() != "session_reused" {
				t.Errorf("the honest holder: %d %s", a.Status, a.Body)
			}
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(cookieValue(second, "access_token")))
	})
	t.Run("T-07: from the 65th replay on 429, and nothing ends; renewal is served all the same", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		for i := range 65 {
			if a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly); a.Status != 200 {
				t.Fatalf("use %d: %d %s", i+1, a.Status, a.Body)
			}
		}
		w.Refused(t, 429, "rate_limited", "POST", "/auth/token/refresh", "", p.RefreshOnly)
		if a := w.Send(t, "GET", "/auth/user", "", p.RefreshOnly); a.Status != 200 || !p.Live(t) {
			t.Errorf("renewal: %d %s", a.Status, a.Body)
		}
	})
	t.Run("T-22: GET and a foreign page rotate nothing", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		w.Refused(t, 405, "method_not_allowed", "GET", "/auth/token/refresh", "", p.RefreshOnly)
		w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/token/refresh", "", p.RefreshOnly, servertest.CrossSite)
	})
	t.Run("T-21: an expired, forged or absent access token is not needed", func(t *testing.T) {
		for _, access := range []string{"", "junk", "expired", "of another session"} {
			p := w.SignIn(t, servertest.Ada)
			switch access {
			case "expired":
				access = w.SignAccess(t, p, token.Claims{"exp": 1})
			case "of another session":
				access = w.SignIn(t, servertest.Ada).Access
			}
			if a := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies(access, p.Refresh), p.WithCSRF); a.Status != 200 || p.Generation(t) != 2 {
				t.Errorf("%.20q: %d %s", access, a.Status, a.Body)
			}
		}
	})
	t.Run("T-14: refresh token of one user, access token or bearer of another: 401", func(t *testing.T) {
		p, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
		w.Refused(t, 401, "token_invalid", "POST", "/auth/token/refresh", "", w.Cookies(eve.Access, p.Refresh), p.WithCSRF)
		w.Refused(t, 401, "token_invalid", "POST", "/auth/token/refresh", "", p.RefreshOnly, servertest.Bearer(eve.Access))
		w.Refused(t, 403, "csrf_failed", "POST", "/auth/token/refresh", "", p.RefreshOnly, csrfHeader(eve.CSRF))
	})
	t.Run("bearer mode: cookies ignored and untouched", func(t *testing.T) {
		p, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
		a := w.Send(t, "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, p.Refresh), eve.As, noCSRF)
		body := a.JSON(t)
		if a.Status != 200 || len(a.Cookies()) != 0 || eve.Generation(t) != 1 || p.Generation(t) != 2 {
			t.Fatalf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		access, refresh := body["access"].(string), body["refresh"].(string)
		w.Canary(access, refresh)
		if a := w.Send(t, "GET", "/auth/user", "", servertest.Bearer(access)); a.Status != 200 {
			t.Errorf("its access token: %d %s", a.Status, a.Body)
		}
		for name, raw := range map[string]string{"an access token": access, "a forgery": forge(refresh), "garbage": "x"} {
			a := w.Refused(t, 401, "token_invalid", "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, raw), eve.As)
			if len(a.Cookies()) != 0 {
				t.Errorf("%s: touches cookies: %v", name, a.Cookies())
			}
		}
		expired := w.SignRefresh(t, p, token.Claims{"exp": w.Clock.Now().Unix()})
		w.Refused(t, 401, "token_expired", "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, expired))
		if !p.Live(t) {
			t.Error("an expired old token is never reuse, yet the session ended")
		}
	})
	t.Run("cookies stay when the same browser has signed in again meanwhile", func(t *testing.T) {
		b := w.Browser(t)
		b.Login(t, servertest.Ada)
		old := b.Cookie("refresh_token")
		oldCSRF := b.Cookie("csrftoken")
		b.Login(t, servertest.Ada)
		a := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies("", old), csrfHeader(oldCSRF))
		if a.Status != 401 || a.Code() != "session_ended" || len(a.Cookies()) != 0 {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
	})
}

func TestStoreCallsOfRefusals(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	for name, c := range map[string]change{
		"T-25: a forged refresh cookie": w.Cookies("", forge(p.Refresh)), "a forged access cookie": w.Cookies(forge(p.Access), ""),
		"J-22: an access token as refresh cookie": w.Cookies("", p.Access), "no cookie": func(*http.Request) {}, "a foreign page": all(p.As, servertest.CrossSite),
	} {
		before := w.Store.Calls()
		for _, r := range []string{"POST /auth/token/refresh", "PATCH /auth/user", "POST /auth/token/verify"} {
			method, path, _ := strings.Cut(r, " ")
			if a := w.Send(t, method, path, "", c); a.Status != 401 && a.Status != 403 {
				t.Errorf("%s: %s: %d", name, r, a.Status)
			}
		}
		if n := w.Store.Calls() - before; n != 0 {
			t.Errorf("%s: %d store calls", name, n)
		}
	}
}
