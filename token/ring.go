package token

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// KeySet is what a [Decoder] verifies with: a [*Ring], a [*LiveRing] where keys rotate, or a program's own. Verify must answer
// as [Ring.Verify] does.
type KeySet interface {
	// Verify checks the signature of a compact JWS and nothing else: [ErrMalformed] or [ErrSignature] if it does not hold.
	Verify(compact string) (Header, []byte, error)
}

// A ContextKeySet is a [KeySet] that may have to wait, as one does whose keys are fetched. VerifyContext waits no longer
// than ctx; when the keys cannot be had it returns [ErrKeysUnavailable].
type ContextKeySet interface {
	KeySet
	// VerifyContext is Verify, and waits for keys until ctx is done: [ErrKeysUnavailable] when they cannot be had.
	VerifyContext(ctx context.Context, compact string) (Header, []byte, error)
}

// An EpochKeySet is a [KeySet] that says when its keys have changed, so that what was verified with them may be
// remembered. Epoch returns a number that only grows, and has grown once a key has gone: it is read before a token is
// verified, and a token is remembered only for as long as Epoch returns that number. It is safe for concurrent use and costs
// nothing: it is asked for every token.
type EpochKeySet interface {
	KeySet
	// Epoch returns a number that has grown whenever a key has gone since the last call.
	Epoch() uint64
}

var _ EpochKeySet = (*Ring)(nil)

// A Ring is a set of keys, at most one of which signs. It cannot be changed; rotation makes a new one, and [LiveRing] puts it
// in the old one's place. Its methods are safe for concurrent use.
type Ring struct {
	signing *Key
	keys    map[string]*Key // by kid
	only    *Key            // the key of a ring that has just one
	jwks    []byte
}

// NewRing makes a ring that signs with signing and verifies with signing and all of verifying. Signing may be nil:
// the ring then verifies only. Refused, as by [ParseKeySet]: an empty ring, two keys of one kid (also the same key
// twice), symmetric beside asymmetric keys. Keys under verifying may have private parts; they are not used.
func NewRing(signing *Key, verifying ...*Key) (*Ring, error) {
	all := slices.Clone(verifying)
	if signing != nil {
		all = append(all, signing)
	}
	if len(all) == 0 {
		return nil, errors.New("token: key ring needs a key")
	}
	if err := checkSet(all); err != nil {
		return nil, err
	}
	if signing != nil && !signing.CanSign() {
		return nil, fmt.Errorf("token: signing key %q is a public key: the private one is needed", signing.id)
	}
	ring := &Ring{signing: signing, keys: make(map[string]*Key, len(all))}
	for _, key := range all {
		ring.keys[key.id] = key
	}
	if len(all) == 1 {
		ring.only = all[0]
	}
	var err error
	if ring.jwks, err = publish(all); err != nil {
		return nil, err
	}
	return ring, nil
}

// checkSet is the policy for keys that stand together.
func checkSet(keys []*Key) error {
	seen := make(map[string]bool)
	for _, key := range keys {
		if key == nil || key.material == nil {
			return errors.New("token: key set holds an empty key")
		}
		if seen[key.id] {
			return fmt.Errorf("token: two keys of kid %q", key.id)
		}
		seen[key.id] = true
		if key.alg.symmetric() != keys[0].alg.symmetric() {
			// RFC 8725 section 2.1: next to a public key, a secret one invites verifying with the wrong kind.
			return errors.New("token: symmetric and asymmetric keys in one set")
		}
	}
	return nil
}

// publish writes the JWK Set of the public keys among keys.
func publish(keys []*Key) ([]byte, error) {
	set := struct {
		Keys []jsonWebKey `json:"keys"`
	}{Keys: []jsonWebKey{}}
	for _, key := range keys {
		if !key.alg.symmetric() {
			set.Keys = append(set.Keys, key.publicJWK())
		}
	}
	slices.SortFunc(set.Keys, func(a, b jsonWebKey) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return json.Marshal(set)
}

// JWKS returns the public keys as a JWK Set (RFC 7517 section 5), each with use, alg and kid. Private members and
// HS256 keys are never in it. Equal rings give equal bytes, whichever key signs, so a hash of them is an ETag.
func (r *Ring) JWKS() []byte { return bytes.Clone(r.jwks) }

// Sign makes a compact JWS (RFC 7515 section 7.1) of payload, with the signing key's alg and kid and with typ in its
// header; an empty typ is left out. The payload is signed as it is: claims and times are the caller's, or [Encoder]'s,
// job. It returns [ErrCannotSign] or [ErrTooLarge], or an error about typ.
func (r *Ring) Sign(typ string, payload []byte) (string, error) {
	if r.signing == nil {
		return "", ErrCannotSign
	}
	return sign(r.signing, typ, payload)
}

// Verify checks the signature of a compact JWS and nothing else: not typ, not times, not the audience. Use [Decoder]
// unless the payload is no set of claims.
//
// The key is the one whose kid the header names, compared byte for byte; a header without kid is accepted by a ring
// of one key only. The algorithm is the key's, and the header must name the same. Every token has one spelling:
// base64url is read strictly, and more than [MaxSize] bytes are refused unread. The one exception is the ECDSA twin
// signature, so use a claim such as jti, never the text, to recognise a token again.
//
// It returns [ErrMalformed] or [ErrSignature], with nothing from the token.
func (r *Ring) Verify(compact string) (Header, []byte, error) { return verify(compact, r.keys, r.only) }

// Epoch returns 1: a ring cannot be changed.
func (r *Ring) Epoch() uint64 { return 1 }
