package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// While the store is down nobody is signed out: 503 with Retry-After, cookies kept, nothing changed; then it recovers.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
	type request struct {
		name, method, path, body string
		as                       change
	}
	body := map[string]string{"login": credentials("ada", servertest.Password), "updateUser": `{"first_name":"x"}`, "renameSession": `{"name":"x"}`,
		"token": credentials("ada", servertest.Password), "replaceUser": `{"first_name":"x","last_name":"y"}`, "changePassword": passwords(servertest.Password, "a sound one of my own")}
	var down, up []request
	for _, r := range routes(t, w) {
		at := r.at(q.SessionID)
		both := request{r.id + " with both cookies", r.method, at, body[r.id], p.As}
		refresh := request{r.id + " with the refresh cookie", r.method, at, body[r.id], p.RefreshOnly}
		bearer := request{r.id + " with a bearer", r.method, at, body[r.id], servertest.Bearer(p.Access)}
		anonymous := request{r.id + " without credentials", r.method, at, body[r.id], func(*http.Request) {}}
		switch r.id {
		case "jwks", "healthz", "openapi", "docs", "docsScript", "docsStyle":
			up = append(up, both, anonymous)
		case "readyz":
			down = append(down, both, anonymous)
		case "login":
			down = append(down, both, refresh, bearer, anonymous, request{"login without signals", r.method, at, body[r.id], all(p.RefreshOnly, servertest.NoSignal)})
		case "token":
			down = append(down, both, bearer, anonymous)
		case "blacklist":
			down = append(down, both, refresh, request{"blacklist by body", r.method, at, fmt.Sprintf(`{"refresh":%q}`, p.Refresh), bearer.as})
			up = append(up, request{"blacklist a token that does not verify", r.method, at, `{"refresh":"x"}`, both.as})
		case "refresh":
			down = append(down, both, refresh, request{"refresh by body", r.method, at, fmt.Sprintf(`{"refresh":%q}`, p.Refresh), bearer.as})
		case "verify":
			// A live access token is judged from memory, as on every request.
			up = append(up, both, bearer)
			down = append(down, refresh, request{"verify a refresh token", r.method, at, fmt.Sprintf(`{"token":%q}`, p.Refresh), anonymous.as})
		case "session":
			up = append(up, anonymous)
			down = append(down, both, refresh, bearer)
		case "logout":
			up = append(up, anonymous)
			down = append(down, both, refresh, bearer, request{"logout of all", r.method, at + "?all=true", "", p.As})
		case "csrf":
			down = append(down, both, refresh)
		default:
			down = append(down, both, refresh, bearer)
		}
	}
	w.Store.SetDown(true)
	for _, r := range down {
		t.Run("S-09, INV-6: "+r.name, func(t *testing.T) {
			a := w.Refused(t, 503, "store_unavailable", r.method, r.path, r.body, r.as)
			if a.Header.Get("Retry-After") == "" || len(a.Cookies()) != 0 || a.JSON(t)["action"] != "retry" {
				t.Errorf("Retry-After %q, cookies %v, %s", a.Header.Get("Retry-After"), a.Cookies(), a.Body)
			}
		})
	}
	for _, r := range up {
		t.Run("needs no store: "+r.name, func(t *testing.T) {
			if a := w.Send(t, r.method, r.path, r.body, r.as); a.Status != 200 {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("refusals that need no store stay what they are", func(t *testing.T) {
		w.Refused(t, 403, "csrf_failed", "PATCH", "/auth/user", "{}", p.As, noCSRF)
		w.Refused(t, 403, "origin_not_allowed", "POST", "/auth/token/refresh", "", p.RefreshOnly, servertest.CrossSite)
		w.Refused(t, 401, "not_authenticated", "GET", "/auth/user", "")
	})
	w.Store.SetDown(false)
	t.Run("and it recovers, with the very same tokens", func(t *testing.T) {
		for _, r := range down {
			if id, _, _ := strings.Cut(r.name, " "); slices.Contains([]string{"logout", "blacklist", "endSession", "endOtherSessions", "login", "changePassword"}, id) {
				continue // they end sessions
			}
			if a := w.Send(t, r.method, r.path, r.body, r.as); a.Status != 200 {
				t.Errorf("%s: %d %s", r.name, a.Status, a.Body)
			}
		}
		if a := w.Send(t, "POST", "/auth/logout", "", p.As); a.Status != 200 || !a.Clears() || p.Live(t) {
			t.Errorf("logout: %d %s", a.Status, a.Body)
		}
		if a := w.Send(t, "POST", "/auth/login", body["login"]); a.Status != 200 {
			t.Errorf("login: %d %s", a.Status, a.Body)
		}
	})
}
