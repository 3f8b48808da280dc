// Package upstream is a service behind tokenjar's proxy, which gets an access token with each request. service.mjs and
// service.py are the same one.
package upstream

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// Settings of the service.
type Settings struct {
	Issuer   string        // public_url of tokenjar
	Audience string        // what the service is called: audience of its route
	Keys     string        // origin of the keys, if not Issuer
	Private  netip.Prefix  // network of Keys, where that is not the internet
	Cooldown time.Duration // how often unknown keys are asked for; default 30 s
}

// New returns the service. It greets who is signed in, and takes orders where the token has the scope for it.
func New(s Settings) (http.Handler, error) {
	if s.Keys == "" {
		s.Keys = s.Issuer
	}
	keys, err := jwks.New(jwks.Config{
		URL: s.Keys + "/.well-known/jwks.json", Algorithms: []token.Algorithm{token.ES256},
		AllowPrivate: []netip.Prefix{s.Private}, Cooldown: s.Cooldown,
	})
	if err != nil {
		return nil, err
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: s.Issuer, Audience: s.Audience,
		Rules: map[string]token.Rule{"sub": {Essential: true}},
	})
	if err != nil {
		return nil, err
	}
	tokens, err := token.NewCache(decoder)
	if err != nil {
		return nil, err
	}
	bearer, err := middleware.NewBearer(tokens, middleware.Claims)
	if err != nil {
		return nil, err
	}
	signedIn := middleware.Required(bearer)

	mux := http.NewServeMux()
	mux.Handle("GET /hello", signedIn.Func(func(w http.ResponseWriter, r *http.Request, claims token.Claims) {
		fmt.Fprintln(w, "hello", claims.String("sub"))
	}))
	mux.Handle("POST /orders", signedIn.With(middleware.Scope("orders:write")).Func(
		func(w http.ResponseWriter, r *http.Request, claims token.Claims) {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintln(w, "ordered by", claims.String("sub"))
		}))
	return mux, nil
}
