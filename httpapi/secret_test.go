package httpapi_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

func secret(t *testing.T, lines ...string) tokenjar.Secret {
	t.Helper()
	s, err := tokenjar.ParseSecret([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A node on which a line of the secret is missing for a moment: a half-written file, or nodes changed in the wrong order.
func TestAMomentWithoutALineOfTheSecretClearsNoCookies(t *testing.T) {
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	fresh := tokenjar.GenerateSecret()
	replace := func(lines ...string) {
		t.Helper()
		if _, err := w.Service.ReplaceSecret(t.Context(), secret(t, lines...)); err != nil {
			t.Fatal(err)
		}
	}
	replace(servertest.Secret, fresh)
	ring, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: w.Store, Secret: secret(t, fresh, servertest.Secret), Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	replace(fresh)
	for _, path := range []string{"/auth/token/refresh", "/auth/login"} {
		body := ""
		if path == "/auth/login" {
			body = `{"username":"ada","password":"wrong password"}`
		}
		if a := w.Send(t, "POST", path, body, p.RefreshOnly, p.WithCSRF); a.Status != 401 || len(a.Cookies()) != 0 {
			t.Errorf("%s: %d %s sets %v, want 401 and the cookies left alone", path, a.Status, a.Body, a.Cookies())
		}
	}
	replace(fresh, servertest.Secret)
	if a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly, p.WithCSRF); a.Status != 200 {
		t.Errorf("with the line again: %d %s", a.Status, a.Body)
	}
}

type duringChange struct{ do func() }

func (d *duringChange) AllowAddress(context.Context, string) error { return nil }
func (d *duringChange) AllowAccount(context.Context, string) error { d.do(); return nil }

// While the passwords wait to be hashed another tab refreshes, uses what it got, and the grace runs out.
func TestPasswordChangeThatTakesLongerThanTheGraceEndsNothing(t *testing.T) {
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	w.Canary(newPassword)
	slow := &duringChange{}
	api, _ := embeddedAPI(t, w, func(c *tokenjar.Config) { c.Limits = slow })
	slow.do = func() {
		if a := w.Send(t, "POST", "/auth/token/refresh", "", p.As); a.Status != 200 {
			t.Fatalf("the other tab: %d %s", a.Status, a.Body)
		}
		if err := w.Store.MarkSeen(t.Context(), []tokenjar.Seen{{SessionID: p.SessionID, Generation: 2}}); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(11 * time.Second)
	}
	r := httptest.NewRequest("POST", "/auth/password/change", strings.NewReader(passwords(servertest.Password, newPassword)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", w.URL)
	p.As(r)
	rec := httptest.NewRecorder()
	api.ServeHTTP(rec, r)
	if rec.Code != 200 || !p.Live(t) || strings.Contains(rec.Body.String(), "ended") {
		t.Errorf("%d %s, session live: %v", rec.Code, rec.Body, p.Live(t))
	}
}
