package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// The benchmarks take turns between us and crypto/* within each iteration, so what the machine does besides falls on
// both; the ratios are what counts. test/peers has the other libraries, and spreads.

var benchmarkAlgorithms = []token.Algorithm{token.ES256, token.EdDSA, token.RS256, token.HS256}

func benchmarkPayload(b *testing.B) []byte {
	return marshal(b, goodClaims(map[string]any{"sid": "01JQ5T7W9Z", "scp": []string{"read", "write"}}))
}

// turns runs the functions alternately and reports the fastest round of each, and ratios to the last.
func turns(b *testing.B, names []string, runs ...func()) {
	const batch = 8
	best := make([]time.Duration, len(runs))
	for b.Loop() {
		for i, run := range runs {
			start := time.Now()
			for range batch {
				run()
			}
			if took := time.Since(start); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	raw := best[len(runs)-1]
	for i, name := range names {
		b.ReportMetric(float64(best[i].Nanoseconds())/batch, name+"-ns")
		if i < len(runs)-1 {
			b.ReportMetric(float64(best[i])/float64(raw), name+"/raw")
		}
	}
	b.ReportMetric(0, "ns/op") // the sum of all says nothing
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

// rawVerify is the check of one signature with crypto/* and nothing of ours, everything that can be prepared prepared.
func rawVerify(b *testing.B, key *token.Key, input, signature []byte) func() {
	var good func() bool
	digest := func() []byte { sum := sha256.Sum256(input); return sum[:] }
	switch public := token.PublicMaterial(key).(type) {
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		must(b, err)
		good = func() bool { return ecdsa.VerifyASN1(public, digest(), der) }
	case ed25519.PublicKey:
		good = func() bool { return ed25519.Verify(public, input, signature) }
	case *rsa.PublicKey:
		good = func() bool { return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest(), signature) == nil }
	case []byte:
		good = func() bool {
			mac := hmac.New(sha256.New, public)
			mac.Write(input)
			return hmac.Equal(mac.Sum(nil), signature)
		}
	}
	return func() {
		if !good() {
			b.Fatal("raw")
		}
	}
}

// rawSign makes one signature with crypto/* and nothing of ours.
func rawSign(b *testing.B, key *token.Key, input []byte) func() {
	digest := func() []byte { sum := sha256.Sum256(input); return sum[:] }
	return func() {
		var err error
		switch private := token.PrivateMaterial(key).(type) {
		case *ecdsa.PrivateKey:
			_, err = ecdsa.SignASN1(rand.Reader, private, digest())
		case ed25519.PrivateKey:
			ed25519.Sign(private, input)
		case *rsa.PrivateKey:
			_, err = rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest())
		case []byte:
			mac := hmac.New(sha256.New, private)
			mac.Write(input)
			mac.Sum(nil)
		}
		must(b, err)
	}
}

// BenchmarkVerify measures Decoder.Decode, which judges all claims, and Ring.Verify.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range benchmarkAlgorithms {
		b.Run(string(alg), func(b *testing.B) {
			key := newKey(b, "k", alg)
			ring := newRing(b, key)
			decoder := newDecoder(b, ring, nil)
			payload := benchmarkPayload(b)
			signed := mustSign(b, ring, testType, payload)
			dot := strings.LastIndexByte(signed, '.')
			raw := rawVerify(b, key, []byte(signed[:dot]), fromB64(b, signed[dot+1:]))
			turns(b, []string{"decode", "verify", "raw"},
				func() {
					_, err := decoder.Decode(signed)
					must(b, err)
				}, func() {
					_, _, err := ring.Verify(signed)
					must(b, err)
				}, raw)
		})
	}
}

// BenchmarkSign measures Encoder.Encode, which also makes the claims, and Ring.Sign.
func BenchmarkSign(b *testing.B) {
	for _, alg := range benchmarkAlgorithms {
		b.Run(string(alg), func(b *testing.B) {
			key := newKey(b, "k", alg)
			ring := newRing(b, key)
			encoder := newEncoder(b, ring)
			payload := benchmarkPayload(b)
			claims := token.Claims{"sub": "user-1", "sid": "01JQ5T7W9Z", "scp": []string{"read", "write"}}
			input := []byte(b64(payload))
			turns(b, []string{"encode", "sign", "raw"},
				func() {
					_, err := encoder.Encode(claims, time.Minute)
					must(b, err)
				}, func() {
					_, err := ring.Sign(testType, payload)
					must(b, err)
				}, rawSign(b, key, input))
		})
	}
}

// BenchmarkGarbage is what a flood of tokens costs that are refused before any signature is checked.
func BenchmarkGarbage(b *testing.B) {
	ring := newRing(b, newKey(b, "k", token.ES256))
	good := mustSign(b, ring, testType, benchmarkPayload(b))
	for name, raw := range map[string]string{
		"random text": "eyJnYXJiYWdl", "dots": "................", "oversized": good + string(make([]byte, token.MaxSize)), "unknown kid": signHeader(b, newKey(b, "x", token.ES256), `{"alg":"ES256","kid":"x","typ":"at+jwt"}`),
		"alg none": b64([]byte(`{"alg":"none"}`)) + ".e30.AA", "short signature": good[:len(good)-2],
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := ring.Verify(raw); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
