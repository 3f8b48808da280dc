package server_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

func TestLoginLimitsOfTheConfiguration(t *testing.T) {
	w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) {
		c.Limits = config.Limits{LoginPerAccount: "5/m", LoginPerAddress: "30/m"}
		c.CORS.AllowedOrigins, c.CSRF.TrustedOrigins, c.TrustedProxies = []string{spa}, []string{spa}, []string{"127.0.0.1"}
	}})
	try := func(name, password, address string) servertest.Answer {
		t.Helper()
		return w.Send(t, "POST", "/auth/login", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password), from(spa),
			servertest.Header("X-Forwarded-For", address))
	}
	limited := func(what string, a servertest.Answer, after string) {
		t.Helper()
		if a.Status != 429 || a.Code() != "rate_limited" || a.Header.Get("Retry-After") != after || len(a.Cookies()) != 0 {
			t.Errorf("%s: %d, Retry-After %q: %s", what, a.Status, a.Header.Get("Retry-After"), a.Body)
		}
		shared(t, a, spa, "O-09 "+what)
	}
	for i, name := range []string{"ada", "ADA", "ada@example.com", "Ada@Example.com", "ada"} {
		if a := try(name, "wrong", fmt.Sprintf("203.0.113.%d", i)); a.Status != 401 {
			t.Fatalf("L-07: try %d: %d %s", i+1, a.Status, a.Body)
		}
	}
	limited("L-05, L-07 a sixth try, from another address", try("ada@example.com", "wrong", "198.51.100.1"), "12")
	limited("L-06 the right password meets the same", try("ada", servertest.Password, "198.51.100.2"), "12")
	w.Clock.Advance(12 * time.Second)
	if a := try("ada", servertest.Password, "198.51.100.3"); a.Status != 200 {
		t.Errorf("after Retry-After: %d %s", a.Status, a.Body)
	}
	counted(t, w, `tokenjar_security_events_total{event="login.failed",reason="limit_account"} 2`)

	for i := range 30 {
		if a := try(fmt.Sprintf("nobody%d", i), "wrong", fmt.Sprintf("2001:db8:0:1::%x", i+1)); a.Status != 401 {
			t.Fatalf("L-05: try %d: %d %s", i+1, a.Status, a.Body)
		}
	}
	limited("L-05, L-10 the next, from that network", try("eve", servertest.Password, "2001:DB8:0:1:ffff::9"), "2")
	if a := try("eve", servertest.Password, "2001:db8:0:2::1"); a.Status != http.StatusOK {
		t.Errorf("from another network: %d %s", a.Status, a.Body)
	}
	counted(t, w, `tokenjar_security_events_total{event="login.failed",reason="limit_address"} 1`)
}
