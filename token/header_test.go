package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar/token"
)

// The quick ways agree with the strict ones, and what is refused costs little.

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
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := ring.Verify(raw); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
