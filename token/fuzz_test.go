package token_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenjar/tokenjar/token"
)

// headerSeeds and payloadSeeds are the catalogue's inputs, for targets that sign them.
var headerSeeds = []string{
	`{"alg":"HS256","kid":"k","typ":"at+jwt"}`, `{"alg":"none"}`, `{"alg":"HS256","alg":"none"}`, `{"alg":"HS256","crit":["b64"],"b64":false}`,
	`{"alg":"HS256","jku":"http://127.0.0.1:9/"}`, `{"aLg":"HS256"}`, `{"\u0061lg":"HS256"}`, `{}`, `[]`, ``, `null`, "\ufeff{}", `{"alg":"HS256","x":[[[[[]]]]]}`,
}

var tokenSeeds = []string{
	"", ".", "..", "...", "a.b.c", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "e30.e30.A", "e30.e30.AB=",
	"e30\n.e30.AA", "eyJhbGciOiJIUzI1NiJ9..AA", `{"payload":"e30","signatures":[]}`, "e30.e30.e30.e30.e30", strings.Repeat(".", 9000),
}

// FuzzTokenParse: no panic, bounded memory, and what parses has one spelling.
func FuzzTokenParse(f *testing.F) {
	for _, seed := range tokenSeeds {
		f.Add(seed)
	}
	for _, header := range headerSeeds {
		f.Add(b64([]byte(header)) + ".e30.AAAA")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var before, after runtime.MemStats
		if len(raw) > 1024 { // reading the counters stops the world, so small inputs go without
			runtime.ReadMemStats(&before)
		}
		again, ok := token.Parse(raw)
		if len(raw) > 1024 {
			runtime.ReadMemStats(&after)
			// The slack is for the set of names of a header of many members, which is bounded by the header's size.
			if used := after.TotalAlloc - before.TotalAlloc; used > 4*uint64(len(raw))+16<<10 {
				t.Fatalf("%d bytes of token cost %d bytes of memory", len(raw), used)
			}
		}
		if ok && again != raw {
			t.Fatalf("parses, but is written %q", again)
		}
		if ok && len(raw) > token.MaxSize {
			t.Fatalf("%d bytes were parsed", len(raw))
		}
	})
}

// FuzzTokenVerify: whatever is done to a token, it verifies only as it was.
func FuzzTokenVerify(f *testing.F) {
	var rings []*token.Ring
	var tokens []string
	for _, alg := range []token.Algorithm{token.HS256, token.EdDSA, token.ES256} {
		ring := newRing(f, newKey(f, "k", alg))
		rings = append(rings, ring)
		tokens = append(tokens, mustSign(f, ring, testType, marshal(f, goodClaims(nil))))
	}
	for which := range tokens {
		f.Add(uint8(which), uint16(0), uint16(0), "")
		f.Add(uint8(which), uint16(3), uint16(1), "\n")
		f.Add(uint8(which), uint16(20), uint16(0), "=")
		f.Add(uint8(which), uint16(60), uint16(2), "..")
		f.Add(uint8(which), uint16(65535), uint16(1), "A")
		f.Add(uint8(which), uint16(0), uint16(65535), tokens[which])
		f.Add(uint8(which), uint16(0), uint16(65535), tokens[(which+1)%len(tokens)])
	}
	f.Fuzz(func(t *testing.T, which uint8, at, length uint16, insert string) {
		original, ring := tokens[int(which)%len(tokens)], rings[int(which)%len(rings)]
		start := min(int(at), len(original))
		end := min(start+int(length), len(original))
		raw := original[:start] + insert + original[end:]
		header, payload, err := ring.Verify(raw)
		if err != nil && (header != token.Header{} || payload != nil) {
			t.Fatalf("refused, but gave %v %q", header, payload)
		}
		if err != nil && !errors.Is(err, token.ErrMalformed) && !errors.Is(err, token.ErrSignature) {
			t.Fatalf("got %v", err)
		}
		if err == nil && raw != original {
			if ring == rings[2] && raw == highSTwin(t, original) {
				return
			}
			t.Fatalf("%q verifies, %q was signed", raw, original)
		}
	})
}

// FuzzClaims signs any payload; what the decoder accepts, a slow checker over json.Decoder tokens and big rationals
// accepts too.
func FuzzClaims(f *testing.F) {
	key := newKey(f, "k", token.HS256)
	ring := newRing(f, key)
	const leeway, early = 5, 10
	decoder := newDecoder(f, ring, func(c *token.DecoderConfig) {
		c.Leeway, c.EarlyLeeway = leeway*time.Second, early*time.Second
		c.Rules = map[string]token.Rule{"scope": {Essential: true, Values: []any{"read", "write"}}, "tenant": {Value: 7}}
	})
	good := goodClaims(map[string]any{"scope": "read", "tenant": 7})
	f.Add(marshal(f, good))
	for _, change := range []map[string]any{
		{"exp": omit}, {"exp": raw("1e400")}, {"exp": raw("1772600772.5")}, {"exp": testNow.Unix() - 5}, {"exp": testNow.Unix() - 4}, {"nbf": testNow.Unix() + 11},
		{"aud": []string{"a", testAudience}}, {"aud": []any{testAudience, 1}}, {"aud": nil}, {"iss": testIssuer + "/"}, {"sub": ""}, {"sub": 7}, {"scope": []string{"x", "write"}},
		{"tenant": raw("7.0")}, {"tenant": omit}, {"tenant": nil}, {"jti": "a\nb"}, {"x": raw(`{"a":[1,2,{"b":null}]}`)}, {"iat": raw("0.5")},
	} {
		seed := goodClaims(good)
		for name, value := range change {
			seed[name] = value
		}
		f.Add(marshal(f, goodClaims(seed)))
	}
	f.Add([]byte(`{"exp":9999999999,"exp":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		signed, err := ring.Sign(testType, payload)
		if err != nil {
			return
		}
		claims, err := decoder.Decode(signed)
		if err != nil {
			if claims != nil {
				t.Fatalf("refused, but gave %v", claims)
			}
			return
		}
		if reason := slowJudge(payload, leeway, early); reason != "" {
			t.Fatalf("accepted, but a slow checker says: %s", reason)
		}
	})
}

// slowJudge says why the claims must be refused, "" if it knows no reason. It shares no code with the package.
func slowJudge(payload []byte, leeway, early int64) string {
	if !utf8.Valid(payload) || bytes.Contains(payload, []byte(`\u0000`)) && !bytes.Contains(payload, []byte(`\\u0000`)) {
		return "not plain text"
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return "not an object"
	}
	claims := make(map[string]any)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return "syntax"
		}
		if _, twice := claims[name.(string)]; twice {
			return "duplicate"
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return "syntax"
		}
		claims[name.(string)] = value
	}
	text := func(name string) string { s, _ := claims[name].(string); return s }
	if text("iss") != testIssuer {
		return "iss"
	}
	audience := false
	switch aud := claims["aud"].(type) {
	case string:
		audience = aud == testAudience
	case []any:
		for _, one := range aud {
			if _, isText := one.(string); !isText {
				return "aud holds something else"
			}
			audience = audience || one == testAudience
		}
	}
	if !audience {
		return "aud"
	}
	if sub, present := claims["sub"]; present {
		s, isText := sub.(string)
		if !isText || s == "" || len(s) > 255 {
			return "sub"
		}
		for _, r := range s {
			if unicode.Is(unicode.Cc, r) {
				return "sub has control characters"
			}
		}
	}
	allowed := func(value any) bool { return value == "read" || value == "write" }
	scope := allowed(claims["scope"])
	if list, ok := claims["scope"].([]any); ok {
		for _, one := range list {
			if s, isText := one.(string); isText && allowed(s) {
				scope = true
			}
		}
	}
	if !scope {
		return "scope"
	}
	if tenant, present := claims["tenant"]; present && tenant != json.Number("7") {
		list, _ := tenant.([]any)
		found := false
		for _, one := range list {
			found = found || one == json.Number("7")
		}
		if !found {
			return "tenant"
		}
	}
	date := func(name string) *big.Rat {
		n, ok := claims[name].(json.Number)
		if !ok || len(n) > 1000 || strings.ContainsAny(string(n), "eE-") {
			return nil
		}
		rat, _ := new(big.Rat).SetString(string(n))
		return rat
	}
	now := new(big.Rat).SetInt64(testNow.Unix())
	exp := date("exp")
	if exp == nil || exp.Add(exp, new(big.Rat).SetInt64(leeway)).Cmp(now) <= 0 || exp.Cmp(new(big.Rat).SetInt64(253402300800+leeway)) >= 0 {
		return "exp"
	}
	// Digits below a nanosecond are cut, so a start may lie that much beyond the leeway.
	latest := new(big.Rat).Add(now, new(big.Rat).SetFrac64(early*1_000_000_000+1, 1_000_000_000))
	for _, name := range []string{"nbf", "iat"} {
		if _, present := claims[name]; present {
			if start := date(name); start == nil || start.Cmp(latest) >= 0 {
				return name
			}
		}
	}
	return ""
}

// FuzzKeySet: what is loaded meets the policy, signs and verifies, and comes back from its own JWK.
func FuzzKeySet(f *testing.F) {
	for _, alg := range allAlgorithms {
		jwk, err := newKey(f, "k", alg).MarshalPrivate()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(jwk)
		f.Add([]byte(`{"keys":[` + string(jwk) + `]}`))
		if alg != token.HS256 {
			f.Add(newRing(f, newKey(f, "k", alg)).JWKS())
		}
	}
	for _, seed := range []string{`{"keys":[]}`, `{"keys":[{}]}`, `{"kty":"oct","alg":"HS256","kid":"k","k":""}`, `{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, `null`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := token.ParseKeySet(data)
		if err != nil {
			if keys != nil {
				for _, key := range keys {
					_ = key.String()
				}
				t.Fatal("refused, but gave keys")
			}
			return
		}
		if _, err := token.NewRing(nil, keys...); err != nil {
			t.Fatalf("the set was loaded, but makes no ring: %v", err)
		}
		for _, key := range keys {
			var material any = token.PublicMaterial(key)
			if key.CanSign() {
				material = token.PrivateMaterial(key)
			}
			if _, err := token.NewKey(key.ID(), key.Algorithm(), material); err != nil {
				t.Fatalf("loaded against the policy: %v", err)
			}
			if !key.CanSign() {
				continue
			}
			ring := newRing(t, key)
			if _, _, err := ring.Verify(mustSign(t, ring, testType, []byte("x"))); err != nil {
				t.Fatalf("%v does not verify its own signature: %v", key, err)
			}
			jwk, err := key.MarshalPrivate()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := token.ParseKey(jwk); err != nil {
				t.Fatalf("%v does not come back: %v", key, err)
			}
		}
	})
}
