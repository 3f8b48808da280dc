package tokenjar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// The key ring signs access tokens, and them alone. It lies in the store as one box, sealed under the secret, so that
// a stolen database neither shows a private key nor lets anybody add a key of their own.

// keyBox is what is sealed. Its JSON is the stored form.
type keyBox struct {
	Keys          []boxedKey    `json:"keys"`
	LongestAccess time.Duration `json:"longest_access"` // longest access life ever issued, ns
}

type boxedKey struct {
	JWK       json.RawMessage `json:"jwk"` // with its private members
	Status    keyStatus       `json:"status"`
	CreatedAt time.Time       `json:"created_at"`
	RetiredAt time.Time       `json:"retired_at,omitzero"`
}

type keyStatus string

const (
	keyActive  keyStatus = "active"  // signs and verifies
	keyRetired keyStatus = "retired" // verifies until its last token is dead
)

// ringState is the ring in use, swapped as a whole.
type ringState struct {
	ring          *token.Ring
	longestAccess time.Duration
}

// openKeyRing loads the ring, or makes the first one, and brings it in line with the configuration.
func (s *Service) openKeyRing(ctx context.Context) error {
	for range 5 { // several nodes may start at once: the first one writes, the others read again
		box, version, err := s.loadKeyBox(ctx)
		if err != nil {
			return err
		}
		changed, err := s.adapt(&box)
		if err != nil {
			return err
		}
		if changed {
			err := s.saveKeyBox(ctx, box, version)
			if errors.Is(err, ErrConflict) {
				continue
			}
			if err != nil {
				return err
			}
		}
		ring, err := box.ring()
		if err != nil {
			return err
		}
		s.keys.Store(&ringState{ring: ring, longestAccess: box.LongestAccess})
		return nil
	}
	return fmt.Errorf("the key ring keeps changing: %w", ErrConflict)
}

func (s *Service) loadKeyBox(ctx context.Context) (keyBox, int64, error) {
	sealed, version, err := s.store.KeyRing(ctx)
	if err != nil || version == 0 {
		return keyBox{}, 0, err
	}
	plain, _, err := s.cfg.Secret.open(labelKeyRing, sealed)
	if err != nil {
		return keyBox{}, 0, fmt.Errorf("%w: use the secret this store was made with (all its lines)", ErrKeyRingSealed)
	}
	var box keyBox
	if err := json.Unmarshal(plain, &box); err != nil {
		return keyBox{}, 0, fmt.Errorf("the key ring is damaged: %w", err)
	}
	return box, version, nil
}

func (s *Service) saveKeyBox(ctx context.Context, box keyBox, version int64) error {
	plain, err := json.Marshal(box)
	if err != nil {
		return err
	}
	sealed, err := s.cfg.Secret.seal(labelKeyRing, plain)
	if err != nil {
		return err
	}
	return s.store.SaveKeyRing(ctx, sealed, version)
}

// adapt makes sure that a key of the configured algorithm is active, drops keys whose last token is dead, and notes
// the longest access life. It reports whether the box must be saved.
func (s *Service) adapt(box *keyBox) (changed bool, err error) {
	now := s.now().UTC()
	if s.cfg.AccessLifetime > box.LongestAccess {
		box.LongestAccess, changed = s.cfg.AccessLifetime, true
	}
	signs := false
	kept := box.Keys[:0]
	for _, k := range box.Keys {
		key, err := token.ParseKey(k.JWK)
		if err != nil {
			return false, fmt.Errorf("a key of the ring: %w", err)
		}
		switch {
		case k.Status == keyActive && key.Algorithm() == s.cfg.Algorithm && !signs:
			signs = true
		case k.Status == keyActive:
			k.Status, k.RetiredAt, changed = keyRetired, now, true
		case now.Sub(k.RetiredAt) > box.LongestAccess+time.Minute:
			changed = true
			continue
		}
		kept = append(kept, k)
	}
	box.Keys = kept
	if signs {
		return changed, nil
	}
	key, err := token.GenerateKey(s.cfg.Algorithm)
	if err != nil {
		return false, fmt.Errorf("Config.Algorithm: %w", err)
	}
	jwk, err := key.MarshalPrivate()
	if err != nil {
		return false, err
	}
	box.Keys = append(box.Keys, boxedKey{JWK: jwk, Status: keyActive, CreatedAt: now})
	s.log.Info("signing key created", "key_id", key.ID(), "algorithm", string(key.Algorithm()))
	return true, nil
}

// ring builds the ring that the box describes.
func (b keyBox) ring() (*token.Ring, error) {
	var signing *token.Key
	var verifying []*token.Key
	for _, k := range b.Keys {
		key, err := token.ParseKey(k.JWK)
		if err != nil {
			return nil, fmt.Errorf("a key of the ring: %w", err)
		}
		if k.Status == keyActive {
			signing = key
		} else {
			verifying = append(verifying, key.Public())
		}
	}
	return token.NewRing(signing, verifying...)
}

// JWKS returns the public keys that verify our access tokens, as a JSON Web Key Set (RFC 7517, section 5).
func (s *Service) JWKS() []byte { return s.keys.Load().ring.JWKS() }

// currentRing lets encoder and decoder follow the ring when it is swapped.
type currentRing struct{ s *Service }

func (c currentRing) Verify(compact string) (token.Header, []byte, error) {
	return c.s.keys.Load().ring.Verify(compact)
}

func (c currentRing) Sign(typ string, payload []byte) (string, error) {
	return c.s.keys.Load().ring.Sign(typ, payload)
}
