package token_test

import (
	"errors"
	"testing"

	"github.com/tokenjar/tokenjar/token"
)

func TestVerifiedTellsOfItsHeader(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.ES256))
	decoder := newDecoder(t, ring, nil)
	cache, err := token.NewCache(decoder)
	if err != nil {
		t.Fatal(err)
	}
	raw := mustSign(t, ring, testType, marshal(t, goodClaims(nil)))
	for _, verifier := range []token.Verifier{decoder, cache, cache} { // the second time it is remembered
		verified, err := verifier.Verify(t.Context(), raw)
		if want := (token.Header{Algorithm: token.ES256, KeyID: "k", Type: testType}); err != nil || verified.Header() != want {
			t.Errorf("got %v, %v, want %v", verified.Header(), err, want)
		}
	}
	if got := (token.Verified{}).Header(); got != (token.Header{}) {
		t.Errorf("the header of no token: %v", got)
	}
}

func TestMoreAudiences(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	names := []string{"https://old.example", "https://other.example"}
	decoder := newDecoder(t, ring, func(c *token.DecoderConfig) { c.MoreAudiences = names })
	names[0] = "https://changed.example"
	for _, c := range []struct {
		aud  any
		good bool
	}{
		{goodClaims(nil)["aud"], true},
		{"https://old.example", true},
		{"https://other.example", true},
		{[]string{"x", "https://other.example"}, true},
		{"https://changed.example", false},
		{"https://old.example/", false},
		{[]string{"x", "y"}, false},
		{"", false},
		{nil, false},
	} {
		_, err := decoder.Decode(mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"aud": c.aud}))))
		if (err == nil) != c.good || !c.good && !errors.Is(err, token.ErrClaims) {
			t.Errorf("aud %v: %v", c.aud, err)
		}
	}
}
