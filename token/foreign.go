package token

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Key sets of another issuer. [ParseKeySet] reads our own, where a key that is refused is a mistake to be told of.
// Somebody else's set holds what he likes: keys for encryption, algorithms of next year. RFC 7517 section 5 says to
// ignore those, and so does this reader, but key by key and for a stated reason. It stays as strict about the text as a
// whole: one reading, or none.

// An IgnoredKey is a key of a foreign set that is not used.
type IgnoredKey struct {
	Index  int // in the set's "keys", from 0
	Reason IgnoreReason
}

// IgnoreReason says why a key is not used. It is one of the constants below and holds nothing from the key, so it may be
// logged and counted.
type IgnoreReason string

// The reasons. Of several that hold, the first in this order is given.
const (
	IgnoredSymmetric    IgnoreReason = "symmetric"     // oct: whoever reads the set could sign
	IgnoredPrivate      IgnoreReason = "private"       // its private part is published, here or in another entry
	IgnoredUse          IgnoreReason = "use"           // use or key_ops: not for verifying
	IgnoredAlgorithm    IgnoreReason = "algorithm"     // kty, crv or alg is unknown or not allowed, or they do not fit
	IgnoredNoAlgorithm  IgnoreReason = "no_alg"        // it names none, and several of the allowed ones fit
	IgnoredMalformed    IgnoreReason = "malformed"     // members missing, of a wrong type or size; no point of its curve
	IgnoredWeak         IgnoreReason = "weak"          // see NewKey
	IgnoredDuplicateKID IgnoreReason = "duplicate_kid" // the set has another signature key of this kid
)

// ParseForeignKeySet reads the JWK Set (RFC 7517 section 5) of another issuer, for verifying. Allowed are the algorithms
// that keys may be for; none of them may be symmetric.
//
// The text must be one strict JSON object of at most 256 KiB with at most 100 "keys". Each key is then taken or ignored
// for itself; ignored says which and why. A key without alg, as several large issuers publish theirs, gets the
// allowed algorithm that fits its kty and crv, if that is exactly one. Keys that share a kid are all ignored, since
// nobody can say which is meant; keys with a use other than "sig" do not count there. A key whose private part is
// published has no worth: nor has any other entry of the same key.
//
// It returns an error when the text is not such a set, and when no key is left; then keys is nil and ignored may tell why.
// Errors and reasons hold nothing from the text.
func ParseForeignKeySet(jwks []byte, allowed []Algorithm) (keys []*Key, ignored []IgnoredKey, err error) {
	if err := checkForeignAlgorithms(allowed); err != nil {
		return nil, nil, err
	}
	object, err := readKeyObject(jwks)
	if err != nil {
		return nil, nil, err
	}
	list, ok := object["keys"].([]any)
	if !ok || len(list) > maxKeySetKeys {
		return nil, nil, fmt.Errorf("token: foreign key set needs keys, at most %d", maxKeySetKeys)
	}
	entries := make([]foreignKey, len(list))
	sharing := map[string]int{}
	published := map[string]bool{}
	for i, element := range list {
		entries[i] = readForeignKey(element, allowed)
		if e := entries[i]; e.reason != IgnoredUse && e.id != "" {
			sharing[e.id]++
		}
		if e := entries[i]; e.reason == IgnoredPrivate {
			for _, part := range e.public {
				published[part] = true
			}
		}
	}
	for i, e := range entries {
		switch {
		case e.reason != "":
		case slices.ContainsFunc(e.public, func(part string) bool { return published[part] }):
			e.reason = IgnoredPrivate
		case sharing[e.id] > 1:
			e.reason = IgnoredDuplicateKID
		}
		if e.reason != "" {
			ignored = append(ignored, IgnoredKey{Index: i, Reason: e.reason})
			continue
		}
		keys = append(keys, e.key)
	}
	if len(keys) == 0 {
		return nil, ignored, errors.New("token: foreign key set has no key that can be used")
	}
	return keys, ignored, nil
}

func checkForeignAlgorithms(allowed []Algorithm) error {
	if len(allowed) == 0 {
		return errors.New("token: foreign key set needs allowed algorithms")
	}
	for _, alg := range allowed {
		if !alg.known() || alg.symmetric() {
			return fmt.Errorf("token: %s is no algorithm for a foreign key set", describe(alg))
		}
	}
	return nil
}

// foreignKey is one entry of a foreign set: a key, or the reason why it is none.
type foreignKey struct {
	key    *Key
	reason IgnoreReason
	id     string   // kid, also of an entry that is none
	public []string // what is the same in every entry of one key, none if that cannot be told
}

func readForeignKey(element any, allowed []Algorithm) foreignKey {
	object, ok := element.(map[string]any)
	if !ok {
		return foreignKey{reason: IgnoredMalformed}
	}
	r := &jwkReader{object: object}
	e := foreignKey{id: r.text("kid"), public: publicParts(object)}
	kty, crv := r.text("kty"), r.text("crv")
	named := Algorithm(r.text("alg"))
	switch {
	case kty == "oct":
		e.reason = IgnoredSymmetric
	case slices.ContainsFunc(privateMembers, r.has):
		e.reason = IgnoredPrivate
	case !forVerifying(object):
		e.reason = IgnoredUse
	case r.err != nil || kty == "":
		e.reason = IgnoredMalformed
	}
	if e.reason != "" {
		return e
	}
	fitting := slices.DeleteFunc(algorithmsFor(kty, crv), func(alg Algorithm) bool {
		return !slices.Contains(allowed, alg) || r.has("alg") && alg != named
	})
	switch {
	case len(fitting) == 0:
		e.reason = IgnoredAlgorithm
		return e
	case len(fitting) > 1:
		e.reason = IgnoredNoAlgorithm
		return e
	}
	var material any
	switch kty {
	case "EC":
		material = r.ec(fitting[0].curve(), false)
	case "OKP":
		material = r.okp(false)
	default:
		material = r.rsa(false)
	}
	if r.err != nil || r.has("kid") && e.id == "" || checkKeyID(e.id) != nil {
		e.reason = IgnoredMalformed
		return e
	}
	key, err := NewKey(e.id, fitting[0], material)
	if err != nil {
		e.reason = IgnoredWeak
		return e
	}
	e.key, e.id = key, key.id
	return e
}

// privateMembers are those of RFC 7518 section 6 that only the owner of a key may know.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

func forVerifying(object map[string]any) bool {
	r := &jwkReader{object: object}
	r.checkUse(false)
	return r.err == nil
}

// algorithmsFor returns the algorithms that keys of this kind can be for.
func algorithmsFor(kty, crv string) []Algorithm {
	switch kty + " " + crv {
	case "EC P-256":
		return []Algorithm{ES256}
	case "EC P-384":
		return []Algorithm{ES384}
	case "OKP Ed25519":
		return []Algorithm{EdDSA}
	}
	if kty == "RSA" {
		return []Algorithm{RS256, RS384, RS512, PS256}
	}
	return nil
}

// publicParts tell entries of one key from those of another, whatever kid, kty, alg and exponent they name, and whether or
// not they are well written: x says enough, since the point with the other y has the same private part but for its sign.
func publicParts(object map[string]any) (parts []string) {
	for _, name := range []string{"n", "x"} {
		text, _ := object[name].(string)
		if b, ok := decodeBase64(text); ok && len(b) > 0 {
			parts = append(parts, name+string(bytes.TrimLeft(b, "\x00")))
		}
	}
	return parts
}

// UnverifiedKeyID returns the kid that a token's header names, "" for none. Nobody has vouched for it: it is good for
// finding out whether a key has to be fetched, and for nothing else.
//
// What can be refused without a key is refused: it returns [ErrMalformed] as [Ring.Verify] does, and [ErrSignature] for
// an alg that is not among allowed and for a kid that no key can have.
func UnverifiedKeyID(compact string, allowed []Algorithm) (string, error) {
	c, ok := parse(compact)
	if !ok {
		return "", ErrMalformed
	}
	for _, part := range []string{c.payload, c.signature} {
		if _, ok := decodeBase64(part); !ok {
			return "", ErrMalformed
		}
	}
	if !slices.Contains(allowed, c.header.Algorithm) || checkKeyID(c.header.KeyID) != nil {
		return "", ErrSignature
	}
	return c.header.KeyID, nil
}
