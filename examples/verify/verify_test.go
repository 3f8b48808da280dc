package verify_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/examples/verify"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

var loopback = netip.MustParsePrefix("127.0.0.1/32") // the issuer is on this machine

// newService returns an issuer, and what a service answers to a token.
func newService(t *testing.T) (*tokenjartest.Issuer, func(raw string) *httptest.ResponseRecorder) {
	t.Helper()
	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{
		Clock: tokenjartest.NewClock(time.Now()), // verify reads the machine's clock
	})
	signedIn, err := verify.New(iss.Issuer, iss.Audience, loopback)
	if err != nil {
		t.Fatal(err)
	}
	service := verify.Handler(signedIn)
	return iss, func(raw string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+raw)
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w
	}
}

func TestTokensOfOurIssuer(t *testing.T) {
	iss, ask := newService(t)
	ada := token.Claims{"sub": "ada", "sid": "s-1"}
	if w := ask(iss.Token(ada, time.Minute)); w.Code != http.StatusOK || w.Body.String() != "ada\n" {
		t.Errorf("a good token: got %d %s", w.Code, w.Body)
	}
	for what, raw := range iss.Bad(ada) {
		if w := ask(raw); w.Code != http.StatusUnauthorized {
			t.Errorf("a token that is %s: got %d", what, w.Code)
		}
	}
	if n := iss.Fetches(); n > 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestKeysThatCannotBeHad(t *testing.T) {
	iss, ask := newService(t)
	raw := iss.Token(token.Claims{"sub": "ada", "sid": "s-1"}, time.Minute)
	iss.Break(http.StatusServiceUnavailable)
	if w := ask(raw); w.Code != http.StatusServiceUnavailable {
		t.Errorf("no key is known: got %d", w.Code)
	}
	iss.Mend()
	for range 100 { // a failed fetch is not tried again at once
		if ask(raw).Code == http.StatusOK {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the keys are back, and the token is still refused")
}
