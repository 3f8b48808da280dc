package httpapi_test

import (
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

func TestOwnSessions(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada, other, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
	list := func() []any {
		t.Helper()
		return w.Send(t, "GET", "/auth/sessions", "", ada.As).JSON(t)["sessions"].([]any)
	}
	t.Run("S-10: the list holds own sessions, one of them current", func(t *testing.T) {
		current := 0
		for _, s := range list() {
			if s := s.(map[string]any); s["id"] == eve.SessionID {
				t.Error("another user's session")
			} else if s["current"] == true {
				current++
			}
		}
		if len(list()) != 2 || current != 1 {
			t.Errorf("%d sessions, %d current", len(list()), current)
		}
	})
	t.Run("the list shows device, address, when it was made and when last used", func(t *testing.T) {
		b := w.Browser(t)
		b.Do(t, "POST", "/auth/login", credentials(servertest.Eve, servertest.Password), servertest.Header("User-Agent", "Phone\u00a01.0"))
		own := func() map[string]any {
			t.Helper()
			for _, s := range b.Do(t, "GET", "/auth/sessions", "").JSON(t)["sessions"].([]any) {
				if s := s.(map[string]any); s["current"] == true {
					return s
				}
			}
			t.Fatal("no current session")
			return nil
		}
		made := w.Clock.Now().Format(time.RFC3339)
		if s := own(); s["user_agent"] != "Phone\u00a01.0" || s["ip"] != "127.0.0.1" || s["created_at"] != made || s["last_used_at"] != made {
			t.Errorf("got %v", s)
		}
		w.Clock.Advance(time.Minute)
		b.Do(t, "POST", "/auth/token/refresh", "", servertest.Header("User-Agent", "Phone 2.0"))
		if s := own(); s["user_agent"] != "Phone 2.0" || s["created_at"] != made || s["last_used_at"] != w.Clock.Now().Format(time.RFC3339) {
			t.Errorf("after a refresh: %v", s)
		}
		b.Do(t, "POST", "/auth/logout", "")
	})
	t.Run("a session gets a name", func(t *testing.T) {
		for _, slash := range []string{"", "/"} {
			if a := w.Send(t, "PATCH", "/auth/sessions/"+other.SessionID+slash, `{"name":"Ada's phone"}`, ada.As); a.Status != 200 || string(a.Body) != "{}\n" {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		}
		found := false
		for _, s := range list() {
			found = found || s.(map[string]any)["name"] == "Ada's phone"
		}
		if !found {
			t.Errorf("the list does not show it: %v", list())
		}
	})
	t.Run("S-10: others' ids, made-up ids, SQL, templates", func(t *testing.T) {
		for _, id := range []string{eve.SessionID, "1", "0", "-1", "me", "'%20OR%201=1%20--", "%27%20OR%20%271%27=%271", "{id}", "%7Bid%7D", "*", "%25", "all", "null", "0190b5a0-0000-7000-8000-000000000000"} {
			w.Refused(t, 404, "not_found", "DELETE", "/auth/sessions/"+id, "", ada.As)
			w.Refused(t, 404, "not_found", "PATCH", "/auth/sessions/"+id, `{"name":"x"}`, ada.As)
		}
		if !eve.Live(t) {
			t.Error("another user's session was ended")
		}
	})
	t.Run("S-10: one is ended, at once and for good", func(t *testing.T) {
		if a := w.Send(t, "DELETE", "/auth/sessions/"+other.SessionID, "", ada.As); a.Status != 200 || other.Live(t) || !ada.Live(t) {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		w.Refused(t, 404, "not_found", "DELETE", "/auth/sessions/"+other.SessionID, "", ada.As)
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", w.Cookies(other.Access, ""))
		w.Refused(t, 401, "session_ended", "GET", "/auth/user", "", w.Cookies("", other.Refresh))
	})
	t.Run("all others are ended", func(t *testing.T) {
		a2, a3 := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		if a := w.Send(t, "DELETE", "/auth/sessions", "", ada.As); a.Status != 200 || a.JSON(t)["ended"] != 2.0 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		if a2.Live(t) || a3.Live(t) || !ada.Live(t) || !eve.Live(t) {
			t.Error("wrong sessions were ended")
		}
	})
	t.Run("S-01: the current one is ended, and its tokens with it", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		if a := w.Send(t, "DELETE", "/auth/sessions/"+p.SessionID, "", p.As); a.Status != 200 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", p.As)
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(p.Access))
	})
	t.Run("S-05: a disabled user's sessions are over, and come not back", func(t *testing.T) {
		p := w.SignIn(t, servertest.Eve)
		if err := w.Service.SetUserActive(t.Context(), p.UserID, false); err != nil {
			t.Fatal(err)
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", p.As)
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/refresh", "", p.RefreshOnly)
		if err := w.Service.SetUserActive(t.Context(), p.UserID, true); err != nil {
			t.Fatal(err)
		}
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/refresh", "", p.RefreshOnly)
		w.Refused(t, 401, "session_ended", "GET", "/auth/user", "", p.RefreshOnly)
	})
}
