package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// maxKeyID bounds a kid in bytes; it is repeated in every token.
const maxKeyID = 256

// generatedRSABits is what GenerateKey makes: 3072 bits give the 128-bit strength that the other algorithms have and
// ASVS 5.0 11.2.3 asks for. Existing keys are taken from 2048 on.
const generatedRSABits = 3072

// A Key is one key bound to one [Algorithm] and one kid. It cannot be changed, and everything it was made from has
// been copied and checked. Printing or logging it shows kid and algorithm, never key material.
type Key struct {
	id       string
	alg      Algorithm
	material *sealed
	jsonID   []byte // id as JSON string, for headers and JWKs
}

// GenerateKey makes a new signing key from crypto/rand. Its kid is the RFC 7638 thumbprint; for HS256, where a
// thumbprint would publish a hash of the secret, it is random. RSA keys have 3072 bits.
func GenerateKey(alg Algorithm) (*Key, error) {
	var private any
	var err error
	id := ""
	switch alg {
	case ES256, ES384:
		private, err = ecdsa.GenerateKey(alg.curve(), rand.Reader)
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case RS256, RS384, RS512, PS256:
		private, err = rsa.GenerateKey(rand.Reader, generatedRSABits)
	case HS256:
		secret := make([]byte, 32)
		_, err = rand.Read(secret)
		private, id = secret, rand.Text()
	default:
		err = errUnknownAlgorithm
	}
	if err != nil {
		return nil, fmt.Errorf("token: generate %s key: %w", describe(alg), err)
	}
	return NewKey(id, alg, private)
}

var errUnknownAlgorithm = errors.New("algorithm is unknown or not supported")

// NewKey binds material to an algorithm and a kid. Material is a copy-safe standard library key:
// *ecdsa.PrivateKey or *ecdsa.PublicKey on the algorithm's curve, ed25519.PrivateKey or ed25519.PublicKey,
// *rsa.PrivateKey or *rsa.PublicKey, or []byte for HS256.
//
// An empty id becomes the RFC 7638 thumbprint, except for HS256, which needs one. Refused are keys that are weak or
// broken: points off their curve or of small order, RSA under 2048 or over 8192 bits, with an exponent under 65537,
// an even modulus or the ROCA fingerprint, private parts that do not belong together, HMAC secrets under 32 bytes
// (RFC 7518 section 3.2) or well known. Errors name the rule and never the key material.
func NewKey(id string, alg Algorithm, material any) (*Key, error) {
	m, err := newMaterial(alg, material)
	if err != nil {
		return nil, fmt.Errorf("token: %s key: %w", describe(alg), err)
	}
	if id == "" {
		if alg.symmetric() {
			return nil, errors.New("token: HS256 key: a kid is required")
		}
		id = m.thumbprint(alg)
	}
	if err := checkKeyID(id); err != nil {
		return nil, err
	}
	return &Key{id: id, alg: alg, material: &sealed{m}, jsonID: appendJSON(nil, id)}, nil
}

// describe keeps unknown text, which may be anything, out of errors.
func describe(alg Algorithm) string {
	if alg.known() {
		return string(alg)
	}
	return "unknown"
}

func checkKeyID(id string) error {
	if len(id) > maxKeyID || !utf8.ValidString(id) {
		return errors.New("token: kid is longer than 256 bytes or not UTF-8")
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return errors.New("token: kid has control characters")
		}
	}
	return nil
}

// newMaterial copies and checks a key for use under alg.
func newMaterial(alg Algorithm, key any) (*material, error) {
	mismatch := errors.New("key type does not fit the algorithm")
	switch alg {
	case HS256:
		secret, ok := key.([]byte)
		if !ok {
			return nil, mismatch
		}
		if err := checkSecret(secret); err != nil {
			return nil, err
		}
		return &material{secret: bytes.Clone(secret)}, nil
	case EdDSA:
		switch key := key.(type) {
		case ed25519.PrivateKey:
			if len(key) != ed25519.PrivateKeySize {
				return nil, errors.New("wrong length")
			}
			private := ed25519.NewKeyFromSeed(key.Seed())
			if !private.Equal(key) {
				return nil, errors.New("public part does not belong to the private one")
			}
			return &material{ed: private, edPublic: private.Public().(ed25519.PublicKey)}, nil
		case ed25519.PublicKey:
			if err := checkEd25519(key); err != nil {
				return nil, err
			}
			return &material{edPublic: bytes.Clone(key)}, nil
		}
	case ES256, ES384:
		switch key := key.(type) {
		case *ecdsa.PrivateKey:
			return copyECPrivate(alg, key)
		case *ecdsa.PublicKey:
			public, err := copyECPublic(alg, key)
			return &material{ecPublic: public}, err
		}
	case RS256, RS384, RS512, PS256:
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return copyRSAPrivate(key)
		case *rsa.PublicKey:
			public, err := copyRSAPublic(key)
			return &material{rsaPublic: public}, err
		}
	default:
		return nil, errUnknownAlgorithm
	}
	return nil, mismatch
}

func copyECPublic(alg Algorithm, key *ecdsa.PublicKey) (*ecdsa.PublicKey, error) {
	if key == nil || key.Curve == nil || key.X == nil || key.Y == nil {
		return nil, errors.New("incomplete")
	}
	if key.Curve != alg.curve() {
		return nil, errors.New("curve does not fit the algorithm")
	}
	point, err := key.Bytes() // refuses what is not on the curve
	if err != nil {
		return nil, errors.New("point is not on the curve")
	}
	return ecdsa.ParseUncompressedPublicKey(alg.curve(), point)
}

func copyECPrivate(alg Algorithm, key *ecdsa.PrivateKey) (*material, error) {
	if key == nil || key.D == nil {
		return nil, errors.New("incomplete")
	}
	public, err := copyECPublic(alg, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	scalar, err := key.Bytes()
	if err != nil {
		return nil, errors.New("private value is out of range")
	}
	private, err := ecdsa.ParseRawPrivateKey(alg.curve(), scalar)
	if err != nil {
		return nil, errors.New("private value is out of range")
	}
	if !private.PublicKey.Equal(public) {
		return nil, errors.New("public part does not belong to the private one")
	}
	return &material{ec: private, ecPublic: public}, nil
}

func copyRSAPublic(key *rsa.PublicKey) (*rsa.PublicKey, error) {
	if key == nil || key.N == nil {
		return nil, errors.New("incomplete")
	}
	public := &rsa.PublicKey{N: new(big.Int).Set(key.N), E: key.E}
	return public, checkRSA(public)
}

func copyRSAPrivate(key *rsa.PrivateKey) (*material, error) {
	if key == nil || key.D == nil || len(key.Primes) != 2 || key.Primes[0] == nil || key.Primes[1] == nil {
		return nil, errors.New("incomplete, or not of two primes")
	}
	public, err := copyRSAPublic(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	private := &rsa.PrivateKey{
		PublicKey: *public,
		D:         new(big.Int).Set(key.D),
		Primes:    []*big.Int{new(big.Int).Set(key.Primes[0]), new(big.Int).Set(key.Primes[1])},
	}
	if !consistentRSA(private) {
		return nil, errors.New("private parts do not belong together")
	}
	private.Precompute()
	if err := private.Validate(); err != nil {
		return nil, errors.New("private parts do not belong together")
	}
	return &material{rsa: private, rsaPublic: public}, nil
}

// consistentRSA makes sure that crypto/rsa is given numbers of the modulus's size, whose primes multiply to it: it
// divides by them before it looks at them.
func consistentRSA(key *rsa.PrivateKey) bool {
	p, q := key.Primes[0], key.Primes[1]
	for _, n := range []*big.Int{key.D, p, q} {
		if n.Cmp(big.NewInt(1)) <= 0 || n.Cmp(key.N) >= 0 {
			return false
		}
	}
	return new(big.Int).Mul(p, q).Cmp(key.N) == 0
}

// ID returns the kid.
func (k *Key) ID() string { return k.id }

// Algorithm returns the one algorithm the key is for.
func (k *Key) Algorithm() Algorithm { return k.alg }

// CanSign reports whether the key has its private part.
func (k *Key) CanSign() bool {
	m := k.material
	return m.secret != nil || m.ed != nil || m.ec != nil || m.rsa != nil
}

// Public returns the key without its private part, and nil for HS256, which has no public part.
func (k *Key) Public() *Key {
	if k.alg.symmetric() {
		return nil
	}
	m := k.material
	public := *k
	public.material = &sealed{&material{edPublic: m.edPublic, ecPublic: m.ecPublic, rsaPublic: m.rsaPublic}}
	return &public
}

// String returns kid and algorithm.
func (k Key) String() string { return "token.Key(" + strconv.Quote(k.id) + ", " + string(k.alg) + ")" }

// Format makes every verb print what [Key.String] returns.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue logs kid and algorithm.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kid", k.id), slog.String("alg", string(k.alg)))
}
