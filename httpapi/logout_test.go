package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/token"
)

func TestLogout(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	logout := func(t *testing.T, path string, changes ...func(*http.Request)) servertest.Answer {
		t.Helper()
		a := w.Send(t, "POST", path, "", changes...)
		if a.Status != 200 || !a.Clears() || a.JSON(t)["detail"] != "Successfully logged out." {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		return a
	}
	t.Run("S-01: ends the session at once: access and refresh token are dead", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		logout(t, "/auth/logout", p.As)
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", w.Cookies(p.Access, ""))
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(p.Access))
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/refresh", "", p.RefreshOnly)
		w.Refused(t, 401, "token_revoked", "POST", "/auth/token/verify", fmt.Sprintf(`{"token":%q}`, p.Access))
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/verify", fmt.Sprintf(`{"token":%q}`, p.Refresh))
	})
	t.Run("S-07: twice", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		logout(t, "/auth/logout", p.As)
		before := w.Digest(t)
		logout(t, "/auth/logout", p.As)
		if w.Digest(t) != before {
			t.Error("the second one changed something")
		}
	})
	t.Run("S-07: without cookies", func(t *testing.T) { logout(t, "/auth/logout/") })
	t.Run("S-07: an expired access token still ends the session", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		expired := w.SignAccess(t, p, token.Claims{"exp": w.Clock.Now().Add(-time.Hour).Unix(), "iat": w.Clock.Now().Add(-2 * time.Hour).Unix(), "nbf": w.Clock.Now().Add(-2 * time.Hour).Unix()})
		w.Refused(t, 403, "csrf_failed", "POST", "/auth/logout", "", w.Cookies(expired, ""))
		logout(t, "/auth/logout", w.Cookies(expired, ""), p.WithCSRF)
		if p.Live(t) {
			t.Error("it lives")
		}
	})
	t.Run("an old refresh token ends the session, and is no reuse", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		w.Clock.Advance(time.Minute)
		logout(t, "/auth/logout", p.RefreshOnly)
		s, err := w.Store.Session(t.Context(), p.SessionID)
		if err != nil || s.RevokeReason != "logout" {
			t.Errorf("revoked for %q, %v", s.RevokeReason, err)
		}
	})
	t.Run("S-07: forged tokens revoke nothing", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		for _, access := range []string{forge(p.Access), w.SignAccess(t, p, token.Claims{"aud": "https://other.example"}), w.SignAccessTyped(t, "JWT", p, nil), p.Refresh} {
			before := w.Digest(t)
			logout(t, "/auth/logout", w.Cookies(access, forge(p.Refresh)), p.WithCSRF)
			logout(t, "/auth/logout?all=true", servertest.Bearer(forge(p.Access)))
			if w.Digest(t) != before {
				t.Errorf("%.20s… ended something", access)
			}
		}
	})
	t.Run("both cookies of two sessions: both end", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		logout(t, "/auth/logout", w.Cookies(p.Access, q.Refresh), q.WithCSRF)
		if p.Live(t) || q.Live(t) {
			t.Errorf("live: %v %v", p.Live(t), q.Live(t))
		}
	})
	t.Run("a bearer ends its session", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		logout(t, "/auth/logout", servertest.NoSignal, servertest.Bearer(p.Access))
		if p.Live(t) || !q.Live(t) {
			t.Errorf("live: %v %v", p.Live(t), q.Live(t))
		}
	})
	t.Run("a bearer beside a live cookie does not count", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
		logout(t, "/auth/logout", p.As, servertest.Bearer(q.Access))
		if p.Live(t) || !q.Live(t) {
			t.Errorf("live: %v %v", p.Live(t), q.Live(t))
		}
	})
	t.Run("?all=true ends all sessions of the user and nobody else's", func(t *testing.T) {
		p, q, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
		if a := logout(t, "/auth/logout?all=false", w.SignIn(t, servertest.Ada).As); len(a.JSON(t)) != 1 {
			t.Errorf("without all: %s", a.Body)
		}
		if !p.Live(t) || !q.Live(t) {
			t.Error("?all=false ended them")
		}
		w.Refused(t, 403, "csrf_failed", "POST", "/auth/logout?all=true", "", p.As, noCSRF)
		live, err := w.Store.UserSessions(t.Context(), p.UserID)
		if err != nil {
			t.Fatal(err)
		}
		if a := logout(t, "/auth/logout?all=true", p.As); a.JSON(t)["ended"] != float64(len(live)) || len(live) < 2 {
			t.Errorf("of %d: %s", len(live), a.Body)
		}
		if p.Live(t) || q.Live(t) || !eve.Live(t) {
			t.Errorf("live: %v %v %v", p.Live(t), q.Live(t), eve.Live(t))
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", q.As)
	})
	t.Run("?all=true with a token of a session that is over ends nothing more", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		logout(t, "/auth/logout", p.As)
		if a := logout(t, "/auth/logout?all=true", p.As); a.JSON(t)["ended"] != 0.0 {
			t.Errorf("the count: %s", a.Body)
		}
		logout(t, "/auth/logout?all=true", servertest.Bearer(p.Access))
		if !q.Live(t) {
			t.Error("it did")
		}
	})
	for _, query := range []string{"?all=1", "?all=TRUE", "?all=", "?all=true&all=false", "?ALL=true", "?next=/x"} {
		t.Run("an unknown query: 400: "+query, func(t *testing.T) {
			w.Refused(t, 400, "validation_failed", "POST", "/auth/logout"+query, "", w.SignIn(t, servertest.Ada).As)
		})
	}
	t.Run("X-17: logout by an image", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		w.Refused(t, 405, "method_not_allowed", "GET", "/auth/logout", "", p.As)
	})
	t.Run("one event for one session", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		before := len(w.Log.Events())
		logout(t, "/auth/logout", p.As)
		if events := w.Log.Events()[before:]; len(events) != 1 || events[0] != "session.revoked" {
			t.Errorf("INV-7: %v", events)
		}
	})
}
