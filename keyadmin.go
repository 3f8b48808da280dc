package tokenjar

import (
	"context"
	"errors"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// KeyStatus is where a signing key is in its life.
type KeyStatus string

// The life of a key: next, active, retired, gone.
const (
	KeyNext        KeyStatus = "next"        // published, so that every service knows it before it signs
	KeyActive      KeyStatus = "active"      // signs and verifies
	KeyRetired     KeyStatus = "retired"     // verifies until its last token is dead
	KeyCompromised KeyStatus = "compromised" // verifies nothing
)

// KeyInfo is what may be shown of a key.
type KeyInfo struct {
	ID        string
	Algorithm token.Algorithm
	Status    KeyStatus
	CreatedAt time.Time
	// ChangesAt is when the status changes by itself: next to active, retired and compromised to gone. Zero: it does not.
	ChangesAt time.Time
}

// KeyRingConfig is what opens the key ring of a store.
type KeyRingConfig struct {
	Store  KeyRingStore
	Secret Secret
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A KeyRing administers the sealed key ring of a store, beside a running server or without one. A running server takes on
// what changes within a second. It is safe for concurrent use, and so is one in each of several processes.
type KeyRing struct{ cfg KeyRingConfig }

// OpenKeyRing checks the configuration. It reads nothing.
func OpenKeyRing(cfg KeyRingConfig) (*KeyRing, error) { return &KeyRing{cfg}, nil }

var errTODO = errors.New("not yet")

// Keys returns the keys, the active one first, then by age. An empty store has none.
func (r *KeyRing) Keys(ctx context.Context) ([]KeyInfo, error) { return nil, errTODO }

// Rotate makes a new key of the algorithm. It is published as the next one and signs after twice the time that the key
// set may be cached; with now it signs at once, which services that cache the key set may refuse for that long.
func (r *KeyRing) Rotate(ctx context.Context, alg token.Algorithm, now bool) (KeyInfo, error) {
	return KeyInfo{}, errTODO
}

// Compromise makes a key verify nothing from now on, on every node within the revocation bound. When it was the active
// one, the next key signs at once, or a new one of the same algorithm. Sessions go on: their refresh tokens are not
// signed by the ring. It returns the keys as they are then; [ErrNotFound].
func (r *KeyRing) Compromise(ctx context.Context, id string) ([]KeyInfo, error) { return nil, errTODO }

// Import adds a private key of one's own, as the next one, or signing at once. [ErrConflict] when its id is taken.
func (r *KeyRing) Import(ctx context.Context, key *token.Key, now bool) (KeyInfo, error) {
	return KeyInfo{}, errTODO
}

// Export returns a key as a JWK with its private members; [ErrNotFound]. The public ones are in the JWKS.
func (r *KeyRing) Export(ctx context.Context, id string) (jwk []byte, err error) { return nil, errTODO }

// JWKS returns the public keys.
func (r *KeyRing) JWKS(ctx context.Context) ([]byte, error) { return nil, errTODO }

// Reseal seals the ring under the first line of the secret. It reports whether it was sealed under another one.
func (r *KeyRing) Reseal(ctx context.Context) (changed bool, err error) { return false, errTODO }
