package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// CK-09: when the program's claims do not fit into a cookie nobody is signed in halfway.
func TestClaimsThatFillACookie(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	size := 0
	api, _ := embeddedAPI(t, w, func(c *tokenjar.Config) {
		c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) {
			return map[string]any{"x": strings.Repeat("x", size)}, nil
		}
	})
	header := http.Header{"Content-Type": {"application/json"}, "Origin": {w.Origin}}
	for _, size = range []int{100, 2000, 4000, 5000} {
		rec := serve(w, api, "POST", "/auth/login", credentials("ada", servertest.Password), header.Clone())
		fits := size <= 2000
		if fits && (rec.Code != 200 || len(rec.Result().Cookies()) != 3) || !fits && (rec.Code != 503 || rec.Header().Get("X-Tokenjar-Problem") != "claims_too_large" || len(rec.Result().Cookies()) != 0) {
			t.Errorf("%d bytes: %d %s", size, rec.Code, rec.Body)
		}
		for _, c := range rec.Result().Cookies() {
			if len(c.Name)+len(c.Value) > 4096 {
				t.Errorf("%d bytes: %s has %d", size, c.Name, len(c.Value))
			}
		}
	}
	live, err := w.Store.UserSessions(t.Context(), "user-ada")
	if err != nil || len(live) != 2 {
		t.Errorf("%d sessions live, %v: those without cookies must not", len(live), err)
	}
}
