package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxPEM bounds the text of one key; an RSA key of 8192 bits has 6.4 kB.
const maxPEM = 64 << 10

// ParsePEM reads one private or public key in PEM (RFC 7468) with the policy of [NewKey]: "PRIVATE KEY" (PKCS #8),
// "RSA PRIVATE KEY" (PKCS #1), "EC PRIVATE KEY" (SEC 1, behind "EC PARAMETERS" if there are any), "PUBLIC KEY" or
// "RSA PUBLIC KEY".
//
// An empty alg is the one that the key leaves: ES256 for P-256, ES384 for P-384, EdDSA for Ed25519, and RS256 for RSA, for
// which it is merely the usual one. An empty id is the RFC 7638 thumbprint.
//
// Text before the first block is passed over (RFC 7468, section 2). Refused, each with a sentence: anything behind the
// key, a certificate, an encrypted key. Errors never contain key material.
func ParsePEM(id string, alg Algorithm, text []byte) (*Key, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("token: PEM text is longer than %d bytes", maxPEM)
	}
	if n := bytes.Count(text, []byte("-----BEGIN ")) - bytes.Count(text, []byte("-----BEGIN EC PARAMETERS-")); n > 1 {
		return nil, errors.New("token: PEM has more than one key: give each its own file") // also when one is damaged
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("token: no PEM block is in the text")
	}
	if block.Type == "EC PARAMETERS" {
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("token: PEM has EC PARAMETERS and no key")
		}
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("token: PEM has something behind the key: remove it")
	}
	material, err := parsePEMBlock(block)
	if err != nil {
		return nil, fmt.Errorf("token: PEM: %w", err)
	}
	if alg == "" {
		alg = usualAlgorithm(material)
	}
	return NewKey(id, alg, material)
}

func parsePEMBlock(block *pem.Block) (any, error) {
	var key any
	var err error
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the key is encrypted: decrypt it first, as with openssl pkey")
	}
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the key is encrypted: decrypt it first, as with openssl pkey")
	case "CERTIFICATE":
		return nil, errors.New("this is a certificate, not a key: take the key out of it, as with openssl x509 -pubkey")
	default:
		return nil, errors.New("this is no key of a kind that is read: use PKCS #8 (PRIVATE KEY or PUBLIC KEY)")
	}
	if err != nil {
		return nil, errors.New("the key is damaged, or of a kind that is not supported") // err may quote what it read
	}
	return key, nil
}

// usualAlgorithm returns the algorithm for a key that does not say; "" for one that no algorithm fits.
func usualAlgorithm(material any) Algorithm {
	curve := elliptic.Curve(nil)
	switch key := material.(type) {
	case ed25519.PrivateKey, ed25519.PublicKey:
		return EdDSA
	case *rsa.PrivateKey, *rsa.PublicKey:
		return RS256
	case *ecdsa.PrivateKey:
		curve = key.Curve
	case *ecdsa.PublicKey:
		curve = key.Curve
	}
	switch curve {
	case elliptic.P256():
		return ES256
	case elliptic.P384():
		return ES384
	}
	return ""
}
