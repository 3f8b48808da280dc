package token_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenjar/tokenjar/token"
)

// The benchmarks take turns between us, go-jose and the bare signature primitive within each iteration, so what the
// machine does besides falls on all three; the ratios are what counts.

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

// BenchmarkVerify compares Decoder.Decode, which also judges all claims, with go-jose's parse, verify and JSON
// decoding of the claims.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range benchmarkAlgorithms {
		b.Run(string(alg), func(b *testing.B) {
			key := newKey(b, "k", alg)
			ring := newRing(b, key)
			decoder := newDecoder(b, ring, nil)
			payload := benchmarkPayload(b)
			signed := mustSign(b, ring, testType, payload)
			signature := make([]byte, token.SignatureSize(key))
			dot := len(signed) - len(b64(signature)) - 1
			input, signature := []byte(signed[:dot]), fromB64(b, signed[dot+1:])
			public, allowed := token.PublicMaterial(key), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}
			turns(b, []string{"decode", "verify", "gojose", "raw"},
				func() {
					_, err := decoder.Decode(signed)
					must(b, err)
				}, func() {
					_, _, err := ring.Verify(signed)
					must(b, err)
				}, func() {
					jws, err := jose.ParseSignedCompact(signed, allowed)
					must(b, err)
					verified, err := jws.Verify(public)
					must(b, err)
					var claims map[string]any
					must(b, json.Unmarshal(verified, &claims))
				}, func() {
					if !token.VerifyPrimitive(key, input, signature) {
						b.Fatal("raw")
					}
				})
		})
	}
}

// BenchmarkSign compares Encoder.Encode, which also makes the claims, and Ring.Sign with go-jose's signer.
func BenchmarkSign(b *testing.B) {
	for _, alg := range benchmarkAlgorithms {
		b.Run(string(alg), func(b *testing.B) {
			key := newKey(b, "k", alg)
			ring := newRing(b, key)
			encoder := newEncoder(b, ring)
			payload := benchmarkPayload(b)
			claims := token.Claims{"sub": "user-1", "sid": "01JQ5T7W9Z", "scp": []string{"read", "write"}}
			options := (&jose.SignerOptions{}).WithType(testType).WithHeader("kid", "k")
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: token.PrivateMaterial(key)}, options)
			must(b, err)
			turns(b, []string{"encode", "sign", "gojose", "raw"},
				func() {
					_, err := encoder.Encode(claims, time.Minute)
					must(b, err)
				}, func() {
					_, err := ring.Sign(testType, payload)
					must(b, err)
				}, func() {
					jws, err := signer.Sign(payload)
					must(b, err)
					_, err = jws.CompactSerialize()
					must(b, err)
				}, func() {
					_, err := token.SignPrimitive(key, payload)
					must(b, err)
				})
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
