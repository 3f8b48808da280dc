package peers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.Hash
	"encoding/asn1"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
)

// A Key is key material in the standard library's form, bound to an algorithm and a kid. Private and Public of HS256 are
// the same []byte.
type Key struct {
	Algorithm, ID   string
	Private, Public any
}

// Algorithms are those that all four libraries know.
var Algorithms = []string{"ES256", "ES384", "EdDSA", "RS256", "RS384", "RS512", "PS256", "HS256"}

// NewKey makes the key that follows from seed: for tests that must repeat, and for nothing else.
func NewKey(id, algorithm string, seed uint64) (Key, error) {
	source := stream(seed, id+algorithm)
	key := Key{Algorithm: algorithm, ID: id}
	switch algorithm {
	case "ES256", "ES384":
		curve := elliptic.P256()
		if algorithm == "ES384" {
			curve = elliptic.P384()
		}
		scalar := source((curve.Params().BitSize + 7) / 8)
		scalar[0] >>= 1 // below the order
		private, err := ecdsa.ParseRawPrivateKey(curve, scalar)
		if err != nil {
			return Key{}, err
		}
		key.Private, key.Public = private, &private.PublicKey
	case "EdDSA":
		private := ed25519.NewKeyFromSeed(source(ed25519.SeedSize))
		key.Private, key.Public = private, private.Public().(ed25519.PublicKey)
	case "RS256", "RS384", "RS512", "PS256":
		private, err := rsaKey(source)
		if err != nil {
			return Key{}, err
		}
		key.Private, key.Public = private, &private.PublicKey
	case "HS256":
		secret := source(48)
		key.Private, key.Public = secret, secret
	default:
		return Key{}, fmt.Errorf("algorithm %q is unknown", algorithm)
	}
	return key, nil
}

// stream returns a function for bytes that follow from seed and name.
func stream(seed uint64, name string) func(n int) []byte {
	random := mathrand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s", seed, name)))
	return func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b)
		return b
	}
}

// rsaKey makes 2048 bits; crypto/rsa takes no source of randomness any more.
func rsaKey(source func(int) []byte) (*rsa.PrivateKey, error) {
	one, e := big.NewInt(1), big.NewInt(65537)
	prime := func() *big.Int {
		for {
			b := source(128)
			b[0] |= 0xc0 // so that the product has all its bits
			b[127] |= 1
			p := new(big.Int).SetBytes(b)
			if p.ProbablyPrime(20) && new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), e).Cmp(one) == 0 {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q},
	}
	key.Precompute()
	return key, key.Validate()
}

// hash is that of the algorithm, 0 for those that take the input itself.
func (k Key) hash() crypto.Hash {
	switch k.Algorithm {
	case "ES256", "RS256", "PS256":
		return crypto.SHA256
	case "ES384", "RS384":
		return crypto.SHA384
	case "RS512":
		return crypto.SHA512
	}
	return 0
}

func (k Key) digest(input []byte) []byte {
	h := k.hash().New()
	h.Write(input)
	return h.Sum(nil)
}

var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

// SignRaw makes the JWS signature of input with nothing but crypto/*. It repeats for equal input, except for PS256.
func (k Key) SignRaw(input []byte) ([]byte, error) {
	switch private := k.Private.(type) {
	case []byte:
		mac := hmac.New(sha256.New, private)
		mac.Write(input)
		return mac.Sum(nil), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	case *ecdsa.PrivateKey:
		der, err := private.Sign(nil, k.digest(input), k.hash()) // without randomness: RFC 6979
		if err != nil {
			return nil, err
		}
		var signature struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &signature); err != nil {
			return nil, err
		}
		return joinRS(signature.R, signature.S, (private.Params().BitSize+7)/8), nil
	case *rsa.PrivateKey:
		if k.Algorithm == "PS256" {
			return rsa.SignPSS(rand.Reader, private, k.hash(), k.digest(input), pssOptions)
		}
		return rsa.SignPKCS1v15(nil, private, k.hash(), k.digest(input))
	}
	return nil, fmt.Errorf("key of type %T", k.Private)
}

func joinRS(r, s *big.Int, size int) []byte {
	joined := make([]byte, 2*size)
	r.FillBytes(joined[:size])
	s.FillBytes(joined[size:])
	return joined
}
