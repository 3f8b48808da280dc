package httpapi_test

import (
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

func TestSignInStayInSignOut(t *testing.T) {
	for name, setup := range map[string]servertest.Setup{"https": servertest.HTTPS, "loopback": {}} {
		t.Run(name, func(t *testing.T) {
			w := servertest.Start(t, setup)
			b := w.Browser(t)
			if a := b.Do(t, "GET", "/auth/session", ""); string(a.Body) != "{\"authenticated\":false}\n" {
				t.Fatalf("anonymous session: %d %s", a.Status, a.Body)
			}
			login := b.Login(t, servertest.Ada)
			user := login.JSON(t)["user"].(map[string]any)
			if user["username"] != "ada" || login.JSON(t)["access_expires_in"].(float64) < 280 {
				t.Errorf("login answers %s", login.Body)
			}
			if a := b.Do(t, "GET", "/auth/user", ""); a.Status != 200 || a.JSON(t)["username"] != "ada" {
				t.Errorf("user: %d %s", a.Status, a.Body)
			}
			old := b.Cookie("refresh_token")
			w.Clock.Advance(6 * time.Minute) // the access token runs out; a browser drops its cookie
			b.DropCookie("access_token")
			if a := b.Do(t, "GET", "/auth/session", ""); a.JSON(t)["authenticated"] != true || a.JSON(t)["access_expiration"] != nil {
				t.Errorf("session with a refresh cookie alone: %s", a.Body)
			}
			if b.Cookie("refresh_token") != old {
				t.Error("GET session rotated")
			}
			if a := b.Do(t, "PATCH", "/auth/user", `{"first_name":"Ada"}`); a.Status != 200 || len(a.Cookies()) != 3 {
				t.Errorf("renewal on the way: %d %s %v", a.Status, a.Body, a.Cookies())
			}
			if b.Cookie("refresh_token") == old {
				t.Error("the refresh token was not rotated")
			}
			if a := b.Do(t, "POST", "/auth/token/refresh", ""); a.Status != 200 || len(a.Cookies()) != 3 {
				t.Errorf("refresh: %d %s", a.Status, a.Body)
			}
			if a := b.Do(t, "GET", "/auth/csrf", ""); a.Status != 200 || a.JSON(t)["csrf_token"] != b.Cookie("csrftoken") {
				t.Errorf("csrf: %d %s", a.Status, a.Body)
			}
			if a := b.Do(t, "POST", "/auth/token/verify", ""); a.Status != 200 || a.JSON(t)["token_type"] != "access" {
				t.Errorf("verify: %d %s", a.Status, a.Body)
			}
			if a := b.Do(t, "GET", "/auth/sessions", ""); a.Status != 200 || len(a.JSON(t)["sessions"].([]any)) != 1 {
				t.Errorf("sessions: %d %s", a.Status, a.Body)
			}
			if a := b.Do(t, "POST", "/auth/logout", ""); a.Status != 200 || !a.Clears() || a.JSON(t)["detail"] != "Successfully logged out." {
				t.Errorf("logout: %d %s %v", a.Status, a.Body, a.Cookies())
			}
			if b.Cookie("access_token")+b.Cookie("refresh_token")+b.Cookie("csrftoken") != "" {
				t.Error("CK-10: cookies are left in the jar")
			}
			if a := b.Do(t, "GET", "/auth/user", ""); a.Status != 401 || a.Code() != "not_authenticated" {
				t.Errorf("user after logout: %d %s", a.Status, a.Body)
			}
			for _, path := range []string{"/.well-known/jwks.json", "/openapi.json", "/healthz", "/readyz", "/", "/auth/session/"} {
				if a := b.Do(t, "GET", path, ""); a.Status != 200 {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
				}
			}
		})
	}
}
