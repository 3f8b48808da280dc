package server_test

import (
	"net/http"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// Settings reach the part they are for.

func TestOrderOfCredentialsIsAsConfigured(t *testing.T) {
	for order, want := range map[string]int{"cookie_first": 403, "bearer_first": 200} {
		w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) { c.Auth.Order = order }})
		ada := w.SignIn(t, servertest.Ada)
		both := func(r *http.Request) {
			ada.As(r)
			r.Header.Del("X-CSRFToken")
			r.Header.Set("Authorization", "Bearer "+ada.Access)
		}
		if a := w.Send(t, "PATCH", "/auth/user", `{"first_name":"Augusta"}`, both); a.Status != want {
			t.Errorf("%s: cookies, a bearer and no CSRF token: %d %s, want %d", order, a.Status, a.Body, want)
		}
	}
}

func TestSessionCheckIsAsConfigured(t *testing.T) {
	for _, row := range []struct {
		check string
		set   func(*config.Config)
		want  int
	}{
		{"database", func(c *config.Config) { c.Token.SessionCheck = "database" }, 401},
		{"stateless", func(c *config.Config) { c.Token.SessionCheck = "stateless" }, 200},
	} {
		w := servertest.Start(t, servertest.Setup{Config: row.set, Demo: true})
		ada := w.SignIn(t, servertest.Ada)
		if a := w.Send(t, "GET", "/api/hello", "", servertest.Bearer(ada.Access)); a.Status != 200 {
			t.Fatalf("%s: %d %s", row.check, a.Status, a.Body)
		}
		// By another process, which this one cannot know of at once.
		if _, err := w.Store.Store.RevokeSessions(t.Context(), ada.UserID, []string{ada.SessionID}, tokenjar.ReasonLogout); err != nil {
			t.Fatal(err)
		}
		if a := w.Send(t, "GET", "/api/hello", "", servertest.Bearer(ada.Access)); a.Status != row.want {
			t.Errorf("%s: a session that ended elsewhere: %d %s, want %d", row.check, a.Status, a.Body, row.want)
		}
	}
}
