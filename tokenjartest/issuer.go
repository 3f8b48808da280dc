package tokenjartest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/token"
)

// IssuerConfig changes what [NewIssuer] makes. The zero IssuerConfig is good for most tests.
type IssuerConfig struct {
	// Algorithm signs the tokens. Default: ES256. RSA keys take a second to make, and HS256 keys are not published.
	Algorithm token.Algorithm
	// Issuer is the "iss" claim. Default: the address of the server that publishes the keys.
	Issuer string
	// Audience is the "aud" claim. Default: https://api.example.com.
	Audience string
	// Clock dates the tokens. Default: NewClock(time.Time{}). The program under test has to read the same one; where it
	// reads the machine's, give NewClock(time.Now()).
	Clock *Clock
}

// An Issuer signs access tokens and publishes its keys, for programs that verify tokens and have no sessions of their own.
// It knows no users: a token says what a test wants it to say. It is safe for concurrent use.
type Issuer struct {
	Issuer   string // the "iss" claim
	Audience string // the "aud" claim
	JWKSURL  string // where the public keys are: http on the loopback interface, with the path /.well-known/jwks.json
	Clock    *Clock

	t   testing.TB
	alg token.Algorithm

	mu      sync.Mutex
	key     *token.Key   // signs
	older   []*token.Key // verify
	ring    *token.Ring
	epoch   uint64 // one more for each ring
	broken  bool
	status  int // while broken
	fetches int
}

// NewIssuer makes an issuer with one key, which publishes it until the test ends. It fails the test when the algorithm is
// not known.
func NewIssuer(t testing.TB, cfg IssuerConfig) *Issuer {
	t.Helper()
	i := &Issuer{Issuer: cfg.Issuer, Audience: cfg.Audience, Clock: cfg.Clock, t: t, alg: cfg.Algorithm}
	if i.Clock == nil {
		i.Clock = &Clock{}
	}
	if i.Audience == "" {
		i.Audience = "https://api.example.com"
	}
	if i.alg == "" {
		i.alg = token.ES256
	}
	i.Rotate()
	server := httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(server.Close)
	i.JWKSURL = server.URL + jwksPath
	if i.Issuer == "" {
		i.Issuer = server.URL
	}
	return i
}

// Token returns an access token (RFC 9068: typ "at+jwt") of the claims, signed by the key of now. It adds iss, aud and jti,
// iat and nbf of the clock's time, and exp; claims may have an iss or aud of their own. A life of zero is five minutes. It
// fails the test for claims that cannot be encoded: see [token.Encoder.Encode].
func (i *Issuer) Token(claims token.Claims, life time.Duration) string {
	i.t.Helper()
	return i.sign(i.Ring(), "at+jwt", claims, life, i.Clock.Now())
}

// sign makes a token as of a time.
func (i *Issuer) sign(ring *token.Ring, typ string, claims token.Claims, life time.Duration, at time.Time) string {
	i.t.Helper()
	if life == 0 {
		life = tokenjar.DefaultAccessLifetime
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: typ, Issuer: i.Issuer, Audience: i.Audience, Now: func() time.Time { return at },
	})
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := encoder.Encode(claims, life)
	if err != nil {
		i.t.Fatalf("tokenjartest: token: %v", err)
	}
	return text
}

// Ring returns the keys as they are now: it signs with the newest and verifies with all.
func (i *Issuer) Ring() *token.Ring {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.ring
}

// Decoder returns a decoder that takes this issuer's access tokens and no others, by its clock and with the keys that it
// has at each call. It fetches nothing.
func (i *Issuer) Decoder() *token.Decoder {
	i.t.Helper()
	d, err := token.NewDecoder(token.DecoderConfig{
		Keys: liveKeys{i}, Type: "at+jwt", Issuer: i.Issuer, Audience: i.Audience, Now: i.Clock.Now,
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return d
}

// liveKeys are the issuer's keys of the moment.
type liveKeys struct{ issuer *Issuer }

var _ token.EpochKeySet = liveKeys{}

// Verify implements [token.KeySet].
func (k liveKeys) Verify(compact string) (token.Header, []byte, error) {
	return k.issuer.Ring().Verify(compact)
}

// Epoch implements [token.EpochKeySet].
func (k liveKeys) Epoch() uint64 {
	k.issuer.mu.Lock()
	defer k.issuer.mu.Unlock()
	return k.issuer.epoch
}

// Rotate makes a new key, which signs from now on. The keys before it stay published and verify, as after an ordinary
// rotation. Unlike ours, the new key is not published before it signs: a program that has fetched the keys meets one that it
// does not know.
func (i *Issuer) Rotate() {
	i.t.Helper()
	key, err := token.GenerateKey(i.alg)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.key != nil {
		i.older = append(i.older, i.key)
	}
	i.key = key
	err = i.publish()
	if err != nil {
		i.t.Fatal(err)
	}
}

// DropOld takes all keys but the newest out, so that what they have signed verifies no longer: after Rotate it is what
// happens to a compromised key.
func (i *Issuer) DropOld() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.older = nil
	if err := i.publish(); err != nil {
		i.t.Fatal(err)
	}
}

// publish makes the ring of the keys. It is called with the lock held.
func (i *Issuer) publish() error {
	ring, err := token.NewRing(i.key, i.older...)
	if err != nil {
		return err
	}
	i.ring = ring
	i.epoch++
	return nil
}

// Break makes every fetch of the keys fail until [Issuer.Mend]: with an HTTP status, or, if it is 0, with a connection that
// is cut.
func (i *Issuer) Break(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken, i.status = true, status
}

// Mend ends what [Issuer.Break] began.
func (i *Issuer) Mend() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken = false
}

// Fetches returns how often the keys have been asked for, answered or not.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// serve publishes the keys with the fields that tokenjar's own answer has.
func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != jwksPath {
		http.NotFound(w, r)
		return
	}
	i.mu.Lock()
	i.fetches++
	broken, status, set := i.broken, i.status, i.ring.JWKS()
	i.mu.Unlock()
	switch {
	case broken && status == 0:
		panic(http.ErrAbortHandler) // which cuts the connection and logs nothing
	case broken:
		http.Error(w, http.StatusText(status), status)
		return
	}
	sum := sha256.Sum256(set)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(tokenjar.JWKSMaxAge.Seconds())))
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/jwk-set+json")
	w.Write(set)
}
