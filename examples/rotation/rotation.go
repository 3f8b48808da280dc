// Package rotation changes the keys of a program's own tokens while it runs, and publishes them.
package rotation

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// Publish makes the key known that will sign next. Until it does, wait for as long as anybody may keep the published set.
func Publish(live *token.LiveRing, active, next *token.Key) error {
	return replace(live, active, next.Public())
}

// Activate has the next key sign. The old one verifies until the last token that it signed has expired.
func Activate(live *token.LiveRing, next, old *token.Key) error {
	return replace(live, next, old.Public())
}

// Retire takes the old key away, and with it whatever it has signed.
func Retire(live *token.LiveRing, active *token.Key) error {
	return replace(live, active)
}

func replace(live *token.LiveRing, signing *token.Key, verifying ...*token.Key) error {
	ring, err := token.NewRing(signing, verifying...)
	if err != nil {
		return err
	}
	return live.Replace(ring)
}

// Set publishes the keys, under GET /.well-known/jwks.json.
func Set(live *token.LiveRing) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := live.JWKS() // public members only
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "public, max-age=300") // so five minutes is what Publish waits for, at least
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(set)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(set)) // 304 for who has this set already
	})
}
