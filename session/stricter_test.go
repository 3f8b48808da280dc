package session_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/session"
)

// Routes whose sessions are checked harder than those of others. What another node does is done here to the store itself,
// of which the service learns only when it polls.

func TestAStricterRouteNoticesAtOnceWhatAnotherNodeHasDone(t *testing.T) { // S-02, S-06
	e := newEmbedded(t)
	strict, err := e.guard.Stricter(tokenjar.CheckDatabase)
	if err != nil {
		t.Fatal(err)
	}
	ordinary, hard := e.guard.Required(http.HandlerFunc(whoami)), strict.Required(http.HandlerFunc(whoami))
	chain := middleware.Required(session.Authenticator(strict, middleware.Claims)).Protect(http.HandlerFunc(whoami))
	status := func(h http.Handler, change ...func(*http.Request)) (int, string) {
		t.Helper()
		res, _ := e.ask(t, h, "GET", "/", change...)
		return res.StatusCode, res.Header.Get("X-Tokenjar-Problem")
	}
	want := func(h http.Handler, wantStatus int, wantCode string, change ...func(*http.Request)) {
		t.Helper()
		if got, code := status(h, change...); got != wantStatus || code != wantCode {
			t.Fatalf("got %d %s, want %d %s", got, code, wantStatus, wantCode)
		}
	}
	ada := e.SignIn(t, servertest.Ada)
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+ada.Access) }
	for _, h := range []http.Handler{ordinary, hard, chain} {
		want(h, 200, "", ada.As)
		want(h, 200, "", bearer)
	}

	if err := e.Store.SetUserRoles(t.Context(), ada.UserID, tokenjar.Roles{Staff: true}); err != nil {
		t.Fatal(err)
	}
	want(ordinary, 200, "", ada.As)
	res, body := e.ask(t, hard, "GET", "/", ada.As)
	if res.StatusCode != 200 || !strings.Contains(strings.Join(res.Header["Set-Cookie"], "\n"), e.guard.AccessCookieName()) {
		t.Fatalf("with older claims the session is not renewed: %d %s %v", res.StatusCode, body, res.Header)
	}
	want(hard, 401, "token_expired", bearer)

	// An answer that is kept of a rotation is not given there either once the rows say otherwise.
	fresh := e.SignIn(t, servertest.Ada)
	want(hard, 200, "", fresh.RefreshOnly)
	if err := e.Store.SetUserRoles(t.Context(), ada.UserID, tokenjar.Roles{}); err != nil {
		t.Fatal(err)
	}
	want(hard, 401, "token_expired", fresh.RefreshOnly)

	eve := e.SignIn(t, servertest.Eve)
	if _, err := e.Store.RevokeUserSessions(t.Context(), eve.UserID, "", tokenjar.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	want(ordinary, 200, "", eve.As)
	for _, h := range []http.Handler{hard, chain} {
		want(h, 401, "token_revoked", eve.As)
	}
	want(strict.Optional(http.HandlerFunc(whoami)), 200, "", eve.As) // anonymous
}

func TestACheckThatIsNotStricterIsRefused(t *testing.T) {
	e := newEmbedded(t)
	for _, check := range []tokenjar.SessionCheck{tokenjar.CheckStateless, tokenjar.CheckCached, "", "dataBase"} {
		if g, err := e.guard.Stricter(check); err == nil || g != nil {
			t.Errorf("%q is taken: %v", check, err)
		}
	}
}
