package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// Bearer mode: tokens in the body, and no cookie has a part in it.
func TestTokensForClientsWithoutCookies(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	signIn := func(t *testing.T, body string, changes ...func(*http.Request)) (access, refresh string) {
		t.Helper()
		a := w.Send(t, "POST", "/auth/token", body, changes...)
		if a.Status != 200 || len(a.Cookies()) != 0 {
			t.Fatalf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		got := a.JSON(t)
		return got["access"].(string), got["refresh"].(string)
	}
	t.Run("sign in, refresh, sign out", func(t *testing.T) {
		access, refresh := signIn(t, credentials("ada", servertest.Password), servertest.NoSignal)
		if a := w.Send(t, "PUT", "/auth/user", `{"first_name":"Ada","last_name":"King"}`, servertest.NoSignal, servertest.Bearer(access)); a.Status != 200 || a.JSON(t)["last_name"] != "King" || len(a.Cookies()) != 0 {
			t.Errorf("PUT user: %d %s", a.Status, a.Body)
		}
		a := w.Send(t, "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, refresh), servertest.NoSignal)
		if a.Status != 200 || len(a.Cookies()) != 0 {
			t.Fatalf("refresh: %d %s", a.Status, a.Body)
		}
		next := a.JSON(t)["access"].(string)
		if a := w.Send(t, "POST", "/auth/token/blacklist", fmt.Sprintf(`{"refresh":%q}`, a.JSON(t)["refresh"]), servertest.NoSignal); a.Status != 200 || string(a.Body) != "{}\n" {
			t.Errorf("blacklist: %d %s", a.Status, a.Body)
		}
		for _, each := range []string{access, next} {
			w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(each))
		}
	})
	t.Run("what a user signs in with", func(t *testing.T) {
		signIn(t, credentials("ADA", servertest.Password))
		signIn(t, credentials("ada@example.com", servertest.Password))
		signIn(t, fmt.Sprintf(`{"email":"Ada@Example.com","password":%q}`, servertest.Password))
	})
	t.Run("the expirations equal the claims, and the session is an ordinary one", func(t *testing.T) {
		a := w.Send(t, "POST", "/auth/token", credentials("ada", servertest.Password))
		got := a.JSON(t)
		in := got["access_expires_in"].(float64)
		exp, err := time.Parse(time.RFC3339, got["access_expiration"].(string))
		if err != nil || in < 280 || in > 300 || exp.Sub(w.Clock.Now()) != time.Duration(in)*time.Second || len(got) != 5 {
			t.Errorf("got %s", a.Body)
		}
		end, err := time.Parse(time.RFC3339, got["refresh_expiration"].(string))
		if err != nil || end.Sub(w.Clock.Now()) != 24*time.Hour {
			t.Errorf("refresh_expiration: %s", a.Body)
		}
	})
	t.Run("L-17, L-18: the browser's session is neither ended, nor used, nor touched", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		for name, as := range map[string]change{
			"own session":               p.As,
			"no CSRF token":             all(p.As, noCSRF),
			"neither signal":            all(p.As, noCSRF, servertest.NoSignal),
			"somebody else's":           w.SignIn(t, servertest.Eve).As,
			"junk":                      w.Cookies("junk", "junk"),
			"more cookies than we read": servertest.RawCookie(strings.Repeat("a=b; ", 3001)),
			"a bearer":                  servertest.Bearer(p.Access),
		} {
			access, _ := signIn(t, credentials("ada", servertest.Password), as)
			if a := w.Send(t, "GET", "/auth/user", "", servertest.Bearer(access)); a.JSON(t)["username"] != "ada" {
				t.Errorf("%s: %s", name, a.Body)
			}
		}
		if !p.Live(t) || p.Generation(t) != 1 {
			t.Error("it was touched")
		}
	})
	t.Run("a page of another site", func(t *testing.T) {
		w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/token", credentials("ada", servertest.Password), servertest.CrossSite)
		w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/token", credentials("ada", servertest.Password), origin("null", "cross-site"))
		w.Refused(t, 415, "unsupported_media_type", "POST", "/auth/token", credentials("ada", servertest.Password), contentType("text/plain"))
	})
	t.Run("L-01, INV-8: a failure is that of a login, byte for byte", func(t *testing.T) {
		for name, body := range map[string]string{
			"unknown user": credentials("nobody", servertest.Password), "wrong password": credentials("ada", "wrong"),
			"disabled": credentials(servertest.Disabled, servertest.Password),
		} {
			var seen []string
			for _, path := range []string{"/auth/login", "/auth/token"} {
				before := len(w.Log.Events())
				a := w.Refused(t, 401, "invalid_credentials", "POST", path, body)
				if events := w.Log.Events()[before:]; len(events) != 1 || events[0] != "login.failed" {
					t.Errorf("INV-7: %s: events %v", path, events)
				}
				a.Body = []byte(strings.Replace(string(a.Body), a.Header.Get("X-Request-Id"), "", 1))
				a.Header.Del("X-Request-Id")
				a.Header.Del("Date")
				seen = append(seen, fmt.Sprint(a.Status, a.Header, string(a.Body)))
			}
			if seen[0] != seen[1] {
				t.Errorf("%s:\nlogin %s\ntoken %s", name, seen[0], seen[1])
			}
		}
	})
}

func TestBlacklist(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	by := func(token string) string { return fmt.Sprintf(`{"refresh":%q}`, token) }
	ok := func(t *testing.T, body string, clears bool, changes ...func(*http.Request)) {
		t.Helper()
		a := w.Send(t, "POST", "/auth/token/blacklist", body, changes...)
		if a.Status != 200 || string(a.Body) != "{}\n" || a.Clears() != clears || !clears && len(a.Cookies()) != 0 {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
	}
	t.Run("S-01: a token in the body ends its session at once, and no other", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		ok(t, by(p.Refresh), false, servertest.NoSignal)
		if p.Live(t) || !q.Live(t) {
			t.Errorf("live: %v %v", p.Live(t), q.Live(t))
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(p.Access))
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/refresh", by(p.Refresh))
		before := w.Digest(t)
		ok(t, by(p.Refresh), false) // idempotent
		if w.Digest(t) != before {
			t.Error("the second time something changed")
		}
	})
	t.Run("a spent token, an expired one and an access token end the session, which is no reuse", func(t *testing.T) {
		spent, expired, access := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		w.Send(t, "POST", "/auth/token/refresh", by(spent.Refresh))
		w.Clock.Advance(time.Minute)
		ok(t, by(spent.Refresh), false)
		old := w.SignRefresh(t, expired, map[string]any{"exp": w.Clock.Now().Add(-time.Hour).Unix(), "iat": w.Clock.Now().Add(-2 * time.Hour).Unix()})
		ok(t, by(old), false)
		ok(t, by(access.Access), false)
		for i, p := range []servertest.Pair{spent, expired, access} {
			if s, err := w.Store.Session(t.Context(), p.SessionID); err != nil || s.RevokeReason != "logout" {
				t.Errorf("%d: revoked for %q, %v", i, s.RevokeReason, err)
			}
		}
	})
	t.Run("a token that does not verify: {} and nothing", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		before := w.Digest(t)
		for _, raw := range []string{"x", "..", forge(p.Refresh), forge(p.Access), w.SignRefresh(t, p, map[string]any{"aud": "https://other.example"}), strings.Repeat("x", 8192)} {
			ok(t, by(raw), false)
			ok(t, by(raw), false, p.As) // live cookies beside it stay what they are
		}
		if w.Digest(t) != before {
			t.Error("something ended")
		}
	})
	t.Run("with a token in the body neither rule, and cookies are ignored and untouched", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		ok(t, by(q.Refresh), false, p.As, noCSRF, servertest.CrossSite)
		if !p.Live(t) || q.Live(t) {
			t.Errorf("live: %v %v", p.Live(t), q.Live(t))
		}
	})
	t.Run("by cookie: the session ends and the cookies go", func(t *testing.T) {
		b := w.Browser(t)
		b.Use(w.SignIn(t, servertest.Ada))
		a := b.Do(t, "POST", "/auth/token/blacklist", "")
		if a.Status != 200 || !a.Clears() || b.Cookie("refresh_token")+b.Cookie("access_token")+b.Cookie("csrftoken") != "" {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		for _, body := range []string{"", "{}", `{"refresh":""}`} {
			for _, slash := range []string{"", "/"} {
				p := w.SignIn(t, servertest.Ada)
				if a := w.Send(t, "POST", "/auth/token/blacklist"+slash, body, p.RefreshOnly); a.Status != 200 || !a.Clears() || p.Live(t) {
					t.Errorf("%q: %d %s", body, a.Status, a.Body)
				}
			}
		}
	})
	t.Run("by cookie: both rules", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		w.Refused(t, 403, "csrf_failed", "POST", "/auth/token/blacklist", "", p.RefreshOnly, noCSRF)
		w.Refused(t, 403, "csrf_failed", "POST", "/auth/token/blacklist", "", p.RefreshOnly, csrfHeader(w.SignIn(t, servertest.Eve).CSRF))
		w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/token/blacklist", "", p.RefreshOnly, servertest.CrossSite)
	})
	t.Run("S-07: by cookie, dead or bad: {} and the cookies go, without a CSRF token", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		ok(t, "", true, p.RefreshOnly)
		ok(t, "", true, p.RefreshOnly, noCSRF)
		ok(t, "", true, w.Cookies("", "junk"), noCSRF)
		ok(t, "", true, servertest.RawCookie(`refresh_token="x"`), noCSRF)
	})
	t.Run("the access cookie's session ends with it, for its cookie goes as well", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		ok(t, "", true, w.Cookies(p.Access, q.Refresh), q.WithCSRF)
		if p.Live(t) || q.Live(t) {
			t.Errorf("live: %v %v", p.Live(t), q.Live(t))
		}
	})
	t.Run("none at all", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		for name, as := range map[string]change{"nothing": func(*http.Request) {}, "an access cookie": all(w.Cookies(p.Access, ""), p.WithCSRF), "a bearer": servertest.Bearer(p.Refresh)} {
			for _, body := range []string{"", "{}", `{"refresh":""}`} {
				if a := w.Refused(t, 401, "refresh_missing", "POST", "/auth/token/blacklist", body, as); len(a.Cookies()) != 0 {
					t.Errorf("%s: cookies %v", name, a.Cookies())
				}
			}
		}
	})
	t.Run("INV-7: one event for one session", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		before := len(w.Log.Events())
		ok(t, by(p.Refresh), false)
		if events := w.Log.Events()[before:]; len(events) != 1 || events[0] != "session.revoked" {
			t.Errorf("%v", events)
		}
	})
}

func TestPUTUser(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	a := w.Send(t, "PUT", "/auth/user", `{"first_name":"Augusta","last_name":""}`, p.As)
	if got := a.JSON(t); a.Status != 200 || got["first_name"] != "Augusta" || got["last_name"] != "" || got["username"] != "ada" || len(got) != 6 {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	if again := w.Send(t, "GET", "/auth/user", "", p.As); string(again.Body) != string(a.Body) {
		t.Errorf("GET answers %s, PUT %s", again.Body, a.Body)
	}
	if u, err := w.Store.User(t.Context(), "user-"+servertest.Eve); err != nil || u.FirstName != "Eve" {
		t.Errorf("another user: %+v %v", u, err)
	}
}
