package jwks_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

// A cache in front asks for no key at a hit. Keys are renewed all the same, and what a key verified that has gone is not
// remembered.
func TestWhatIsRememberedGoesWithItsKey(t *testing.T) {
	is := newIssuer(t)
	a, b := newKey(t, "a", token.ES256), newKey(t, "b", token.ES256)
	is.publish(t, a, b)
	r, c := is.remote(t, nil)
	ring, err := token.NewRing(a)
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "us", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := encoder.Encode(token.Claims{"sub": "ada"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: r, Type: "at+jwt", Issuer: "https://id.example", Audience: "us", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.NewCache(decoder)
	if err != nil {
		t.Fatal(err)
	}
	want := func(target error, fetches int64) {
		t.Helper()
		if _, err := tokens.Verify(t.Context(), raw); !errors.Is(err, target) {
			t.Errorf("got %v, want %v", err, target)
		}
		jwks.Settle(r)
		is.wantFetches(t, fetches)
	}
	want(nil, 1)
	want(nil, 1) // with the epoch of the keys, from here on
	want(nil, 1)

	is.publish(t, b)
	c.move(10*time.Minute - time.Second)
	want(nil, 1)
	c.move(time.Second)
	want(nil, 2) // the last hit: it starts the renewal
	want(token.ErrSignature, 2)
}
