package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

const newPassword = "otter-lantern-meadow-41"

func passwords(old, new string) string {
	return fmt.Sprintf(`{"old_password":%q,"new_password":%q}`, old, new)
}

// change sends a password change that is good in all but what the changes do.
func changePassword(t *testing.T, w *servertest.World, changes ...func(*http.Request)) servertest.Answer {
	t.Helper()
	w.Canary(newPassword)
	return w.Send(t, "POST", "/auth/password/change", passwords(servertest.Password, newPassword), changes...)
}

func TestPasswordChange(t *testing.T) {
	t.Parallel()
	t.Run("S-03: by cookie: this session goes on with new cookies, all others are over, and the new password counts", func(t *testing.T) {
		w := servertest.Start(t, servertest.HTTPS)
		p, other, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
		b := w.Browser(t)
		b.Use(p)
		w.Canary(newPassword)
		w.Clock.Advance(time.Second) // so that dates tell the old tokens from the new
		a := b.Do(t, "POST", "/auth/password/change", passwords(servertest.Password, newPassword))
		got := a.JSON(t)
		if a.Status != 200 || len(a.Cookies()) != 3 || got["detail"] != "The password has been changed." {
			t.Fatalf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		if exp, err := time.Parse(time.RFC3339, got["access_expiration"].(string)); err != nil || exp.Sub(w.Clock.Now()) != time.Duration(got["access_expires_in"].(float64))*time.Second {
			t.Errorf("access_expiration: %s", a.Body)
		}
		if end, err := time.Parse(time.RFC3339, got["refresh_expiration"].(string)); err != nil || end.Sub(w.Clock.Now()) != 24*time.Hour {
			t.Errorf("refresh_expiration: %s", a.Body)
		}
		if p.Generation(t) != 2 || !p.Live(t) || b.Cookie("refresh_token") == p.Refresh || b.Cookie("access_token") == p.Access {
			t.Errorf("generation %d, live %v", p.Generation(t), p.Live(t))
		}
		if other.Live(t) || !eve.Live(t) {
			t.Errorf("other sessions: own %v, another user's %v", other.Live(t), eve.Live(t))
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", other.As)
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/refresh", "", other.RefreshOnly)
		for _, request := range []string{"GET /auth/user", "POST /auth/token/refresh", "GET /auth/user"} {
			method, path, _ := strings.Cut(request, " ")
			if a := b.Do(t, method, path, ""); a.Status != 200 {
				t.Errorf("with the new cookies: %s: %d %s", request, a.Status, a.Body)
			}
		}
		w.Refused(t, 401, "invalid_credentials", "POST", "/auth/login", credentials("ada", servertest.Password))
		if a := w.Send(t, "POST", "/auth/login", credentials("ada", newPassword)); a.Status != 200 {
			t.Errorf("login: %d %s", a.Status, a.Body)
		}
	})
	t.Run("renewed on the way: rotated once, cookies all the same", func(t *testing.T) {
		w := servertest.Start(t)
		p := w.SignIn(t, servertest.Ada)
		a := changePassword(t, w, p.RefreshOnly, servertest.Renewing)
		if a.Status != 200 || a.JSON(t)["refresh_expiration"] == nil {
			t.Fatalf("got %d %s", a.Status, a.Body)
		}
		checkRenewed(t, w, p, a)
	})
	t.Run("an access cookie alone: changed, and the session keeps its tokens", func(t *testing.T) {
		w := servertest.Start(t)
		p := w.SignIn(t, servertest.Ada)
		a := changePassword(t, w, w.Cookies(p.Access, ""), p.WithCSRF)
		if a.Status != 200 || len(a.Cookies()) != 0 || p.Generation(t) != 1 || !p.Live(t) {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
	})
	t.Run("a bearer: no cookie, and its tokens go on", func(t *testing.T) {
		w := servertest.Start(t)
		p, other := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		a := changePassword(t, w, servertest.NoSignal, servertest.Bearer(p.Access))
		if got := a.JSON(t); a.Status != 200 || len(a.Cookies()) != 0 || got["access_expiration"] == nil || got["refresh_expiration"] != nil || p.Generation(t) != 1 {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		if !p.Live(t) || other.Live(t) {
			t.Errorf("live: %v, the other %v", p.Live(t), other.Live(t))
		}
		if a := w.Send(t, "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, p.Refresh)); a.Status != 200 {
			t.Errorf("refresh: %d %s", a.Status, a.Body)
		}
	})
	t.Run("a refresh cookie of another session, or of an older generation, is not spent", func(t *testing.T) {
		w := servertest.Start(t)
		p := w.SignIn(t, servertest.Ada)
		a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		access := cookieValue(a, "access_token")
		w.Clock.Advance(time.Minute) // out of the grace: to spend the old one would be reuse
		if a := changePassword(t, w, w.Cookies(access, p.Refresh), p.WithCSRF); a.Status != 200 || !p.Live(t) || p.Generation(t) != 2 {
			t.Errorf("got %d %s, generation %d, live %v", a.Status, a.Body, p.Generation(t), p.Live(t))
		}
	})
	t.Run("a session that ends meanwhile: changed, honestly, and nobody is told to be signed in", func(t *testing.T) {
		w := servertest.Start(t)
		p := w.SignIn(t, servertest.Ada)
		w.Store.AfterPassword(func() {
			if err := w.Service.Logout(context.Background(), []tokenjar.SignedSession{{SessionID: p.SessionID, UserID: p.UserID}}); err != nil {
				t.Error(err)
			}
		})
		a := changePassword(t, w, p.As)
		if got := a.JSON(t); a.Status != 200 || len(a.Cookies()) != 0 || got["access_expiration"] != nil || !strings.Contains(got["detail"].(string), "Sign in again") {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
	t.Run("F-07: a store that fails behind the change: changed, honestly, and the cookies still work", func(t *testing.T) {
		w := servertest.Start(t)
		p := w.SignIn(t, servertest.Ada)
		w.Store.AfterPassword(func() { w.Store.SetDown(true) })
		a := changePassword(t, w, p.As)
		w.Store.SetDown(false)
		if got := a.JSON(t); a.Status != 200 || len(a.Cookies()) != 0 || got["refresh_expiration"] == nil || got["detail"] == "The password has been changed." {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		if a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly); a.Status != 200 {
			t.Errorf("refresh: %d %s", a.Status, a.Body)
		}
		if a := w.Send(t, "POST", "/auth/login", credentials("ada", newPassword)); a.Status != 200 {
			t.Errorf("login: %d %s", a.Status, a.Body)
		}
	})
}

func TestPasswordChangeRefused(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p, other := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
	const path = "/auth/password/change"
	t.Run("A-13: a wrong old password: 403, so that no client takes it for an expired token", func(t *testing.T) {
		for name, as := range map[string]change{"both cookies": p.As, "an access token alone": all(w.Cookies(p.Access, ""), p.WithCSRF), "a bearer": servertest.Bearer(p.Access)} {
			for _, wrong := range []string{"wrong", strings.ToUpper(servertest.Password), servertest.Password + " ", newPassword + "x"} {
				before := len(w.Log.Events())
				a := w.Refused(t, 403, "invalid_credentials", "POST", path, passwords(wrong, newPassword), as)
				if got := a.JSON(t); got["detail"] != "The old password is not right." || got["action"] != "fix_request" {
					t.Errorf("%s: %s", name, a.Body)
				}
				if events := w.Log.Events()[before:]; !slices.Equal(events, []string{"password.change_failed"}) {
					t.Errorf("INV-7: %v", events)
				}
			}
		}
	})
	t.Run("S-18: without the old password", func(t *testing.T) {
		for _, body := range []string{``, `{}`, `{"new_password":"` + newPassword + `"}`, `{"old_password":"","new_password":"` + newPassword + `"}`, `{"old_password":null,"new_password":"` + newPassword + `"}`} {
			w.Refused(t, 422, "validation_failed", "POST", path, body, p.As)
		}
		w.Refused(t, 422, "validation_failed", "POST", path, `{"old_password":"`+servertest.Password+`"}`, p.As)
	})
	t.Run("what the new password may not be", func(t *testing.T) {
		for name, row := range map[string]struct{ new, code string }{
			"the old one":                     {servertest.Password, "unchanged"},
			"empty":                           {"", "too_short"},
			"7 characters":                    {"xk9!vqz", "too_short"},
			"129 characters":                  {strings.Repeat("xk9!vqz ", 16) + "x", "too_long"},
			"L-21: a common one":              {"password123", "common"},
			"L-21: a common one, in capitals": {"PASSWORD123", "common"},
			"beyond what is read":             {strings.Repeat("x", 1025), "too_long"},
		} {
			a := w.Refused(t, 422, "validation_failed", "POST", path, passwords(servertest.Password, row.new), p.As)
			list, _ := a.JSON(t)["errors"].([]any)
			if len(list) == 0 || list[0].(map[string]any)["field"] != "new_password" || list[0].(map[string]any)["code"] != row.code {
				t.Errorf("%s: %s", name, a.Body)
			}
		}
	})
	t.Run("A-13: from a page of another site, without the CSRF token, by nobody", func(t *testing.T) {
		good := passwords(servertest.Password, newPassword)
		w.Refused(t, 403, "origin_not_allowed", "POST", path, good, p.As, servertest.CrossSite)
		w.Refused(t, 403, "csrf_failed", "POST", path, good, p.As, noCSRF)
		w.Refused(t, 401, "not_authenticated", "POST", path, good)
		w.Refused(t, 401, "token_invalid", "POST", path, good, servertest.Bearer(p.Refresh))
		w.Refused(t, 405, "method_not_allowed", "GET", path, "", p.As)
	})
	t.Run("I-14: the user comes from the session alone", func(t *testing.T) {
		for _, member := range []string{"user_id", "username", "id", "session"} {
			w.Refused(t, 422, "validation_failed", "POST", path, strings.TrimSuffix(passwords(servertest.Password, newPassword), "}")+fmt.Sprintf(`,%q:"user-eve"}`, member), p.As)
		}
	})
	t.Run("changed meanwhile in another place: 409", func(t *testing.T) {
		w.Store.BeforePassword(func(c tokenjar.PasswordChange) error { return fmt.Errorf("set password: %w", tokenjar.ErrConflict) })
		defer w.Store.BeforePassword(nil)
		if a := w.Refused(t, 409, "conflict", "POST", path, passwords(servertest.Password, newPassword), p.As); len(a.Cookies()) != 0 {
			t.Errorf("cookies %v", a.Cookies())
		}
	})
	if !p.Live(t) || !other.Live(t) || p.Generation(t) != 1 {
		t.Error("a refusal touched the sessions")
	}
	if a := w.Send(t, "POST", "/auth/login", credentials("ada", servertest.Password)); a.Status != 200 {
		t.Errorf("the password was changed: %d %s", a.Status, a.Body)
	}
}

// Two tabs of one browser share their cookies: in one the password is changed, in the other the session is refreshed.
// Whoever comes first, nobody is signed out, and every other session is over.
func TestPasswordChangeWhileAnotherTabRefreshes(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		w := servertest.Start(t)
		p, other := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		w.Canary(newPassword)
		var answers [4]servertest.Answer
		var group sync.WaitGroup
		start := make(chan struct{})
		for i := range answers {
			r := w.Request(t, "POST", "/auth/token/refresh", "", p.As)
			if i == round%len(answers) {
				r = w.Request(t, "POST", "/auth/password/change", passwords(servertest.Password, newPassword), p.As)
			}
			group.Go(func() {
				<-start
				answers[i] = w.Do(t, w.Browser(t).Client, r)
			})
		}
		close(start)
		group.Wait()
		successors := map[string]bool{}
		for i, a := range answers {
			if a.Status != 200 {
				t.Errorf("round %d, %d: %d %s", round, i, a.Status, a.Body)
			}
			if refresh := cookieValue(a, "refresh_token"); refresh != "" {
				successors[refresh] = true
			}
			if a.Clears() {
				t.Errorf("round %d, %d: cookies cleared", round, i)
			}
		}
		if len(successors) != 1 || p.Generation(t) != 2 || !p.Live(t) {
			t.Errorf("round %d: %d successors, generation %d, live %v", round, len(successors), p.Generation(t), p.Live(t))
		}
		for refresh := range successors {
			if a := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies("", refresh), p.WithCSRF); a.Status != 200 {
				t.Errorf("round %d: the newest cookie: %d %s", round, a.Status, a.Body)
			}
		}
		if other.Live(t) {
			t.Errorf("round %d: another session lives", round)
		}
		if a := w.Send(t, "POST", "/auth/login", credentials("ada", newPassword)); a.Status != 200 {
			t.Errorf("round %d: login: %d %s", round, a.Status, a.Body)
		}
	}
}

// tightLimits turn away from the second try on, of whatever account.
type tightLimits struct {
	mu    sync.Mutex
	tries int
}

func (l *tightLimits) AllowAddress(context.Context, string) error { return nil }

func (l *tightLimits) AllowAccount(context.Context, string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tries++; l.tries > 1 {
		return &tokenjar.RateLimitError{Limit: "account", RetryAfter: 1500 * time.Millisecond}
	}
	return nil
}

// A right password and a wrong one are turned away alike, wherever a password is tried.
func TestLimitsHoldWhereverAPasswordIsTried(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	for name, row := range map[string]struct {
		path  string
		body  func(password string) string
		wrong int
	}{
		"L-06: login":                   {"/auth/login", func(pw string) string { return credentials("ada", pw) }, 401},
		"L-06: token":                   {"/auth/token", func(pw string) string { return credentials("ada", pw) }, 401},
		"A-13, L-06: a password change": {"/auth/password/change", func(pw string) string { return passwords(pw, newPassword) }, 403},
	} {
		t.Run(name, func(t *testing.T) {
			api, _ := embeddedAPI(t, w, func(c *tokenjar.Config) { c.Limits = &tightLimits{} })
			try := func(password string) servertest.Answer {
				r := httptest.NewRequest("POST", row.path, strings.NewReader(row.body(password)))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Origin", w.URL)
				p.As(r)
				rec := httptest.NewRecorder()
				api.ServeHTTP(rec, r)
				a := servertest.Answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
				if err := mustContract(t, api).Check("POST", row.path, a); err != nil {
					t.Errorf("contract: %v", err)
				}
				return a
			}
			if a := try("wrong"); a.Status != row.wrong {
				t.Fatalf("the first try: %d %s", a.Status, a.Body)
			}
			before := w.Digest(t)
			var seen []string
			for _, password := range []string{"wrong", servertest.Password} {
				a := try(password)
				if a.Status != 429 || a.Code() != "rate_limited" || a.Header.Get("Retry-After") != "2" || len(a.Cookies()) != 0 {
					t.Errorf("got %d %s, Retry-After %q", a.Status, a.Body, a.Header.Get("Retry-After"))
				}
				a.Body = []byte(strings.Replace(string(a.Body), a.Header.Get("X-Request-Id"), "", 1))
				a.Header.Del("X-Request-Id")
				seen = append(seen, fmt.Sprint(a.Header, string(a.Body)))
			}
			if seen[0] != seen[1] {
				t.Errorf("the right password is told from the wrong one:\n%s\n%s", seen[0], seen[1])
			}
			if w.Digest(t) != before || !p.Live(t) {
				t.Error("something changed")
			}
		})
	}
}

func mustContract(t *testing.T, api *httpapi.API) *servertest.Contract {
	t.Helper()
	c, err := servertest.NewContract(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ownUsers are users of a program of its own: nobody but that program can change their passwords.
type ownUsers struct{ tokenjar.UserStore }

func TestPasswordChangeIsNotServedForUsersOfAnotherProgram(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	api, service := embeddedAPI(t, w, func(c *tokenjar.Config) { c.Users = ownUsers{w.Store} })
	rec := httptest.NewRecorder()
	api.ServeHTTP(rec, httptest.NewRequest("POST", "/auth/password/change", nil))
	if rec.Code != 404 || strings.Contains(string(api.OpenAPI()), "password/change") {
		t.Errorf("%d, or it is described", rec.Code)
	}
	if err := service.ChangePassword(t.Context(), tokenjar.PasswordChangeRequest{Old: "x", New: newPassword}); err == nil || errors.Is(err, tokenjar.ErrInvalidCredentials) {
		t.Errorf("the service tries: %v", err)
	}
}
