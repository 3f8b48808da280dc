// Package verify checks our access tokens in a service that has neither our secret nor our database.
package verify

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

// New returns a decoder for the access tokens of an issuer that are meant for an audience. An issuer that is not on the
// public internet is in one of the private networks.
func New(issuer, audience string, private ...netip.Prefix) (*token.Decoder, error) {
	keys, err := jwks.New(jwks.Config{
		URL: issuer + "/.well-known/jwks.json", Algorithms: []token.Algorithm{token.ES256},
		MaxAge: 5 * time.Minute, AllowPrivate: private,
	})
	if err != nil {
		return nil, err
	}
	return token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: issuer, Audience: audience,
		Rules:       map[string]token.Rule{"sub": {Essential: true}, "sid": {Essential: true}},
		EarlyLeeway: 10 * time.Second, // for clocks that differ; an expired token is expired
	})
}

// Bearer returns the claims of a request's access token. When the keys cannot be had the error is
// token.ErrKeysUnavailable: answer 503, not 401.
func Bearer(d *token.Decoder, r *http.Request) (token.Claims, error) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, errors.New("no bearer token")
	}
	return d.DecodeContext(r.Context(), raw)
}
