package verify_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/examples/verify"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

var loopback = netip.MustParsePrefix("127.0.0.1/32") // the issuer is on this machine

func TestTokensOfOurIssuer(t *testing.T) {
	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{
		Clock: tokenjartest.NewClock(time.Now()), // verify reads the machine's clock
	})
	decoder, err := verify.New(iss.Issuer, iss.Audience, loopback)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(raw string) (token.Claims, error) {
		r, err := http.NewRequest("GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+raw)
		return verify.Bearer(decoder, r)
	}

	ada := token.Claims{"sub": "ada", "sid": "s-1"}
	if claims, err := ask(iss.Token(ada, time.Minute)); err != nil || claims.String("sub") != "ada" {
		t.Errorf("a good token: got %v, %v", claims, err)
	}
	for what, raw := range iss.Bad(ada) {
		if _, err := ask(raw); err == nil {
			t.Errorf("a token that is %s is taken", what)
		}
	}
	if n := iss.Fetches(); n > 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestKeysThatCannotBeHad(t *testing.T) {
	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Clock: tokenjartest.NewClock(time.Now())})
	decoder, err := verify.New(iss.Issuer, iss.Audience, loopback)
	if err != nil {
		t.Fatal(err)
	}
	raw := iss.Token(token.Claims{"sub": "ada", "sid": "s-1"}, time.Minute)
	iss.Break(http.StatusServiceUnavailable)
	if _, err := decoder.Decode(raw); !errors.Is(err, token.ErrKeysUnavailable) {
		t.Errorf("no key is known: got %v", err)
	}
	iss.Mend()
	for range 100 { // a failed fetch is not tried again at once
		if _, err = decoder.Decode(raw); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the keys are back: %v", err)
}
