package token

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
)

// Which keys are refused although they would work. An operator meets these errors at start, so each says what is
// wrong; none repeats the key.

const (
	minSecret  = 32 // bytes, RFC 7518 section 3.2: as long as the hash
	minRSABits = 2048
	maxRSABits = 8192 // beyond, one verification costs milliseconds
	minRSAExp  = 65537
)

// sampleSecrets are HMAC keys printed in specifications, base64url.
var sampleSecrets = []string{
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", // RFC 7515 A.1
	"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",                                            // RFC 7520 section 3.5
}

// sampleWords betray a secret somebody typed or left as it was in a template. A random printable secret of 64
// characters holds one of them less than once in ten million.
var sampleWords = []string{"changeme", "change-me", "change_me", "change this", "password", "secret", "example",
	"insecure", "default", "placeholder", "12345678"}

// CheckSecret returns an error when a symmetric secret is weak: under 32 bytes, printed in a specification, a pattern, or
// with a word in it that betrays a template. [NewKey] asks it for HS256. The error never contains the secret.
func CheckSecret(secret []byte) error {
	if err := checkSecret(secret); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

func checkSecret(secret []byte) error {
	if len(secret) < minSecret {
		return errors.New("secret is shorter than 32 bytes")
	}
	known := errors.New("secret is well known or follows a pattern; generate a random one")
	for _, sample := range sampleSecrets {
		raw, err := base64.RawURLEncoding.DecodeString(sample)
		if err != nil || bytes.Equal(secret, raw) || string(secret) == sample {
			return known
		}
	}
	for period := 1; period <= len(secret)/2; period++ { // all zero, "abcabcabc"
		if bytes.Equal(secret[period:], secret[:len(secret)-period]) {
			return known
		}
	}
	sequence := true // 00 01 02 03: documentation and tests
	for i := range secret[1:] {
		sequence = sequence && secret[i+1]-secret[i] == secret[1]-secret[0]
	}
	if sequence {
		return known
	}
	lower := strings.ToLower(string(secret))
	for _, word := range sampleWords {
		if strings.Contains(lower, word) {
			return known
		}
	}
	return nil
}

func checkRSA(key *rsa.PublicKey) error {
	switch bits := key.N.BitLen(); {
	case key.N.Sign() <= 0 || bits < minRSABits:
		return errors.New("modulus is shorter than 2048 bits")
	case bits > maxRSABits:
		return errors.New("modulus is longer than 8192 bits")
	case key.N.Bit(0) == 0:
		return errors.New("modulus is even")
	case key.E < minRSAExp || key.E%2 == 0 || int64(key.E) > 1<<31-1:
		return errors.New("exponent is under 65537, even or over 31 bits")
	case hasROCAFingerprint(key.N):
		return errors.New("modulus comes from a broken generator (ROCA, CVE-2017-15361)")
	}
	return nil
}

// rocaResidues lists, for small primes, which residues a ROCA modulus can have: the powers of 65537. A random
// modulus fits all of them once in about 2^27.
var rocaResidues = sync.OnceValue(func() map[int64]map[int64]bool {
	table := make(map[int64]map[int64]bool)
	for p := int64(3); p <= 167; p++ {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		table[p] = make(map[int64]bool)
		for r := int64(1); !table[p][r]; r = r * 65537 % p {
			table[p][r] = true
		}
	}
	return table
})

func hasROCAFingerprint(n *big.Int) bool {
	for p, powers := range rocaResidues() {
		if !powers[new(big.Int).Mod(n, big.NewInt(p)).Int64()] {
			return false
		}
	}
	return true
}

// checkEd25519 refuses public keys that are no point of the curve, are spelled in a second way, or have a small
// order: under those, signatures verify that nobody made. crypto/ed25519 leaves this to its caller.
func checkEd25519(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return errors.New("wrong length")
	}
	encoded := slices.Clone(key)
	encoded[31] &= 0x7f // the sign of x
	slices.Reverse(encoded)
	y := new(big.Int).SetBytes(encoded)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	if y.Cmp(p) >= 0 {
		return errors.New("point is not in its canonical form")
	}
	one := big.NewInt(1)
	mod := func(n *big.Int) *big.Int { return n.Mod(n, p) }
	d := mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p)))

	// -x^2 + y^2 = 1 + d x^2 y^2, so x^2 = (y^2 - 1) / (d y^2 + 1); the divisor is never 0, as -1/d is no square.
	y2 := mod(new(big.Int).Mul(y, y))
	divisor := mod(new(big.Int).Add(new(big.Int).Mul(d, y2), one))
	x2 := mod(new(big.Int).Mul(new(big.Int).Sub(y2, one), divisor.ModInverse(divisor, p)))
	if new(big.Int).ModSqrt(x2, p) == nil {
		return errors.New("point is not on the curve")
	}
	// Order 1 and 2 have x = 0, with either sign in the encoding; order 4 has y = 0; doubling a point of order 8 gives
	// y = 0, and y(2P) = (y^2 + x^2) / (1 - d x^2 y^2).
	if x2.Sign() == 0 || y.Sign() == 0 || mod(new(big.Int).Add(x2, y2)).Sign() == 0 {
		return errors.New("point has a small order")
	}
	return nil
}
