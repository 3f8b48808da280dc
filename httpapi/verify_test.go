package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// A service that asks whether a token is good must be told what a route of ours would say of it.
func TestVerifyChecksSessionsAsHardAsEveryRoute(t *testing.T) { // S-02
	t.Parallel()
	w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) { c.Token.SessionCheck = tokenjar.CheckDatabase }})
	p := w.SignIn(t, servertest.Ada)
	body := fmt.Sprintf(`{"token":%q}`, p.Access)
	if a := w.Send(t, "POST", "/auth/token/verify", body); a.Status != 200 || a.JSON(t)["token_type"] != "access" {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
	if _, err := w.Store.RevokeUserSessions(t.Context(), p.UserID, "", tokenjar.ReasonRevoked); err != nil { // another node
		t.Fatal(err)
	}
	w.Refused(t, 401, "token_revoked", "POST", "/auth/token/verify", body)
	w.Refused(t, 401, "token_revoked", "POST", "/auth/token/verify", "", p.As)
	w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", servertest.Bearer(p.Access))
}
