package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

var allAlgorithms = []token.Algorithm{
	token.ES256, token.ES384, token.EdDSA, token.RS256, token.RS384, token.RS512, token.PS256, token.HS256,
}

const (
	testIssuer   = "https://id.example"
	testAudience = "https://api.example"
	testType     = "at+jwt"
)

var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func clock() time.Time { return testNow }

// rsaKey is the one RSA key of the tests: making one takes a while under the race detector.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, token.TestRSABits)
	if err != nil {
		panic(err)
	}
	return key
})

// keyCache keeps one key per algorithm and kid.
var keyCache sync.Map

func newKey(tb testing.TB, id string, alg token.Algorithm) *token.Key {
	tb.Helper()
	if key, ok := keyCache.Load(id + " " + string(alg)); ok {
		return key.(*token.Key)
	}
	var material any
	var err error
	switch alg {
	case token.ES256:
		material, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case token.ES384:
		material, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case token.EdDSA:
		_, material, err = ed25519.GenerateKey(rand.Reader)
	case token.HS256:
		material = []byte(rand.Text() + rand.Text())
	default:
		material = rsaKey()
	}
	if err != nil {
		tb.Fatal(err)
	}
	key, err := token.NewKey(id, alg, material)
	if err != nil {
		tb.Fatal(err)
	}
	kept, _ := keyCache.LoadOrStore(id+" "+string(alg), key)
	return kept.(*token.Key)
}

func newRing(tb testing.TB, signing *token.Key, verifying ...*token.Key) *token.Ring {
	tb.Helper()
	ring, err := token.NewRing(signing, verifying...)
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}

func newDecoder(tb testing.TB, keys token.KeySet, change func(*token.DecoderConfig)) *token.Decoder {
	tb.Helper()
	config := token.DecoderConfig{Keys: keys, Type: testType, Issuer: testIssuer, Audience: testAudience, Now: clock}
	if change != nil {
		change(&config)
	}
	decoder, err := token.NewDecoder(config)
	if err != nil {
		tb.Fatal(err)
	}
	return decoder
}

func newEncoder(tb testing.TB, ring *token.Ring) *token.Encoder {
	tb.Helper()
	encoder, err := token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: testType, Issuer: testIssuer, Audience: testAudience, Now: clock,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return encoder
}

// goodClaims are accepted by newDecoder; change may spoil them. A value of omit removes the member.
func goodClaims(change map[string]any) map[string]any {
	claims := map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "user-1", "jti": "token-1",
		"iat": testNow.Unix(), "nbf": testNow.Unix(), "exp": testNow.Unix() + 300,
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == omit })
	return claims
}

type omitted struct{}

var omit any = omitted{}

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func mustSign(tb testing.TB, ring *token.Ring, typ string, payload []byte) string {
	tb.Helper()
	raw, err := ring.Sign(typ, payload)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func wantError(tb testing.TB, got, want error) {
	tb.Helper()
	if !errors.Is(got, want) {
		tb.Errorf("got %v, want %v", got, want)
	}
}

// wantRefused checks that both entry points refuse raw, tell nothing and leave no claims behind.
func wantRefused(tb testing.TB, ring *token.Ring, raw string, want error) {
	tb.Helper()
	header, payload, err := ring.Verify(raw)
	if header != (token.Header{}) || payload != nil {
		tb.Errorf("a refused token gave %v, %q", header, payload)
	}
	wantError(tb, err, want)
	claims, err := newDecoder(tb, ring, nil).Decode(raw)
	if claims != nil {
		tb.Errorf("a refused token gave claims %v", claims)
	}
	wantError(tb, err, want)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func fromB64(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestEveryAlgorithmSignsAndVerifies(t *testing.T) {
	for _, alg := range allAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := newKey(t, "key-1", alg)
			ring := newRing(t, key)
			raw, err := newEncoder(t, ring).Encode(token.Claims{"sub": "user-1", "n": 12345678901234567}, 5*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := newDecoder(t, ring, nil).Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			if claims.String("sub") != "user-1" || claims["n"] != json.Number("12345678901234567") {
				t.Errorf("got %v", claims)
			}
			header, _, err := ring.Verify(raw)
			if want := (token.Header{Algorithm: alg, KeyID: "key-1", Type: testType}); err != nil || header != want {
				t.Errorf("got header %v, %v, want %v", header, err, want)
			}
			if alg == token.HS256 {
				return
			}
			published, err := token.ParseKeySet(ring.JWKS())
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := newRing(t, nil, published...).Verify(raw); err != nil {
				t.Errorf("the published key set does not verify: %v", err)
			}
		})
	}
}

func TestEncoderFillsReservedClaims(t *testing.T) {
	encoder := newEncoder(t, newRing(t, newKey(t, "k", token.ES256)))
	mine := token.Claims{"sub": "u", "aud": []string{"a", "b"}}
	full, err := encoder.Complete(mine, 90*time.Second+999*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(mine) != 2 {
		t.Errorf("the caller's map was changed: %v", mine)
	}
	iat, _ := full.Int("iat")
	nbf, _ := full.Int("nbf")
	exp, _ := full.Int("exp")
	if iat != testNow.Unix() || nbf != iat || exp != iat+90 {
		t.Errorf("got iat %d nbf %d exp %d, want whole seconds, rounded down", iat, nbf, exp)
	}
	if full.String("iss") != testIssuer || fmt.Sprint(full.Audience()) != "[a b]" {
		t.Errorf("got iss %q aud %v", full.String("iss"), full.Audience())
	}
	if len(full.String("jti")) < 26 { // 26 characters of base32 are 130 bits
		t.Errorf("jti %q has under 128 random bits", full.String("jti"))
	}
	for _, name := range []string{"iat", "nbf", "exp", "jti"} {
		for _, value := range []any{nil, 1, "x"} {
			_, err := encoder.Encode(token.Claims{name: value}, time.Minute)
			var refused *token.ClaimError
			if !errors.As(err, &refused) || refused.Claim != name {
				t.Errorf("override of %s: got %v", name, err)
			}
		}
	}
	for _, lifetime := range []time.Duration{-time.Hour, 0, 999 * time.Millisecond} {
		if _, err := encoder.Encode(token.Claims{}, lifetime); err == nil {
			t.Errorf("lifetime %v was accepted", lifetime)
		}
	}
}

func TestEncoderRefusesWhatNoDecoderWouldTake(t *testing.T) {
	encoder := newEncoder(t, newRing(t, newKey(t, "k", token.ES256)))
	for name, claims := range map[string]token.Claims{
		"C-09 empty sub":             {"sub": ""},
		"C-09 numeric sub":           {"sub": 7},
		"C-09 control characters":    {"sub": "a\nb"},
		"C-05 empty iss":             {"iss": ""},
		"C-06 empty aud":             {"aud": []string{}},
		"C-06 aud with a number":     {"aud": []any{"a", 1}},
		"J-19 text that is not UTF8": {"name": "a\xffb"},
		"J-19 name that is not UTF8": {"a\xffb": 1},
		"J-19 NUL":                   {"name": "a\x00b"},
		"what JSON cannot write":     {"f": func() {}},
		"duplicates in raw JSON":     {"raw": json.RawMessage(`{"a":1,"a":2}`)},
		"J-21 deep nesting":          {"raw": json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))},
		"too large":                  {"name": strings.Repeat("x", token.MaxSize)},
	} {
		t.Run(name, func(t *testing.T) {
			if raw, err := encoder.Encode(claims, time.Minute); err == nil || raw != "" {
				t.Errorf("got %q, %v, want an error", raw, err)
			}
		})
	}
	_, err := encoder.Encode(token.Claims{"x": strings.Repeat("x", token.MaxSize)}, time.Minute)
	wantError(t, err, token.ErrTooLarge)
	for _, harmless := range []string{`a\ufffdb`, `\\ufffd`, "\ufffd", `<&>`, "\u2028"} {
		if _, err := encoder.Encode(token.Claims{"x": harmless}, time.Minute); err != nil {
			t.Errorf("%q: %v", harmless, err)
		}
	}
}

func rules(rule token.Rule) map[string]token.Rule { return map[string]token.Rule{"x": rule} }

func TestConcurrentUse(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.EdDSA))
	encoder, decoder := newEncoder(t, ring), newDecoder(t, ring, nil)
	var wait sync.WaitGroup
	for worker := range 16 {
		wait.Go(func() {
			for i := range 20 {
				sub := fmt.Sprintf("user-%d-%d", worker, i)
				raw, err := encoder.Encode(token.Claims{"sub": sub}, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				claims, err := decoder.Decode(raw)
				if err != nil || claims.String("sub") != sub {
					t.Errorf("got %q, %v, want %q", claims.String("sub"), err, sub)
				}
				_ = ring.JWKS()
			}
		})
	}
	wait.Wait()
}
