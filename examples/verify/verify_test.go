package verify_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/examples/verify"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

func TestTokensOfOurIssuer(t *testing.T) {
	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{
		Clock: tokenjartest.NewClock(time.Now()), // verify reads the machine's clock
	})
	decoder, err := verify.New(iss.Issuer, iss.Audience)
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
	decoder, err := verify.New(iss.Issuer, iss.Audience)
	if err != nil {
		t.Fatal(err)
	}
	raw := iss.Token(token.Claims{"sub": "ada", "sid": "s-1"}, time.Minute)
	iss.Break(http.StatusServiceUnavailable)
	if _, err := decoder.Decode(raw); err == nil {
		t.Error("a token is taken although no key is known")
	}
	iss.Mend()
	if _, err := decoder.Decode(raw); err != nil {
		t.Errorf("the keys are back: %v", err)
	}
}
