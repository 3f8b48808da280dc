package token_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/token"
)

// Group K of the attack catalogue: what a key must be.

func TestGenerateKey(t *testing.T) {
	for _, alg := range allAlgorithms {
		if alg == token.RS384 || alg == token.RS512 || alg == token.PS256 {
			continue // RSA generation is slow and the same code as RS256
		}
		t.Run(string(alg), func(t *testing.T) {
			key, err := token.GenerateKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			if key.Algorithm() != alg || !key.CanSign() {
				t.Errorf("got algorithm %q, CanSign %v", key.Algorithm(), key.CanSign())
			}
			if alg == token.HS256 {
				if other, _ := token.GenerateKey(alg); other.ID() == key.ID() || len(key.ID()) < 20 {
					t.Errorf("kid %q is not random", key.ID())
				}
				if key.Public() != nil {
					t.Error("an HS256 key has a public part")
				}
				return
			}
			if key.ID() != key.Thumbprint() {
				t.Errorf("got kid %q, want the thumbprint %q", key.ID(), key.Thumbprint())
			}
			if public, ok := token.PublicMaterial(key).(*rsa.PublicKey); ok && public.N.BitLen() != 3072 {
				t.Errorf("got %d bits, want 3072", public.N.BitLen())
			}
			if public := key.Public(); public.CanSign() || public.ID() != key.ID() || public.Algorithm() != alg {
				t.Errorf("got public key %v", public)
			}
		})
	}
	for _, alg := range []token.Algorithm{"", "none", "es256", "ES512", "PS384", "HS512", "Ed25519"} {
		if key, err := token.GenerateKey(alg); err == nil || key != nil {
			t.Errorf("%q: got a key", alg)
		}
	}
}

func TestThumbprintOfRFC7638(t *testing.T) {
	// RFC 7638 section 3.1, with an alg our policy can bind it to.
	key, err := token.ParseKey([]byte(`{"kty":"RSA","alg":"RS256","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; key.ID() != want {
		t.Errorf("got %q, want %q", key.ID(), want)
	}
}

func TestPrivateKeysSurviveTheSealedRing(t *testing.T) {
	for _, alg := range allAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := newKey(t, "kid / with \"quotes\" and é", alg)
			jwk, err := key.MarshalPrivate()
			if err != nil {
				t.Fatal(err)
			}
			again, err := token.ParseKey(jwk)
			if err != nil {
				t.Fatal(err)
			}
			if second, _ := again.MarshalPrivate(); !bytes.Equal(jwk, second) {
				t.Error("writing, reading and writing again changes the bytes")
			}
			raw := mustSign(t, newRing(t, again), testType, marshal(t, goodClaims(nil)))
			if header, _, err := newRing(t, key).Verify(raw); err != nil || header.KeyID != key.ID() {
				t.Errorf("got %v, %v", header, err)
			}
			if alg == token.HS256 {
				return
			}
			if _, err := key.Public().MarshalPrivate(); err == nil {
				t.Error("a public key marshals as private")
			}
			if private := token.PrivateMaterial(again).(interface{ Equal(crypto.PrivateKey) bool }); !private.Equal(token.PrivateMaterial(key)) {
				t.Error("another key came back")
			}
		})
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	for _, alg := range []token.Algorithm{token.HS256, token.ES256, token.EdDSA, token.RS256} {
		key := newKey(t, "visible-kid", alg)
		jwk, _ := key.MarshalPrivate()
		var members map[string]string
		if err := json.Unmarshal(jwk, &members); err != nil {
			t.Fatal(err)
		}
		var secrets []string
		for _, name := range []string{"d", "p", "q", "k"} {
			if members[name] != "" {
				raw, _ := base64.RawURLEncoding.DecodeString(members[name])
				secrets = append(secrets, members[name], string(raw), hex.EncodeToString(raw), fmt.Sprint(raw), strings.Trim(fmt.Sprint(raw), "[]"))
				secrets = append(secrets, new(big.Int).SetBytes(raw).String())
			}
		}
		type wrapper struct {
			Exported   *token.Key
			Value      token.Key
			unexported *token.Key
			hidden     token.Key
		}
		w := wrapper{Exported: key, Value: *key, unexported: key, hidden: *key}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", key, "value", *key, "wrapped", w)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "key", key, "value", *key, "wrapped", w)
		encoded, _ := json.Marshal(w)
		outputs := []string{log.String(), string(encoded), key.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			for _, value := range []any{key, *key, w, &w, []*token.Key{key}, map[string]token.Key{"k": *key}} {
				outputs = append(outputs, fmt.Sprintf(verb, value))
			}
		}
		for _, output := range outputs {
			for _, secret := range secrets {
				if strings.Contains(output, secret) {
					t.Errorf("%s: %q shows key material", alg, output)
				}
			}
		}
		if !strings.Contains(log.String(), "key.kid=visible-kid") {
			t.Errorf("%s: the log does not name the kid: %s", alg, log.String())
		}
	}
}

func TestKeysAreCopied(t *testing.T) {
	secret := []byte(rand.Text() + rand.Text())
	key, err := token.NewKey("k", token.HS256, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw := mustSign(t, newRing(t, key), testType, nil)
	clear(secret)
	if _, _, err := newRing(t, key).Verify(raw); err != nil {
		t.Error("changing the caller's secret changed the key")
	}
	private, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err = token.NewKey("k", token.ES256, &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private.PublicKey.X.SetInt64(1)
	if got := token.PublicMaterial(key).(*ecdsa.PublicKey); got.X.Cmp(big.NewInt(1)) == 0 {
		t.Error("changing the caller's point changed the key")
	}
}

func TestNewKeyRefuses(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	edPublic, edPrivate, _ := ed25519.GenerateKey(rand.Reader)
	n := rsaKey().N
	rsaPublic := func(n *big.Int, e int) *rsa.PublicKey { return &rsa.PublicKey{N: n, E: e} }
	point := func(x, y *big.Int) *ecdsa.PublicKey { return &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y} }
	random := []byte(rand.Text() + rand.Text())
	text := func(s string) []byte { return []byte((s + random32())[:max(len(s), 32)]) }
	a1, _ := base64.RawURLEncoding.DecodeString("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	crossed := *p256
	crossed.D = other.D
	crossedRSA := *rsaKey()
	crossedRSA.D = new(big.Int).Add(rsaKey().D, big.NewInt(2))
	crossedEd := bytes.Clone(edPrivate)
	crossedEd[40] ^= 1

	for _, c := range []struct {
		name     string
		alg      token.Algorithm
		material any
	}{
		{"no material", token.ES256, nil},
		{"material as a value", token.ES256, *p256},
		{"unknown algorithm", "ES512", p256},
		{"algorithm none", "none", []byte{}},
		{"J-02 public key bytes for HS256", token.HS256, edPublic},
		{"J-02 EC key for HS256", token.HS256, p256},
		{"J-03 P-256 key for ES384", token.ES384, p256},
		{"J-03 P-224 key for ES256", token.ES256, p224},
		{"J-03 EC key for RS256", token.RS256, &p256.PublicKey},
		{"J-03 RSA key for ES256", token.ES256, rsaKey()},
		{"J-03 bytes for EdDSA", token.EdDSA, []byte(edPublic)},

		{"K-07 empty secret", token.HS256, []byte{}},
		{"K-07 nil secret", token.HS256, []byte(nil)},
		{"K-07 31-byte secret", token.HS256, random[:31]},
		{"K-07 all-zero secret", token.HS256, make([]byte, 64)},
		{"K-07 one byte repeated", token.HS256, bytes.Repeat([]byte{0x5a}, 32)},
		{"K-07 short pattern repeated", token.HS256, bytes.Repeat([]byte("abcdefg"), 5)},
		{"K-07 half repeated", token.HS256, bytes.Repeat(random[:20], 2)},
		{"K-07 bytes counting up", token.HS256, sequence(65, 1)},
		{"K-07 bytes counting down", token.HS256, sequence(32, 0xff)},
		{"K-07 changeme", token.HS256, text("changeme")},
		{"K-07 ChangeMe in the middle", token.HS256, text("my-ChangeMe-")},
		{"K-07 template", token.HS256, text("your-256-bit-secret")},
		{"K-07 django-insecure", token.HS256, text("django-insecure-")},
		{"K-07 RFC 7515 sample", token.HS256, a1},
		{"K-07 RFC 7515 sample as text", token.HS256, []byte(b64(a1))},
		{"K-07 RSA 1024", token.RS256, rsaPublic(new(big.Int).Rsh(n, 1024), 65537)},
		{"K-07 RSA 2047", token.RS256, rsaPublic(odd(new(big.Int).Rsh(n, 1)), 65537)},
		{"K-07 RSA over 8192", token.RS256, rsaPublic(odd(new(big.Int).Lsh(n, 6145)), 65537)},
		{"K-07 exponent 1", token.RS256, rsaPublic(n, 1)},
		{"K-07 exponent 3", token.RS256, rsaPublic(n, 3)},
		{"K-07 even exponent", token.RS256, rsaPublic(n, 65538)},
		{"K-07 exponent over 31 bits", token.RS256, rsaPublic(n, 1<<31+1)},
		{"K-07 negative exponent", token.RS256, rsaPublic(n, -65537)},
		{"K-07 even modulus", token.RS256, rsaPublic(new(big.Int).Sub(n, big.NewInt(1)), 65537)},
		{"K-07 negative modulus", token.RS256, rsaPublic(new(big.Int).Neg(n), 65537)},
		{"K-07 zero modulus", token.RS256, rsaPublic(new(big.Int), 65537)},
		{"K-07 no modulus", token.RS256, &rsa.PublicKey{}},
		{"K-07 ROCA modulus", token.RS256, rsaPublic(rocaModulus(), 65537)},
		{"K-07 private key with another d", token.RS256, &crossedRSA},
		{"K-07 private key without primes", token.RS256, &rsa.PrivateKey{PublicKey: rsaKey().PublicKey, D: rsaKey().D}},

		{"K-09 EC point off the curve", token.ES256, point(p256.X, new(big.Int).Add(p256.Y, big.NewInt(1)))},
		{"K-09 EC point zero", token.ES256, point(new(big.Int), new(big.Int))},
		{"K-09 EC point without coordinates", token.ES256, &ecdsa.PublicKey{Curve: elliptic.P256()}},
		{"K-09 EC coordinates not reduced", token.ES256, point(new(big.Int).Add(p256.X, elliptic.P256().Params().P), p256.Y)},
		{"K-09 EC coordinates negative", token.ES256, point(new(big.Int).Neg(p256.X), p256.Y)},
		{"K-09 nil EC key", token.ES256, (*ecdsa.PublicKey)(nil)},
		{"K-09 nil EC private key", token.ES256, (*ecdsa.PrivateKey)(nil)},
		{"K-09 nil RSA key", token.RS256, (*rsa.PublicKey)(nil)},
		{"K-09 nil RSA private key", token.RS256, (*rsa.PrivateKey)(nil)},
		{"K-09 EC private key with another's d", token.ES256, &crossed},
		{"K-09 Ed25519 key of 31 bytes", token.EdDSA, edPublic[:31]},
		{"K-09 Ed25519 private key of 32 bytes", token.EdDSA, edPrivate[:32]},
		{"K-09 Ed25519 private key with another public part", token.EdDSA, ed25519.PrivateKey(crossedEd)},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := token.NewKey("k", c.alg, c.material)
			if err == nil || key != nil {
				t.Fatalf("got key %v, %v", key, err)
			}
			if strings.Contains(c.name, "ROCA") && !strings.Contains(err.Error(), "ROCA") {
				t.Errorf("refused for another reason: %v", err)
			}
			if secret, ok := c.material.([]byte); ok && len(secret) > 0 && strings.Contains(err.Error(), string(secret)) {
				t.Errorf("error %q prints the key", err)
			}
		})
	}
	for name, id := range map[string]string{
		"NUL": "a\x00", "CRLF": "a\r\nb", "delete": "\x7f", "not UTF-8": "\xff", "long": strings.Repeat("k", 257),
	} {
		if _, err := token.NewKey(id, token.HS256, random); err == nil {
			t.Errorf("kid with %s was accepted", name)
		}
	}
	if _, err := token.NewKey("", token.HS256, random); err == nil {
		t.Error("HS256 without kid was accepted")
	}
	if _, err := token.NewKey("k", token.HS256, random); err != nil {
		t.Errorf("a random secret: %v", err)
	}
}

func random32() string { return "q7Rz0Yw3Kd9VbXhU2fLpTgN5cJmA8sEo" }

func sequence(n int, step byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) * step
	}
	return b
}

func odd(n *big.Int) *big.Int { return n.SetBit(n, 0, 1) }

// rocaModulus makes two numbers of the form k*M + (65537^a mod M), as the broken generator did, and multiplies them.
func rocaModulus() *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p <= 701; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	factor := func(k, a int64) *big.Int {
		f := new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), m)
		shift := new(big.Int).Lsh(big.NewInt(k), uint(1024-m.BitLen()))
		return f.Add(f, shift.Mul(shift, m))
	}
	return new(big.Int).Mul(factor(3, 1001), factor(5, 777))
}

func TestK09Ed25519PublicKeys(t *testing.T) {
	hexKey := func(s string) ed25519.PublicKey {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// The encodings of small order and of the second kind, as libsodium lists them.
	for name, key := range map[string]ed25519.PublicKey{
		"order 1":                  hexKey("0100000000000000000000000000000000000000000000000000000000000000"),
		"order 2":                  hexKey("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"order 4":                  hexKey("0000000000000000000000000000000000000000000000000000000000000000"),
		"order 4 negative":         hexKey("0000000000000000000000000000000000000000000000000000000000000080"),
		"order 8":                  hexKey("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
		"order 8 negative":         hexKey("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
		"order 8, other":           hexKey("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
		"order 8, other negative":  hexKey("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
		"not canonical, y = p":     hexKey("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"not canonical, y = p + 1": hexKey("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"not canonical, -0":        hexKey("0100000000000000000000000000000000000000000000000000000000000080"),
		"all ones":                 bytes.Repeat([]byte{0xff}, 32),
		"off the curve":            hexKey("0200000000000000000000000000000000000000000000000000000000000000"),
	} {
		t.Run("J-30 K-09 "+name, func(t *testing.T) {
			if _, err := token.NewKey("k", token.EdDSA, key); err == nil {
				t.Error("accepted")
			}
		})
	}
	for range 50 {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.NewKey("k", token.EdDSA, public); err != nil {
			t.Fatalf("an honest key %x: %v", public, err)
		}
	}
}

// jwkOf returns the private JWK of a key as a map to spoil.
func jwkOf(tb testing.TB, alg token.Algorithm) map[string]any {
	tb.Helper()
	jwk, err := newKey(tb, "k", alg).MarshalPrivate()
	if err != nil {
		tb.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(jwk, &members); err != nil {
		tb.Fatal(err)
	}
	return members
}

func TestParseKeyRefuses(t *testing.T) {
	type change = map[string]any
	for _, c := range []struct {
		name   string
		alg    token.Algorithm
		change change
	}{
		{"kty missing", token.ES256, change{"kty": omit}},
		{"kty unknown", token.ES256, change{"kty": "AKP"}},
		{"kty of another key", token.ES256, change{"kty": "RSA"}},
		{"kty number", token.ES256, change{"kty": 1}},
		{"crv unknown", token.ES256, change{"crv": "secp256k1"}},
		{"crv does not fit alg", token.ES256, change{"crv": "P-384"}},
		{"P-521", token.ES256, change{"crv": "P-521", "alg": "ES512"}},
		{"alg does not fit crv", token.ES256, change{"alg": "ES384"}},
		{"alg of encryption", token.ES256, change{"alg": "ECDH-ES"}},
		{"alg none", token.HS256, change{"alg": "none"}},
		{"alg missing for oct", token.HS256, change{"alg": omit}},
		{"alg missing for RSA", token.RS256, change{"alg": omit}},
		{"alg HS512", token.HS256, change{"alg": "HS512"}},
		{"alg in lower case", token.EdDSA, change{"alg": "eddsa"}},
		{"alg null", token.EdDSA, change{"alg": nil}},
		{"Ed448", token.EdDSA, change{"crv": "Ed448"}},
		{"X25519", token.EdDSA, change{"crv": "X25519"}},
		{"kid missing for oct", token.HS256, change{"kid": omit}},
		{"kid empty", token.ES256, change{"kid": ""}},
		{"kid number", token.ES256, change{"kid": 7}},
		{"kid with NUL", token.ES256, change{"kid": "a\x00"}},
		{"use enc", token.ES256, change{"use": "enc"}},
		{"use SIG", token.ES256, change{"use": "SIG"}},
		{"use list", token.ES256, change{"use": []string{"sig"}}},
		{"key_ops encrypt", token.ES256, change{"key_ops": []string{"encrypt"}}},
		{"key_ops sign and encrypt", token.ES256, change{"key_ops": []string{"sign", "encrypt"}}},
		{"key_ops twice", token.ES256, change{"key_ops": []string{"sign", "sign"}}},
		{"key_ops in one string", token.ES256, change{"key_ops": []string{"sign, verify"}}},
		{"key_ops empty", token.ES256, change{"key_ops": []string{}}},
		{"key_ops text", token.ES256, change{"key_ops": "sign"}},
		{"key_ops objects", token.ES256, change{"key_ops": []any{map[string]any{}}}},
		{"K-10 key_ops verify on a private key", token.ES256, change{"key_ops": []string{"verify"}}},
		{"K-10 key_ops sign on a public key", token.ES256, change{"key_ops": []string{"sign"}, "d": omit}},
		{"K-09 x missing", token.ES256, change{"x": omit}},
		{"K-09 x with a leading zero added", token.ES256, change{"x": prepend}},
		{"K-09 x cut", token.ES256, change{"x": cut}},
		{"K-09 y zero", token.ES256, change{"y": b64(make([]byte, 32))}},
		{"K-09 x padded", token.ES256, change{"x": pad}},
		{"K-09 x with a newline", token.ES256, change{"x": newline}},
		{"d empty", token.ES256, change{"d": ""}},
		{"d zero", token.ES256, change{"d": b64(make([]byte, 32))}},
		{"d too short", token.ES256, change{"d": cut}},
		{"d of another key", token.ES256, change{"d": b64(bytes.Repeat([]byte{7}, 32))}},
		{"d null", token.ES256, change{"d": nil}},
		{"Ed25519 d of another key", token.EdDSA, change{"d": b64(bytes.Repeat([]byte{7}, 32))}},
		{"Ed25519 x short", token.EdDSA, change{"x": cut}},
		{"k missing", token.HS256, change{"k": omit}},
		{"K-07 k empty", token.HS256, change{"k": ""}},
		{"K-07 k short", token.HS256, change{"k": b64([]byte(random32()[:31]))}},
		{"K-07 k zero", token.HS256, change{"k": b64(make([]byte, 32))}},
		{"K-07 n with a leading zero", token.RS256, change{"n": prepend}},
		{"K-07 e with a leading zero", token.RS256, change{"e": prepend}},
		{"K-07 e 3", token.RS256, change{"e": "Aw"}},
		{"K-07 e of 64 bits", token.RS256, change{"e": b64(bytes.Repeat([]byte{0xff}, 8))}},
		{"K-07 e of 200 bytes", token.RS256, change{"e": b64(bytes.Repeat([]byte{0xff}, 200))}},
		{"RSA p missing", token.RS256, change{"p": omit}},
		{"RSA p and q equal", token.RS256, change{"p": "same as q"}},
		{"RSA p of one", token.RS256, change{"p": "AQ"}},
		{"RSA p of one and q of n", token.RS256, change{"p": "AQ", "q": "same as n"}},
		{"RSA p of 100 kB", token.RS256, change{"p": b64(bytes.Repeat([]byte{0xff}, 100_000))}},
		{"RSA d of 100 kB", token.RS256, change{"d": b64(bytes.Repeat([]byte{0xff}, 100_000))}},
		{"RSA third prime", token.RS256, change{"oth": []any{}}},
		{"RSA d changed", token.RS256, change{"d": b64(bytes.Repeat([]byte{3}, 256))}},
		{"RSA dp changed", token.RS256, change{"dp": "Aw"}},
		{"RSA qi changed", token.RS256, change{"qi": "Aw"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			jwk := jwkOf(t, c.alg)
			for name, value := range c.change {
				old, _ := jwk[name].(string)
				raw, _ := base64.RawURLEncoding.DecodeString(old)
				switch value {
				case prepend:
					value = b64(append([]byte{0}, raw...))
				case cut:
					value = b64(raw[1:])
				case pad:
					value = old + "="
				case newline:
					value = old[:4] + "\n" + old[4:]
				case "same as q":
					value = jwk["q"]
				case "same as n":
					value = jwk["n"]
				}
				jwk[name] = value
			}
			maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == omit })
			text := marshal(t, jwk)
			if key, err := token.ParseKey(text); err == nil {
				t.Errorf("got %v", key)
			} else if k, _ := jwk["k"].(string); len(k) > 8 && strings.Contains(err.Error(), k) {
				t.Errorf("error %q prints the key", err)
			}
			if keys, err := token.ParseKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, text)); err == nil {
				t.Errorf("as a set: got %v", keys)
			}
		})
	}
}

const prepend, cut, pad, newline = "with a zero byte", "without the first byte", "with padding", "with a newline"

func TestParseKeyAccepts(t *testing.T) {
	for name, change := range map[string]map[string]any{
		"without alg and kid":      {"alg": omit, "kid": omit},
		"without use":              {"use": omit},
		"use and key_ops":          {"key_ops": []string{"sign", "verify"}},
		"key_ops sign":             {"key_ops": []string{"sign"}},
		"unknown members":          {"x5c": []string{"AAAA"}, "x5u": "http://127.0.0.1:9/", "D": "AAAA", "extra": map[string]any{"a": 1}},
		"public only":              {"d": omit},
		"public only with key_ops": {"d": omit, "key_ops": []string{"verify"}},
	} {
		for _, alg := range []token.Algorithm{token.ES256, token.ES384, token.EdDSA} {
			t.Run(fmt.Sprintf("%s %s", alg, name), func(t *testing.T) {
				jwk := jwkOf(t, alg)
				maps.Copy(jwk, change)
				maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == omit })
				key, err := token.ParseKey(marshal(t, jwk))
				if err != nil {
					t.Fatal(err)
				}
				if _, private := jwk["d"]; key.CanSign() != private || key.Algorithm() != alg {
					t.Errorf("got %v, CanSign %v", key, key.CanSign())
				}
				if _, named := jwk["kid"]; !named && len(key.ID()) != 43 {
					t.Errorf("kid %q is no thumbprint", key.ID())
				}
			})
		}
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	one := func(id string, alg token.Algorithm) string {
		jwk, err := newKey(t, id, alg).MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		return string(jwk)
	}
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	p256 := one("a", token.ES256)
	for name, text := range map[string]string{
		"K-05 symmetric and asymmetric":    set(one("a", token.HS256), one("b", token.ES256)),
		"K-06 two keys of one kid":         set(one("a", token.ES256), one("a", token.EdDSA)),
		"K-06 one key twice":               set(p256, p256),
		"J-17 duplicate member":            strings.Replace(p256, `"kty"`, `"alg":"ES256","kty"`, 1),
		"J-18 member in another case":      strings.Replace(p256, `"crv"`, `"Crv"`, 1),
		"K-10 PEM":                         "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"K-10 two PEM blocks":              "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
		"K-10 encrypted JWK":               "eyJhbGciOiJQQkVTMiJ9.AAAA.AAAA.AAAA.AAAA",
		"K-15 empty file":                  "",
		"K-15 truncated file":              p256[:len(p256)-10],
		"K-15 no keys":                     set(),
		"K-15 keys null":                   `{"keys":null}`,
		"K-15 keys an object":              `{"keys":{}}`,
		"K-15 not even an object":          `[]`,
		"K-15 something else":              `{"hello":"world"}`,
		"K-15 one good key and a broken":   set(p256, `{}`),
		"K-15 one good key and a number":   set(p256, `1`),
		"K-15 one good key and an unknown": set(p256, `{"kty":"AKP"}`),
		"too many keys":                    set(strings.Split(strings.Repeat(p256+"\n", 101), "\n")[:101]...),
		"too large":                        set(p256) + strings.Repeat(" ", 256<<10),
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := token.ParseKeySet([]byte(text))
			if err == nil {
				t.Errorf("got %v", keys)
			}
		})
	}
	keys, err := token.ParseKeySet([]byte(set(p256, one("b", token.EdDSA))))
	if err != nil || len(keys) != 2 {
		t.Errorf("two good keys: got %v, %v", keys, err)
	}
	if keys, err := token.ParseKeySet([]byte(p256)); err != nil || len(keys) != 1 {
		t.Errorf("a single JWK: got %v, %v", keys, err)
	}
}
