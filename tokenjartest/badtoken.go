package tokenjartest

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"maps"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// Bad tokens, each genuine in all respects but one. All take claims as [Issuer.Token] does and live for five minutes.

// far is further than clocks may be apart: no leeway of package token is longer than a minute.
const far = time.Hour

// Expired returns a token whose time has been over for an hour.
func (i *Issuer) Expired(claims token.Claims) string {
	i.t.Helper()
	return i.sign(i.Ring(), "at+jwt", claims, 0, i.Clock.Now().Add(-far-5*time.Minute))
}

// Early returns a token whose time begins in an hour.
func (i *Issuer) Early(claims token.Claims) string {
	i.t.Helper()
	return i.sign(i.Ring(), "at+jwt", claims, 0, i.Clock.Now().Add(far))
}

// OtherAudience returns a token that is meant for https://elsewhere.example alone.
func (i *Issuer) OtherAudience(claims token.Claims) string {
	i.t.Helper()
	return i.Token(with(claims, "aud", "https://elsewhere.example"), 0)
}

// OtherIssuer returns a token that claims to be of https://elsewhere.example.
func (i *Issuer) OtherIssuer(claims token.Claims) string {
	i.t.Helper()
	return i.Token(with(claims, "iss", "https://elsewhere.example"), 0)
}

// OtherType returns a token whose typ is that of our refresh tokens, "rt+jwt".
func (i *Issuer) OtherType(claims token.Claims) string {
	i.t.Helper()
	return i.sign(i.Ring(), "rt+jwt", claims, 0, i.Clock.Now())
}

// Forged returns a token that somebody else has signed, with a key that has the algorithm and the kid of ours.
func (i *Issuer) Forged(claims token.Claims) string {
	i.t.Helper()
	i.mu.Lock()
	id := i.key.ID()
	i.mu.Unlock()
	ring, err := impostor(i.alg, id)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.sign(ring, "at+jwt", claims, 0, i.Clock.Now())
}

// impostor returns a new key under a kid that is another's.
func impostor(alg token.Algorithm, id string) (*token.Ring, error) {
	key, err := token.GenerateKey(alg)
	if err != nil {
		return nil, err
	}
	text, err := key.MarshalPrivate()
	if err != nil {
		return nil, err
	}
	var jwk map[string]any
	if err := json.Unmarshal(text, &jwk); err != nil {
		return nil, err
	}
	jwk["kid"] = id
	if text, err = json.Marshal(jwk); err != nil {
		return nil, err
	}
	if key, err = token.ParseKey(text); err != nil {
		return nil, err
	}
	return token.NewRing(key)
}

// Unsigned returns a token with the algorithm "none" and no signature (RFC 7515, appendix A.5).
func (i *Issuer) Unsigned(claims token.Claims) string {
	i.t.Helper()
	_, rest, _ := strings.Cut(i.Token(claims, 0), ".")
	payload, _, _ := strings.Cut(rest, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + payload + "."
}

// Altered returns a token in which something was changed after it had been signed: it has one claim more.
func (i *Issuer) Altered(claims token.Claims) string {
	i.t.Helper()
	genuine := strings.Split(i.Token(claims, 0), ".")
	other := strings.Split(i.Token(with(claims, "altered", true), 0), ".")
	return genuine[0] + "." + other[1] + "." + genuine[2]
}

// Bad returns all of the above with what is wrong with each, for a test that a program refuses them all:
//
//	for what, raw := range iss.Bad(token.Claims{"sub": "ada"}) {
//		t.Run(what, …)
//	}
func (i *Issuer) Bad(claims token.Claims) iter.Seq2[string, string] {
	return func(yield func(what, raw string) bool) {
		for _, each := range []struct {
			what string
			make func(token.Claims) string
		}{
			{"expired", i.Expired}, {"not yet valid", i.Early},
			{"for another audience", i.OtherAudience}, {"of another issuer", i.OtherIssuer}, {"of another type", i.OtherType},
			{"forged", i.Forged}, {"unsigned", i.Unsigned}, {"altered", i.Altered},
		} {
			if !yield(each.what, each.make(claims)) {
				return
			}
		}
	}
}

// with returns a copy of claims with one of them set.
func with(claims token.Claims, name string, value any) token.Claims {
	claims = maps.Clone(claims)
	if claims == nil {
		claims = token.Claims{}
	}
	claims[name] = value
	return claims
}
