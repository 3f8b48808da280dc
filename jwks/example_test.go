package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

// A service takes the access tokens of an issuer of which it knows the name and the address of its keys.
func Example() {
	issuer := newExampleIssuer()
	defer issuer.Close()

	keys, err := jwks.New(jwks.Config{
		URL:          issuer.URL + "/keys", // https://id.example/.well-known/jwks.json
		Algorithms:   []token.Algorithm{token.ES256},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, // the example's issuer is on this machine
	})
	if err != nil {
		log.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	})
	if err != nil {
		log.Fatal(err)
	}

	// At the start, if the service is of no use without the keys. Otherwise the first token fetches them.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := keys.Load(ctx); err != nil {
		log.Fatal(err)
	}

	// For each request, with its context.
	for _, raw := range []string{issuer.sign("ada"), issuer.sign("ada") + "AAAA"} {
		claims, err := decoder.DecodeContext(ctx, raw)
		switch {
		case errors.Is(err, token.ErrKeysUnavailable):
			fmt.Println(http.StatusServiceUnavailable) // nobody knows whether the token is good
		case err != nil:
			fmt.Println(http.StatusUnauthorized)
		default:
			fmt.Println(http.StatusOK, claims.String("sub"))
		}
	}
	// Output:
	// 200 ada
	// 401
}

// exampleIssuer signs tokens and publishes its keys, as another program would.
type exampleIssuer struct {
	*httptest.Server
	encoder *token.Encoder
}

func newExampleIssuer() *exampleIssuer {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		log.Fatal(err)
	}
	ring, err := token.NewRing(key)
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(ring.JWKS())
	}))
	return &exampleIssuer{Server: server, encoder: encoder}
}

func (i *exampleIssuer) sign(user string) string {
	raw, err := i.encoder.Encode(token.Claims{"sub": user}, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	return raw
}
