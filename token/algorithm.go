package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"math/big"
)

// Algorithm is a JWS signature algorithm, by its "alg" name (RFC 7518 section 3.1, RFC 8037 section 3.1). Names are
// compared exactly. "none" does not exist here.
type Algorithm string

// The algorithms a [Key] can be bound to. New rings do well with ES256: every service can verify it. RS256 costs
// 25 to 40 times as much to sign. HS256 is for a single party that both signs and verifies.
const (
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	EdDSA Algorithm = "EdDSA" // with Ed25519
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	HS256 Algorithm = "HS256"
)

// known reports whether a is one of the constants above.
func (a Algorithm) known() bool {
	switch a {
	case ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, HS256:
		return true
	}
	return false
}

// symmetric reports whether whoever can verify can also sign.
func (a Algorithm) symmetric() bool { return a == HS256 }

// curve is the only curve an ECDSA algorithm of JOSE goes with (RFC 7518 section 3.4), nil for the others.
func (a Algorithm) curve() elliptic.Curve {
	switch a {
	case ES256:
		return elliptic.P256()
	case ES384:
		return elliptic.P384()
	}
	return nil
}

func (a Algorithm) hash() crypto.Hash {
	switch a {
	case ES384, RS384:
		return crypto.SHA384
	case RS512:
		return crypto.SHA512
	}
	return crypto.SHA256
}

// digest hashes input for a; EdDSA and HS256 take the input itself.
func (a Algorithm) digest(input []byte) []byte {
	switch a.hash() {
	case crypto.SHA384:
		sum := sha512.Sum384(input)
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(input)
		return sum[:]
	}
	sum := sha256.Sum256(input)
	return sum[:]
}

// RFC 7518 section 3.5: the salt is as long as the hash. A fixed length also keeps other salts from verifying.
var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// sealed keeps a key's material two pointers away: fmt follows one when it reaches a Key through an unexported field
// of somebody's struct, where it may not call [Key.Format].
type sealed struct{ *material }

// material is what a key consists of: the secret, or the public part of one kind and perhaps its private part.
type material struct {
	secret    []byte
	ed        ed25519.PrivateKey
	edPublic  ed25519.PublicKey
	ec        *ecdsa.PrivateKey
	ecPublic  *ecdsa.PublicKey
	rsa       *rsa.PrivateKey
	rsaPublic *rsa.PublicKey
}

// signatureSize is the only length in bytes a signature of this key can have.
func (m *material) signatureSize(a Algorithm) int {
	switch {
	case m.rsaPublic != nil:
		return m.rsaPublic.Size()
	case m.ecPublic != nil:
		return 2 * coordinateSize(a.curve())
	case m.edPublic != nil:
		return ed25519.SignatureSize
	}
	return sha256.Size
}

func coordinateSize(c elliptic.Curve) int { return (c.Params().BitSize + 7) / 8 }

// sign makes the JWS signature of input (RFC 7518 section 3).
func (m *material) sign(a Algorithm, input []byte) ([]byte, error) {
	switch a {
	case HS256:
		mac := hmac.New(sha256.New, m.secret)
		mac.Write(input)
		return mac.Sum(nil), nil
	case EdDSA:
		return ed25519.Sign(m.ed, input), nil
	case ES256, ES384:
		r, s, err := ecdsa.Sign(rand.Reader, m.ec, a.digest(input))
		if err != nil {
			return nil, err
		}
		size := coordinateSize(a.curve())
		signature := make([]byte, 2*size)
		r.FillBytes(signature[:size])
		s.FillBytes(signature[size:])
		return signature, nil
	case RS256, RS384, RS512:
		return rsa.SignPKCS1v15(nil, m.rsa, a.hash(), a.digest(input))
	case PS256:
		return rsa.SignPSS(rand.Reader, m.rsa, a.hash(), a.digest(input), pssOptions)
	}
	return nil, errors.New("unknown algorithm")
}

// verify reports whether signature is one of input. It is the only place that decides so.
//
// ECDSA signatures have a twin, r and n-s, that anybody can compute; JOSE allows both and so does verify. Nothing
// may therefore be keyed by the text of a token: revocation and replay go by jti and sid.
func (m *material) verify(a Algorithm, input, signature []byte) bool {
	if len(signature) != m.signatureSize(a) {
		return false
	}
	switch a {
	case HS256:
		mac := hmac.New(sha256.New, m.secret)
		mac.Write(input)
		return hmac.Equal(mac.Sum(nil), signature)
	case EdDSA:
		return ed25519.Verify(m.edPublic, input, signature)
	case ES256, ES384:
		size := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(m.ecPublic, a.digest(input), r, s)
	case RS256, RS384, RS512:
		return rsa.VerifyPKCS1v15(m.rsaPublic, a.hash(), a.digest(input), signature) == nil
	case PS256:
		return rsa.VerifyPSS(m.rsaPublic, a.hash(), a.digest(input), signature, pssOptions) == nil
	}
	return false
}
