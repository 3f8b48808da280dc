package jwks_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// A service takes the access tokens of an issuer of which it knows the name and the address of its keys.
func Example() {
	issuer := newExampleIssuer()
	defer issuer.Close()

	keys := must(jwks.New(jwks.Config{
		URL:          issuer.URL + "/keys", // https://id.example/.well-known/jwks.json
		Algorithms:   []token.Algorithm{token.ES256},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, // the example's issuer is on this machine
		RootCAs:      issuer.roots(),                                        // and has a certificate of its own
	}))
	decoder := must(token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	}))

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

// The issuer rotates its keys, and the first token of the new one finds it by one fetch. Nobody is told, and nothing restarts.
func Example_rotation() {
	issuer := newExampleIssuer()
	defer issuer.Close()
	var ahead atomic.Int64 // moves the example's clock
	config := issuer.config()
	config.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	decoder := must(token.NewDecoder(token.DecoderConfig{
		Keys: must(jwks.New(config)), Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	}))

	before := issuer.sign("ada")
	_, err := decoder.DecodeContext(context.Background(), before)
	fmt.Println(err, issuer.fetches.Load())

	issuer.rotate()
	ahead.Add(int64(time.Minute)) // past Config.Cooldown: tokens cannot make it fetch more often
	for _, raw := range []string{issuer.sign("ada"), issuer.sign("eve"), before} {
		_, err := decoder.DecodeContext(context.Background(), raw)
		fmt.Println(err, issuer.fetches.Load())
	}
	// Output:
	// <nil> 1
	// <nil> 2
	// <nil> 2
	// <nil> 2
}

// While the keys cannot be had, nothing is known about a token: package middleware answers 503 and not 401, so that a client
// tries again in place of signing its user out.
func Example_outage() {
	issuer := newExampleIssuer()
	defer issuer.Close()
	decoder := must(token.NewDecoder(token.DecoderConfig{
		Keys: must(jwks.New(issuer.config())), Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	}))
	bearer := must(middleware.NewBearer(must(token.NewCache(decoder)), middleware.Claims))
	handler := middleware.Required(bearer).Protect(http.NotFoundHandler())

	issuer.down.Store(true)
	_, err := decoder.Decode(issuer.sign("ada"))
	fmt.Println(errors.Is(err, token.ErrKeysUnavailable), errors.Is(err, token.ErrSignature))

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+issuer.sign("ada"))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("X-Tokenjar-Problem"), w.Header().Get("Retry-After") != "")
	// Output:
	// true false
	// 503 keys_unavailable true
}

// Addresses that are not public are connected to only where they are named, whatever leads there: an address is refused at the
// start, and a host name when it is connected to, so that nobody makes the program fetch from the inside of its network.
func ExampleConfig_allowPrivate() {
	issuer := newExampleIssuer() // at 127.0.0.1
	defer issuer.Close()
	config := issuer.config()
	fmt.Println(must(jwks.New(config)).Load(context.Background()), issuer.fetches.Load())

	config.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")} // where another issuer is
	_, err := jwks.New(config)
	fmt.Println(err)

	config.URL = strings.Replace(config.URL, "127.0.0.1", "localhost", 1)
	err = must(jwks.New(config)).Load(context.Background())
	fmt.Println(errors.Is(err, token.ErrKeysUnavailable), issuer.fetches.Load())
	// Output:
	// <nil> 1
	// jwks: URL: 127.0.0.1 is not public, and AllowPrivate does not list it
	// true 1
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// exampleIssuer signs tokens and publishes its keys, as another program would.
type exampleIssuer struct {
	*httptest.Server
	key     *token.Key
	live    *token.LiveRing
	encoder *token.Encoder
	fetches atomic.Int64
	down    atomic.Bool
}

func newExampleIssuer() *exampleIssuer {
	i := &exampleIssuer{key: must(token.GenerateKey(token.ES256))}
	i.live = must(token.NewLiveRing(must(token.NewRing(i.key))))
	i.encoder = must(token.NewEncoder(token.EncoderConfig{
		Keys: i.live, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	}))
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		if i.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(i.live.JWKS())
	}))
	return i
}

// config is how a service on this machine fetches the keys.
func (i *exampleIssuer) config() jwks.Config {
	return jwks.Config{
		URL: i.URL + "/keys", RootCAs: i.roots(), AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Logger: slog.New(slog.DiscardHandler),
	}
}

func (i *exampleIssuer) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(i.Certificate())
	return roots
}

// rotate lets a new key sign; the old one verifies on.
func (i *exampleIssuer) rotate() {
	next := must(token.GenerateKey(token.ES256))
	if err := i.live.Replace(must(token.NewRing(next, i.key.Public()))); err != nil {
		log.Fatal(err)
	}
	i.key = next
}

func (i *exampleIssuer) sign(user string) string {
	return must(i.encoder.Encode(token.Claims{"sub": user}, time.Minute))
}
