// Package verify checks our access tokens in a service that has neither our secret nor our database.
package verify

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// New lets requests in that bear an access token of an issuer, meant for an audience. An issuer that is not on the public
// internet is in one of the private networks.
func New(issuer, audience string, private ...netip.Prefix) (signedIn middleware.Access[token.Claims], err error) {
	keys, err := jwks.New(jwks.Config{
		URL: issuer + "/.well-known/jwks.json", Algorithms: []token.Algorithm{token.ES256},
		MaxAge: 5 * time.Minute, AllowPrivate: private,
	})
	if err != nil {
		return signedIn, err
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: issuer, Audience: audience,
		Rules:       map[string]token.Rule{"sub": {Essential: true}, "sid": {Essential: true}},
		EarlyLeeway: 10 * time.Second, // for clocks that differ; an expired token is expired
	})
	if err != nil {
		return signedIn, err
	}
	tokens, err := token.NewCache(decoder)
	if err != nil {
		return signedIn, err
	}
	bearer, err := middleware.NewBearer(tokens, middleware.Claims)
	if err != nil {
		return signedIn, err
	}
	return middleware.Required(bearer), nil
}

// Handler is the service: it is called only for good tokens. Others are 401, and keys that cannot be had are 503.
func Handler(signedIn middleware.Access[token.Claims]) http.Handler {
	return signedIn.Func(func(w http.ResponseWriter, r *http.Request, claims token.Claims) {
		fmt.Fprintln(w, claims.String("sub"))
	})
}
