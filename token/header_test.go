package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar/token"
)

// Group J again: what a header may say. The quick ways agree with the strict ones, and what is refused costs little.

// FuzzHeader: whatever the plain way of reading a header says, the strict way says too; and Verify reads what the strict way
// reads of the decoded text, no more and no less.
func FuzzHeader(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		want, wantKeyID, wantOK := token.StrictHeader(text)
		if h, hasKeyID, ok := token.PlainHeader(text); ok && (!wantOK || h != want || hasKeyID != wantKeyID) {
			t.Fatalf("the plain way reads %v %v, the strict way %v %v, %v", h, hasKeyID, want, wantKeyID, wantOK)
		}
		if h, hasKeyID, ok := token.ReadHeader(b64([]byte(text))); ok != wantOK || h != want || hasKeyID != wantKeyID {
			t.Fatalf("Verify reads %v %v, %v, the strict way %v %v, %v", h, hasKeyID, ok, want, wantKeyID, wantOK)
		}
		// As an encoded header, it has one spelling or none.
		if _, _, ok := token.ReadHeader(text); ok {
			decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
			if err != nil || b64(decoded) != text {
				t.Fatalf("%q was read, but is not how it is written", text)
			}
		}
	})
}

func TestPlainHeadersAreReadThePlainWay(t *testing.T) {
	for text, plain := range map[string]bool{
		`{"alg":"ES256","kid":"k","typ":"at+jwt"}`: true,
		`{"typ":"JWT","alg":"HS256"}`:              true,
		`{"alg":""}`:                               true,
		`{"alg":"none","kid":""}`:                  true,
		`{"kid":"k","typ":"at+jwt"}`:               false, // no alg
		`{"alg":"ES256","alg":"ES256"}`:            false,
		`{"alg":"ES256","kid":"a","kid":"a"}`:      false,
		`{"alg":"ES256","typ":"a","typ":"a"}`:      false,
		`{"alg":"ES256","x":"y"}`:                  false,
		`{"alg":"ES256","kid":"\u006b"}`:           false,
		`{"alg":"ES256","kid":"é"}`:                false,
		"{\"alg\":\"ES256\",\"kid\":\"\x7f\"}":     false,
		"{\"alg\":\"ES256\",\"kid\":\"\x00\"}":     false,
		`{"alg":"ES256","kid":1}`:                  false,
		`{"alg":"ES256", "kid":"k"}`:               false,
		`{"alg":"ES256"} `:                         false,
		`{"alg":"ES256"}x`:                         false,
		`{"alg":"ES256",}`:                         false,
		`{"alg":"ES256"`:                           false,
		`{"alg":"ES256","kid":"k}`:                 false,
		`{}`:                                       false, `{`: false, ``: false, `{"alg":"`: false, `["alg":"ES256"]`: false,
	} {
		if _, _, ok := token.PlainHeader(text); ok != plain {
			t.Errorf("%s: got %v", text, ok)
		}
	}
	for _, alg := range allAlgorithms { // ours are
		raw := mustSign(t, newRing(t, newKey(t, "k", alg)), testType, nil)
		header := fromB64(t, raw[:strings.IndexByte(raw, '.')])
		if h, _, ok := token.PlainHeader(string(header)); !ok || h.Algorithm != alg || h.KeyID != "k" || h.Type != testType {
			t.Errorf("%s: %v, %v", header, h, ok)
		}
	}
}

func TestPlainClaimsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	written := 0
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom([]string{"", "sub", "user-1", "<&>", "a\"b", `a\b`, "a\nb", "é", "\u2028", "\xff", "\x7f", "https://id.example/"}), rapid.String())
		value := rapid.OneOf(
			rapid.Map(text, func(s string) any { return s }),
			rapid.Map(rapid.Int64(), func(n int64) any { return n }),
			rapid.Map(rapid.Int(), func(n int) any { return n }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }),
			rapid.Map(rapid.SliceOf(text), func(list []string) any { return list }),
			rapid.SampledFrom([]any{nil, []string(nil), []string{}, json.Number("0"), json.Number("12"), json.Number("012"), json.Number("1.5"), json.Number("-1"),
				json.Number(""), json.Number("x"), json.Number("1234567890123456789"), json.Number("1e3"), 1.5, []any{"a"}, map[string]any{}, json.RawMessage("1")}),
		)
		claims := token.Claims(rapid.MapOfN(text, value, 0, 30).Draw(t, "claims"))
		got, ok := token.PlainClaims(claims)
		if !ok {
			return
		}
		written++
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(claims); err != nil || strings.TrimSuffix(buffer.String(), "\n") != string(got) {
			t.Fatalf("got %s, encoding/json %s, %v", got, buffer.String(), err)
		}
		if read, err := token.ReadClaims(got); len(got) <= token.MaxSize && (err != nil || len(read) != len(claims)) {
			t.Fatalf("%s does not come back: %v", got, err)
		}
	})
	if written == 0 {
		t.Error("nothing was written the plain way")
	}
	if _, ok := token.PlainClaims(nil); ok {
		t.Error("no map at all is null to encoding/json")
	}
}

func TestJ17StrictHeader(t *testing.T) {
	key := newKey(t, "k", token.HS256)
	ring := newRing(t, key, newKey(t, "other", token.HS256))
	for name, header := range map[string]string{
		"J-17 duplicate header member, good one first": `{"alg":"HS256","alg":"none","kid":"k","typ":"at+jwt"}`,
		"J-17 duplicate header member, good one last":  `{"alg":"none","alg":"HS256","kid":"k","typ":"at+jwt"}`,
		"J-17 duplicate header member, equal":          `{"alg":"HS256","kid":"k","kid":"k","typ":"at+jwt"}`,
		"J-17 duplicate header member, escaped":        `{"alg":"HS256","kid":"k","k\u0069d":"x","typ":"at+jwt"}`,
		"J-17 duplicate in a nested header object":     `{"alg":"HS256","kid":"k","typ":"at+jwt","x":{"a":1,"a":2}}`,
		"J-18 long s and Kelvin sign: no alg":          `{"aLg":"HS256","Kid":"k","typ":"at+jwt"}`,
		"J-18 full-width letters: no alg":              `{"ａｌｇ":"HS256","kid":"k","typ":"at+jwt"}`,
		"J-18 upper case: no alg":                      `{"ALG":"HS256","kid":"k","typ":"at+jwt"}`,
		"J-19 invalid UTF-8":                           "{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}",
		"J-19 invalid UTF-8 in kid":                    "{\"alg\":\"HS256\",\"kid\":\"k\xff\",\"typ\":\"at+jwt\"}",
		"J-19 lone surrogate":                          `{"alg":"HS256","kid":"k","typ":"at+jwt","x":"\ud800"}`,
		"J-19 byte order mark":                         "\ufeff" + `{"alg":"HS256","kid":"k","typ":"at+jwt"}`,
		"J-19 NUL":                                     `{"alg":"HS256","kid":"k\u0000","typ":"at+jwt"}`,
		"J-21 deep nesting":                            `{"alg":"HS256","kid":"k","typ":"at+jwt","x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`,
		"header over 2 KiB":                            `{"alg":"HS256","kid":"k","typ":"at+jwt","x":"` + strings.Repeat("x", 2048) + `"}`,
		"trailing text":                                `{"alg":"HS256","kid":"k","typ":"at+jwt"}x`,
		"no object":                                    `["HS256"]`,
		"kid that is no text":                          `{"alg":"HS256","kid":1,"typ":"at+jwt"}`,
		"typ that is no text":                          `{"alg":"HS256","kid":"k","typ":["at+jwt"]}`,
		"typ null":                                     `{"alg":"HS256","kid":"k","typ":null}`,
		"crit naming nothing":                          `{"alg":"HS256","kid":"k","typ":"at+jwt","crit":[]}`,
		"crit naming an extension":                     `{"alg":"HS256","kid":"k","typ":"at+jwt","crit":["exp"],"exp":1}`,
		"crit naming b64":                              `{"alg":"HS256","kid":"k","typ":"at+jwt","crit":["b64"],"b64":false}`,
		"b64 without crit":                             `{"alg":"HS256","kid":"k","typ":"at+jwt","b64":false}`,
		"b64 true":                                     `{"alg":"HS256","kid":"k","typ":"at+jwt","b64":true}`,
		"J-15 p2c of a key derivation":                 `{"alg":"HS256","kid":"k","typ":"at+jwt","p2c":2147483647}`,
		"J-14 epk of a key agreement":                  `{"alg":"HS256","kid":"k","typ":"at+jwt","epk":{}}`,
		"J-14 zip":                                     `{"alg":"HS256","kid":"k","typ":"at+jwt","zip":"DEF"}`,
		"J-14 enc":                                     `{"alg":"HS256","kid":"k","typ":"at+jwt","enc":"A256GCM"}`,
		"J-23 cty JWT":                                 `{"alg":"HS256","kid":"k","typ":"at+jwt","cty":"JWT"}`,
		"J-23 cty jwt":                                 `{"alg":"HS256","kid":"k","typ":"at+jwt","cty":"jwt"}`,
		"J-23 cty application/jwt":                     `{"alg":"HS256","kid":"k","typ":"at+jwt","cty":"application/jwt"}`,
		"K-02 jku":                                     `{"alg":"HS256","kid":"k","typ":"at+jwt","jku":"http://127.0.0.1:9/jwks"}`,
		"K-02 x5u":                                     `{"alg":"HS256","kid":"k","typ":"at+jwt","x5u":"http://127.0.0.1:9/cert"}`,
		"K-02 x5c":                                     `{"alg":"HS256","kid":"k","typ":"at+jwt","x5c":["AAAA"]}`,
		"K-02 jwk":                                     `{"alg":"HS256","kid":"k","typ":"at+jwt","jwk":{"kty":"oct","k":"AAAA"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, ring, signHeader(t, key, header), token.ErrMalformed)
		})
	}
	for name, header := range map[string]string{
		"unknown members are ignored":        `{"x":{"y":[1]},"alg":"HS256","kid":"k","typ":"at+jwt","x5t":"AAAA"}`,
		"members that only look like alg":    `{"ALG":"none","Alg":"none","ａｌｇ":"none","alg":"HS256","kid":"k","typ":"at+jwt"}`,
		"blanks between members":             "{ \"alg\" : \"HS256\",\r\n\t\"kid\":\"k\",\"typ\":\"at+jwt\"}",
		"J-10 C-10 role and sub in a header": `{"alg":"HS256","kid":"k","typ":"at+jwt","role":"admin","sub":"root"}`,
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := newDecoder(t, ring, nil).Decode(signHeader(t, key, header))
			if err != nil {
				t.Fatal(err)
			}
			if claims.String("sub") != "user-1" || claims["role"] != nil {
				t.Errorf("the header reached the claims: %v", claims)
			}
		})
	}
}

func TestJ22TypeIsExact(t *testing.T) {
	key := newKey(t, "k", token.HS256)
	ring := newRing(t, key)
	for _, typ := range []string{``, `"typ":"",`, `"typ":"JWT",`, `"typ":"AT+JWT",`, `"typ":"at+JWT",`, `"typ":"application/at+jwt",`,
		`"typ":"rt+jwt",`, `"typ":"refresh+jwt",`, `"typ":"dpop+jwt",`, `"typ":" at+jwt",`, `"typ":"at+jwt ",`, `"typ":"at+jwt;v=1",`} {
		raw := signHeader(t, key, `{`+typ+`"alg":"HS256","kid":"k"}`)
		t.Run("J-22 "+typ, func(t *testing.T) {
			claims, err := newDecoder(t, ring, nil).Decode(raw)
			wantError(t, err, token.ErrType)
			if claims != nil {
				t.Errorf("got claims %v", claims)
			}
			any := newDecoder(t, ring, func(c *token.DecoderConfig) { c.Type = token.AnyType })
			if _, err := any.Decode(raw); err != nil {
				t.Errorf("AnyType: %v", err)
			}
		})
	}
}

func TestJ23NestedToken(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	inner := mustSign(t, ring, testType, marshal(t, goodClaims(nil)))
	for name, payload := range map[string]string{"bare": inner, "as a JSON string": `"` + inner + `"`} {
		t.Run("J-23 valid inner token, "+name, func(t *testing.T) {
			_, err := newDecoder(t, ring, nil).Decode(mustSign(t, ring, testType, []byte(payload)))
			wantError(t, err, token.ErrMalformed)
		})
	}
}

// malformed are tokens that are refused before any signature is checked, of every kind a flood may have.
func malformed(tb testing.TB) (*token.Ring, map[string]string) {
	key := newKey(tb, "k", token.ES256)
	ring := newRing(tb, key, newKey(tb, "k2", token.EdDSA))
	good := mustSign(tb, ring, testType, marshal(tb, goodClaims(map[string]any{"sid": "01JQ5T7W9Z", "scp": []string{"read", "write"}})))
	rest := good[strings.IndexByte(good, '.'):]
	return ring, map[string]string{
		"empty": "", "random text": "eyJnYXJiYWdl", "random text with dots": "4f9aK2.d0lQzz8Rk-_x.uVwXyZ01", "dots": "................",
		"8 kB of dots": strings.Repeat(".", 8000), "oversized": good + string(make([]byte, token.MaxSize)),
		"alg none":          b64([]byte(`{"alg":"none"}`)) + rest,
		"unknown kid":       b64([]byte(`{"alg":"ES256","kid":"x","typ":"at+jwt"}`)) + rest,
		"no kid":            b64([]byte(`{"alg":"ES256","typ":"at+jwt"}`)) + rest,
		"wrong alg for kid": b64([]byte(`{"alg":"HS256","kid":"k","typ":"at+jwt"}`)) + rest,
		"short signature":   good[:len(good)-2],
		"bad JSON header":   b64([]byte(`{"alg":"ES256","kid":"k","typ"`)) + rest,
		"duplicate member":  b64([]byte(`{"alg":"ES256","alg":"none","kid":"k"}`)) + rest,
		"embedded jwk":      b64([]byte(`{"alg":"ES256","kid":"k","jwk":{"kty":"oct","k":"AAAA"}}`)) + rest,
		"huge header":       b64([]byte(`{"alg":"ES256","kid":"k","x":"`+strings.Repeat("x", 4000)+`"}`)) + rest,
		"header not base64": "e!" + rest,
	}
}

func TestWhatIsMalformedCostsFewAllocations(t *testing.T) { // J-11
	ring, tokens := malformed(t)
	for name, raw := range tokens {
		if _, _, err := ring.Verify(raw); !errors.Is(err, token.ErrMalformed) && !errors.Is(err, token.ErrSignature) {
			t.Errorf("%s: got %v", name, err)
		}
		if n := testing.AllocsPerRun(50, func() { _, _, _ = ring.Verify(raw) }); n > 8 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkMalformed is what each of a flood costs. The last one is the dearest header that is read at all.
func BenchmarkMalformed(b *testing.B) {
	ring, tokens := malformed(b)
	many := `{"alg":"ES256","kid":"x"`
	for i := 0; len(many) < 1500; i++ {
		many += `,"` + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `":1`
	}
	tokens["the dearest header"] = b64([]byte(many+"}")) + ".e30.AAAA"
	for name, raw := range tokens {
		b.Run(name, func(b *testing.B) {
			const batch = 100
			best := time.Duration(math.MaxInt64)
			for b.Loop() {
				start := time.Now()
				for range batch {
					if _, _, err := ring.Verify(raw); err == nil {
						b.Fatal("accepted")
					}
				}
				best = min(best, time.Since(start))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(best)/batch, "ns-min")
		})
	}
}
