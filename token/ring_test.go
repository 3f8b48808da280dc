package token_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/token"
)

// Group K of the attack catalogue: kid, sets of keys, rotation.

func TestK01KeyIDIsAnExactMapLookup(t *testing.T) {
	key := newKey(t, "k", token.HS256)
	for _, ring := range []*token.Ring{newRing(t, key), newRing(t, key, newKey(t, "k2", token.HS256))} {
		for _, kid := range []string{"../../etc/passwd", "/dev/null", "' OR 1=1 --", "http://127.0.0.1:9/k", "k\r\n", "K", " k", "k ", "", "k2x", "ｋ", "%6b", "*"} {
			t.Run(fmt.Sprintf("K-01 %q", kid), func(t *testing.T) {
				raw := signHeader(t, key, fmt.Sprintf(`{"alg":"HS256","kid":%s,"typ":"at+jwt"}`, marshal(t, kid)))
				wantRefused(t, ring, raw, token.ErrSignature)
			})
		}
		for _, kid := range []string{`"k\u0000"`, `["k"]`, `null`, `{}`, `1`, `"` + strings.Repeat("k", 64_000) + `"`} {
			t.Run(fmt.Sprintf("K-01 %.20s", kid), func(t *testing.T) {
				wantRefused(t, ring, signHeader(t, key, `{"alg":"HS256","kid":`+kid+`,"typ":"at+jwt"}`), token.ErrMalformed)
			})
		}
	}
}

func TestLongKeyIDsFitTheHeader(t *testing.T) {
	for _, id := range []string{strings.Repeat("<", 256), strings.Repeat(`"`, 256), strings.Repeat("\u2028", 85), strings.Repeat("é", 128)} {
		key := newKey(t, id, token.HS256)
		ring := newRing(t, key, newKey(t, "other", token.HS256))
		raw := mustSign(t, ring, strings.Repeat("t", 64), nil)
		if header, _, err := ring.Verify(raw); err != nil || header.KeyID != id {
			t.Errorf("kid %.8q...: got %v", id, err)
		}
	}
}

func TestK03AbsentKeyID(t *testing.T) {
	key, other := newKey(t, "k", token.HS256), newKey(t, "other", token.HS256)
	raw := signHeader(t, key, `{"alg":"HS256","typ":"at+jwt"}`)
	t.Run("K-03 one key: accepted, and the header says which", func(t *testing.T) {
		header, _, err := newRing(t, key).Verify(raw)
		if err != nil || header.KeyID != "k" {
			t.Errorf("got %v, %v", header, err)
		}
	})
	t.Run("K-03 several keys: refused", func(t *testing.T) {
		wantRefused(t, newRing(t, key, other), raw, token.ErrSignature)
	})
	t.Run("K-03 one other key", func(t *testing.T) {
		wantRefused(t, newRing(t, other), raw, token.ErrSignature)
	})
}

func TestNewRingRefuses(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	for name, keys := range map[string][]*token.Key{
		"no key":                        {nil},
		"K-05 symmetric and asymmetric": {a, newKey(t, "b", token.HS256)},
		"K-05 the other way round":      {newKey(t, "b", token.HS256), a},
		"K-06 two keys of one kid":      {a, newKey(t, "a", token.EdDSA)},
		"K-06 the same key twice":       {a, a},
		"K-10 public key to sign with":  {a.Public()},
		"nil among the verifying":       {a, nil},
		"zero key":                      {a, new(token.Key)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := token.NewRing(keys[0], keys[1:]...); err == nil {
				t.Error("accepted")
			}
		})
	}
	ring := newRing(t, nil, a.Public())
	if _, err := ring.Sign(testType, nil); !errors.Is(err, token.ErrCannotSign) {
		t.Errorf("a verifying ring signs: %v", err)
	}
	if _, err := newRing(t, a).Sign("a\"b", nil); err == nil {
		t.Error("a typ with a quote was signed")
	}
}

func TestK14JWKS(t *testing.T) {
	keys := []*token.Key{newKey(t, "c", token.ES256), newKey(t, "a", token.RS256), newKey(t, "b", token.EdDSA), newKey(t, "d", token.ES384)}
	ring := newRing(t, keys[0], keys[1:]...)
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(ring.JWKS(), &set); err != nil || len(set.Keys) != len(keys) {
		t.Fatalf("got %d keys, %v", len(set.Keys), err)
	}
	allowed := map[string][]string{
		"EC": {"alg", "crv", "kid", "kty", "use", "x", "y"}, "OKP": {"alg", "crv", "kid", "kty", "use", "x"}, "RSA": {"alg", "e", "kid", "kty", "n", "use"},
	}
	for _, jwk := range set.Keys {
		names := slices.Sorted(maps.Keys(jwk))
		if want := allowed[jwk["kty"].(string)]; !slices.Equal(names, want) {
			t.Errorf("K-14 %v has members %v, want %v", jwk["kid"], names, want)
		}
		if jwk["use"] != "sig" || jwk["alg"] == "" || jwk["kid"] == "" {
			t.Errorf("K-14 got %v", jwk)
		}
	}
	other := newRing(t, keys[3], keys[2], keys[1].Public(), keys[0])
	if !bytes.Equal(ring.JWKS(), other.JWKS()) {
		t.Error("K-14 the bytes depend on order or on who signs")
	}
	copied := ring.JWKS()
	clear(copied)
	if bytes.Equal(copied, ring.JWKS()) {
		t.Error("K-14 the caller can change the ring's document")
	}
	if got := string(newRing(t, newKey(t, "h", token.HS256)).JWKS()); got != `{"keys":[]}` {
		t.Errorf("K-14 HS256 ring publishes %s", got)
	}
}
