// Package verify checks our access tokens in a service that has neither our secret nor our database.
package verify

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// ErrKeys says that the published keys cannot be had: answer 503, not 401.
var ErrKeys = errors.New("the issuer's keys are not available")

// New returns a decoder for the access tokens of an issuer that are meant for an audience.
func New(issuer, audience string) (*token.Decoder, error) {
	return token.NewDecoder(token.DecoderConfig{
		Keys: &keys{url: issuer + "/.well-known/jwks.json"},
		Type: "at+jwt", Issuer: issuer, Audience: audience,
		Rules:       map[string]token.Rule{"sub": {Essential: true}, "sid": {Essential: true}},
		EarlyLeeway: 10 * time.Second, // for clocks that differ; an expired token is expired
	})
}

// Bearer returns the claims of a request's access token.
func Bearer(d *token.Decoder, r *http.Request) (token.Claims, error) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, errors.New("no bearer token")
	}
	return d.Decode(raw)
}

// keys are the published ones. They are kept for five minutes, and fetched before that, at most every ten seconds, when
// a token is signed by a key that is not among them.
type keys struct {
	url string

	mu   sync.Mutex
	ring *token.Ring
	at   time.Time
}

func (k *keys) Verify(raw string) (token.Header, []byte, error) {
	ring, err := k.get(5 * time.Minute)
	if err != nil {
		return token.Header{}, nil, err
	}
	header, payload, err := ring.Verify(raw)
	if errors.Is(err, token.ErrSignature) {
		if ring, err = k.get(10 * time.Second); err == nil {
			header, payload, err = ring.Verify(raw)
		}
	}
	return header, payload, err
}

// get returns keys that are no older than this.
func (k *keys) get(age time.Duration) (*token.Ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring != nil && time.Since(k.at) < age {
		return k.ring, nil
	}
	ring, err := fetch(k.url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	k.ring, k.at = ring, time.Now()
	return ring, nil
}

var client = &http.Client{Timeout: 5 * time.Second}

func fetch(url string) (*token.Ring, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	set, err := token.ParseKeySet(text)
	if err != nil {
		return nil, err
	}
	return token.NewRing(nil, set...)
}
