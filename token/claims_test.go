package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// Group C of the attack catalogue: claims and clock.

// raw marks text that stands in the payload as it is.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

type claimCase struct {
	name   string
	change map[string]any
	want   error // nil means accepted
}

func runClaimCases(t *testing.T, cases []claimCase, configure func(*token.DecoderConfig)) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	decoder := newDecoder(t, ring, configure)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			claims, err := decoder.Decode(mustSign(t, ring, testType, marshal(t, goodClaims(c.change))))
			if c.want == nil && err != nil {
				t.Fatalf("got %v, want it accepted", err)
			}
			wantError(t, err, c.want)
			if (claims == nil) != (c.want != nil) {
				t.Errorf("got claims %v", claims)
			}
			var refused *token.ClaimError
			if errors.Is(err, token.ErrClaims) && (!errors.As(err, &refused) || refused.Claim == "" || refused.Reason == "") {
				t.Errorf("got %#v, want a *ClaimError that names the claim", err)
			}
		})
	}
}

func TestC01ExpiryIsADate(t *testing.T) {
	now := testNow.Unix()
	runClaimCases(t, []claimCase{
		{"C-01 missing", map[string]any{"exp": omit}, token.ErrClaims},
		{"C-01 null", map[string]any{"exp": nil}, token.ErrClaims},
		{"C-01 string", map[string]any{"exp": fmt.Sprint(now + 60)}, token.ErrClaims},
		{"C-01 boolean", map[string]any{"exp": true}, token.ErrClaims},
		{"C-01 list", map[string]any{"exp": []int64{now + 60}}, token.ErrClaims},
		{"C-01 object", map[string]any{"exp": map[string]any{}}, token.ErrClaims},
		{"C-01 NaN text", map[string]any{"exp": "NaN"}, token.ErrClaims},
		{"C-01 negative", map[string]any{"exp": -1}, token.ErrClaims},
		{"C-01 minus zero", map[string]any{"exp": raw("-0")}, token.ErrClaims},
		{"C-01 zero", map[string]any{"exp": 0}, token.ErrExpired},
		{"C-01 1e400", map[string]any{"exp": raw("1e400")}, token.ErrClaims},
		{"C-01 1e-400", map[string]any{"exp": raw("1e-400")}, token.ErrClaims},
		{"C-01 exponent form of a good date", map[string]any{"exp": raw("1.9e9")}, token.ErrClaims},
		{"C-01 9.3e18", map[string]any{"exp": raw("9.3e18")}, token.ErrClaims},
		{"C-01 9300000000000000000", map[string]any{"exp": raw("9300000000000000000")}, token.ErrClaims},
		{"C-01 2^63", map[string]any{"exp": raw("9223372036854775808")}, token.ErrClaims},
		{"C-01 2^64", map[string]any{"exp": raw("18446744073709551616")}, token.ErrClaims},
		{"C-01 1000 digits", map[string]any{"exp": raw(strings.Repeat("9", 1000))}, token.ErrClaims},
		{"C-01 year 10000", map[string]any{"exp": raw("253402300800")}, token.ErrClaims},
		{"C-01 milliseconds instead of seconds", map[string]any{"exp": (now + 60) * 1000}, token.ErrClaims},
		{"C-01 year 9999", map[string]any{"exp": raw("253402300799")}, nil},
		{"C-01 year 2106", map[string]any{"exp": raw("4294967296")}, nil},
		{"C-01 fraction ahead", map[string]any{"exp": raw(fmt.Sprintf("%d.000000001", now))}, nil},
		{"C-01 fraction below a nanosecond is cut", map[string]any{"exp": raw(fmt.Sprintf("%d.0000000009", now))}, token.ErrExpired},
		{"C-01 fraction behind", map[string]any{"exp": raw(fmt.Sprintf("%d.999999999", now-1))}, token.ErrExpired},
		{"C-01 fraction of zero", map[string]any{"exp": raw(fmt.Sprintf("%d.0", now))}, token.ErrExpired},
		{"C-01 C-02 now", map[string]any{"exp": now}, token.ErrExpired},
		{"C-01 C-02 a second ago", map[string]any{"exp": now - 1}, token.ErrExpired},
		{"C-01 C-02 in a second", map[string]any{"exp": now + 1}, nil},
	}, nil)
}

func TestC02ExpiryBoundaryWithLeeway(t *testing.T) {
	now := testNow.Unix()
	runClaimCases(t, []claimCase{
		{"C-02 now - skew - 1", map[string]any{"exp": now - 31}, token.ErrExpired},
		{"C-02 now - skew", map[string]any{"exp": now - 30}, token.ErrExpired},
		{"C-02 now - skew + 1", map[string]any{"exp": now - 29}, nil},
		{"C-02 now", map[string]any{"exp": now}, nil},
		{"C-03 nbf at the boundary", map[string]any{"nbf": now + 30}, nil},
		{"C-03 nbf beyond", map[string]any{"nbf": now + 31}, token.ErrNotYetValid},
	}, func(c *token.DecoderConfig) { c.Leeway = 30 * time.Second })
}

func TestC03NotYetValid(t *testing.T) {
	now := testNow.Unix()
	for _, claim := range []string{"nbf", "iat"} {
		runClaimCases(t, []claimCase{
			{"C-03 " + claim + " now", map[string]any{claim: now}, nil},
			{"C-03 " + claim + " at the boundary", map[string]any{claim: now + 10}, nil},
			{"C-03 " + claim + " just beyond", map[string]any{claim: raw(fmt.Sprintf("%d.000000001", now+10))}, token.ErrNotYetValid},
			{"C-03 " + claim + " skew + 1", map[string]any{claim: now + 11}, token.ErrNotYetValid},
			{"C-03 " + claim + " in a year", map[string]any{claim: now + 365*86400}, token.ErrNotYetValid},
			{"C-03 " + claim + " absent", map[string]any{claim: omit}, nil},
			{"C-03 " + claim + " zero", map[string]any{claim: 0}, nil},
			{"C-03 " + claim + " null", map[string]any{claim: nil}, token.ErrClaims},
			{"C-03 " + claim + " string", map[string]any{claim: fmt.Sprint(now)}, token.ErrClaims},
			{"C-03 " + claim + " negative", map[string]any{claim: -1}, token.ErrClaims},
			{"C-03 " + claim + " 1e400", map[string]any{claim: raw("1e400")}, token.ErrClaims},
			{"C-03 leeway for early tokens does not lengthen life", map[string]any{"exp": now}, token.ErrExpired},
		}, func(c *token.DecoderConfig) { c.EarlyLeeway = 10 * time.Second })
	}
	runClaimCases(t, []claimCase{
		{"C-03 nbf without leeway", map[string]any{"nbf": now + 1}, token.ErrNotYetValid},
		{"C-03 iat without leeway", map[string]any{"iat": now + 1}, token.ErrNotYetValid},
		{"C-03 not yet valid and expired", map[string]any{"nbf": now + 1, "exp": now}, token.ErrNotYetValid},
	}, nil)
}

func TestC05Issuer(t *testing.T) {
	runClaimCases(t, []claimCase{
		{"C-05 missing", map[string]any{"iss": omit}, token.ErrClaims},
		{"C-05 null", map[string]any{"iss": nil}, token.ErrClaims},
		{"C-05 empty", map[string]any{"iss": ""}, token.ErrClaims},
		{"C-05 another", map[string]any{"iss": "https://evil.example"}, token.ErrClaims},
		{"C-05 trailing slash", map[string]any{"iss": testIssuer + "/"}, token.ErrClaims},
		{"C-05 other case", map[string]any{"iss": "https://ID.example"}, token.ErrClaims},
		{"C-05 longer", map[string]any{"iss": testIssuer + ".evil.example"}, token.ErrClaims},
		{"C-05 prefix", map[string]any{"iss": testIssuer[:10]}, token.ErrClaims},
		{"C-05 array", map[string]any{"iss": []string{testIssuer}}, token.ErrClaims},
		{"C-05 number", map[string]any{"iss": 1}, token.ErrClaims},
		{"J-18 C-05 member in another case", map[string]any{"iss": omit, "Iss": testIssuer}, token.ErrClaims},
		{"J-18 C-05 member with a long s", map[string]any{"iss": omit, "iſs": testIssuer}, token.ErrClaims},
	}, nil)
}

func TestC06Audience(t *testing.T) {
	many := func(n int, last string) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = "a"
		}
		return append(list, last)
	}
	runClaimCases(t, []claimCase{
		{"C-06 missing", map[string]any{"aud": omit}, token.ErrClaims},
		{"C-06 null", map[string]any{"aud": nil}, token.ErrClaims},
		{"C-06 empty string", map[string]any{"aud": ""}, token.ErrClaims},
		{"C-06 empty array", map[string]any{"aud": []string{}}, token.ErrClaims},
		{"C-06 C-11 another", map[string]any{"aud": "https://b.example"}, token.ErrClaims},
		{"C-06 others", map[string]any{"aud": []string{"a", "b"}}, token.ErrClaims},
		{"C-06 prefix", map[string]any{"aud": testAudience[:9]}, token.ErrClaims},
		{"C-06 trailing slash", map[string]any{"aud": testAudience + "/"}, token.ErrClaims},
		{"C-06 both in one string", map[string]any{"aud": "a " + testAudience}, token.ErrClaims},
		{"C-06 number", map[string]any{"aud": 1}, token.ErrClaims},
		{"C-06 object", map[string]any{"aud": map[string]any{testAudience: true}}, token.ErrClaims},
		{"C-06 nested array", map[string]any{"aud": []any{[]string{testAudience}}}, token.ErrClaims},
		{"C-07 ours beside something that is no text", map[string]any{"aud": []any{testAudience, 1}}, token.ErrClaims},
		{"C-07 ours beside an empty one", map[string]any{"aud": []any{testAudience, ""}}, token.ErrClaims},
		{"C-07 ours alone in an array", map[string]any{"aud": []string{testAudience}}, nil},
		{"C-07 ours among others", map[string]any{"aud": []string{"a", testAudience, "b"}}, nil},
		{"C-07 64 entries", map[string]any{"aud": many(63, testAudience)}, nil},
		{"C-07 65 entries", map[string]any{"aud": many(64, testAudience)}, token.ErrClaims},
	}, nil)
	t.Run("C-07 10,000 entries", func(t *testing.T) {
		key := newKey(t, "k", token.HS256)
		payload := marshal(t, goodClaims(map[string]any{"aud": many(10_000, testAudience)}))
		wantRefused(t, newRing(t, key), token.SignRaw(key, `{"alg":"HS256","kid":"k","typ":"at+jwt"}`, payload), token.ErrMalformed)
	})
}

func TestC09Subject(t *testing.T) {
	runClaimCases(t, []claimCase{
		{"C-09 missing: no subject, and no user 0", map[string]any{"sub": omit}, nil},
		{"C-09 empty", map[string]any{"sub": ""}, token.ErrClaims},
		{"C-09 null", map[string]any{"sub": nil}, token.ErrClaims},
		{"C-09 number", map[string]any{"sub": 0}, token.ErrClaims},
		{"C-09 list", map[string]any{"sub": []string{"u"}}, token.ErrClaims},
		{"C-09 255 bytes", map[string]any{"sub": strings.Repeat("u", 255)}, nil},
		{"C-09 256 bytes", map[string]any{"sub": strings.Repeat("u", 256)}, token.ErrClaims},
		{"C-09 4 kB", map[string]any{"sub": strings.Repeat("u", 4096)}, token.ErrClaims},
		{"C-09 newline", map[string]any{"sub": "a\nb"}, token.ErrClaims},
		{"C-09 escape", map[string]any{"sub": "a\x1bb"}, token.ErrClaims},
		{"C-09 C1 control", map[string]any{"sub": "a\u0085b"}, token.ErrClaims},
		{"C-09 NUL", map[string]any{"sub": "a\x00"}, token.ErrMalformed},
		{"jti empty", map[string]any{"jti": ""}, token.ErrClaims},
		{"jti number", map[string]any{"jti": 7}, token.ErrClaims},
	}, nil)
	t.Run("C-09 homoglyphs come back as they are", func(t *testing.T) {
		ring := newRing(t, newKey(t, "k", token.HS256))
		claims, err := newDecoder(t, ring, nil).Decode(mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"sub": "аdmin"}))))
		if err != nil || claims.String("sub") != "аdmin" || claims.String("sub") == "admin" {
			t.Errorf("got %q, %v", claims.String("sub"), err)
		}
	})
	t.Run("C-09 without sub the helper gives nothing", func(t *testing.T) {
		if n, ok := (token.Claims{}).Int("sub"); ok || n != 0 || (token.Claims{}).String("sub") != "" {
			t.Error("an absent claim has a value")
		}
	})
}

func TestJ17StrictPayload(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	good := string(marshal(t, goodClaims(nil)))
	for name, payload := range map[string]string{
		"J-17 duplicate member, good value last":  `{"iss":"evil",` + good[1:],
		"J-17 duplicate member, good value first": good[:len(good)-1] + `,"iss":"evil"}`,
		"J-17 duplicate member, escaped":          good[:len(good)-1] + `,"\u0065xp":99999999999}`,
		"J-17 duplicate in a nested object":       good[:len(good)-1] + `,"x":{"a":1,"a":1}}`,
		"J-19 invalid UTF-8":                      good[:len(good)-1] + ",\"x\":\"\xff\"}",
		"J-19 lone surrogate":                     good[:len(good)-1] + `,"x":"\udfff"}`,
		"J-19 byte order mark":                    "\ufeff" + good,
		"J-19 NUL":                                good[:len(good)-1] + `,"x":"a\u0000"}`,
		"J-21 nested 1000 deep":                   good[:len(good)-1] + `,"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
		"trailing text":                           good + "{}",
		"null":                                    "null",
		"list":                                    "[" + good + "]",
		"text":                                    "foo",
		"NaN":                                     `{"exp":NaN}`,
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := newDecoder(t, ring, nil).Decode(mustSign(t, ring, testType, []byte(payload)))
			wantError(t, err, token.ErrMalformed)
			if claims != nil {
				t.Errorf("got claims %v", claims)
			}
		})
	}
	t.Run("J-17 J-18 members that differ in case are others", func(t *testing.T) {
		payload := good[:len(good)-1] + `,"Exp":0,"ISS":"evil","ſub":"root","role":"user"}`
		claims, err := newDecoder(t, ring, nil).Decode(mustSign(t, ring, testType, []byte(payload)))
		if err != nil || claims.String("sub") != "user-1" || claims.String("iss") != testIssuer {
			t.Errorf("got %v, %v", claims, err)
		}
	})
	t.Run("J-21 J-11 oversized payloads", func(t *testing.T) {
		key := newKey(t, "k", token.HS256)
		for _, payload := range []string{strings.Repeat("[", 100_000), `{"x":"` + strings.Repeat("x", 5<<20) + `"}`} {
			wantRefused(t, ring, token.SignRaw(key, `{"alg":"HS256","kid":"k","typ":"at+jwt"}`, []byte(payload)), token.ErrMalformed)
		}
	})
}

func TestC13OrderOfJudgement(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	forger := newRing(t, func() *token.Key {
		key, err := token.GenerateKey(token.HS256)
		if err != nil {
			t.Fatal(err)
		}
		forged, err := token.NewKey("k", token.HS256, token.PrivateMaterial(key))
		if err != nil {
			t.Fatal(err)
		}
		return forged
	}())
	expired := map[string]any{"exp": testNow.Unix() - 60}
	spoiled := map[string]any{"exp": testNow.Unix() - 60, "aud": "other"}
	for _, c := range []struct {
		name   string
		ring   *token.Ring
		typ    string
		change map[string]any
		want   error
	}{
		{"C-13 expired and forged", forger, testType, expired, token.ErrSignature},
		{"C-13 expired, forged and of another type", forger, "rt+jwt", expired, token.ErrSignature},
		{"C-13 expired and of another type", ring, "rt+jwt", expired, token.ErrType},
		{"C-13 expired and for another audience", ring, testType, spoiled, token.ErrClaims},
		{"C-13 expired and not yet issued", ring, testType, map[string]any{"exp": testNow.Unix() - 60, "iat": testNow.Unix() + 60}, token.ErrNotYetValid},
		{"C-13 expired alone", ring, testType, expired, token.ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := mustSign(t, c.ring, c.typ, marshal(t, goodClaims(c.change)))
			claims, err := newDecoder(t, ring, nil).Decode(raw)
			for _, sentinel := range []error{token.ErrMalformed, token.ErrSignature, token.ErrType, token.ErrClaims, token.ErrNotYetValid, token.ErrExpired} {
				if errors.Is(err, sentinel) != (sentinel == c.want) {
					t.Errorf("errors.Is(%v, %v) = %v", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if claims != nil {
				t.Errorf("got claims %v", claims)
			}
		})
	}
}

func TestC10UnsignedPlacesHaveNoSay(t *testing.T) {
	// C-10 is also a header case in TestJ17StrictHeader; here the payload of another token is put in.
	ring := newRing(t, newKey(t, "k", token.HS256))
	mine := strings.Split(mustSign(t, ring, testType, marshal(t, goodClaims(nil))), ".")
	admin := b64(marshal(t, goodClaims(map[string]any{"role": "admin"})))
	wantRefused(t, ring, mine[0]+"."+admin+"."+mine[2], token.ErrSignature)
}

func TestC14StricterPolicyBindsTheNextDecision(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	raw := mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"scope": "read"})))
	if _, err := newDecoder(t, ring, nil).Decode(raw); err != nil {
		t.Fatal(err)
	}
	strict := newDecoder(t, ring, func(c *token.DecoderConfig) {
		c.Rules = map[string]token.Rule{"scope": {Essential: true, Value: "write"}}
	})
	_, err := strict.Decode(raw)
	wantError(t, err, token.ErrClaims)
}

func TestC15C18TimeIsAnInstant(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	raw := mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"nbf": omit, "iat": omit})))
	at := testNow
	decoder := newDecoder(t, ring, func(c *token.DecoderConfig) { c.Now = func() time.Time { return at } })
	for _, zone := range []*time.Location{time.UTC, time.Local, time.FixedZone("UTC+14", 14*3600), time.FixedZone("UTC-12", -12*3600)} {
		for name, c := range map[string]struct {
			step time.Duration
			want error
		}{
			"one second before exp": {299 * time.Second, nil},
			"one nanosecond before": {300*time.Second - 1, nil},
			"exp":                   {300 * time.Second, token.ErrExpired},
			"clock an hour ahead":   {time.Hour, token.ErrExpired},
			"clock an hour behind":  {-time.Hour, nil},
			"clock a day behind":    {-24 * time.Hour, nil},
			"clock in 1970":         {time.Unix(0, 0).Sub(testNow), nil},
			"clock in 2106":         {time.Unix(1<<32, 0).Sub(testNow), token.ErrExpired},
		} {
			t.Run(fmt.Sprintf("C-15 C-18 %s in %s", name, zone), func(t *testing.T) {
				at = testNow.Add(c.step).In(zone)
				_, err := decoder.Decode(raw)
				wantError(t, err, c.want)
			})
		}
	}
	t.Run("C-18 an encoder in another zone writes the same seconds", func(t *testing.T) {
		encoder, err := token.NewEncoder(token.EncoderConfig{Keys: ring, Type: testType, Issuer: "i", Audience: "a",
			Now: func() time.Time { return testNow.In(time.FixedZone("UTC+14", 14*3600)) }})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := encoder.Complete(nil, time.Minute)
		if got, ok := claims.Time("exp"); err != nil || !ok || !got.Equal(testNow.Add(time.Minute)) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestRules(t *testing.T) {
	type claims = map[string]any
	for _, c := range []struct {
		name  string
		rule  token.Rule
		value any
		ok    bool
	}{
		{"no demand, absent", token.Rule{}, omit, true},
		{"no demand, blank", token.Rule{}, "", false},
		{"no demand, anything", token.Rule{}, 0, true},
		{"essential, absent", token.Rule{Essential: true}, omit, false},
		{"essential, null", token.Rule{Essential: true}, nil, false},
		{"essential, empty list", token.Rule{Essential: true}, []any{}, false},
		{"essential, empty object", token.Rule{Essential: true}, claims{}, false},
		{"essential, false is a value", token.Rule{Essential: true}, false, true},
		{"essential, zero is a value", token.Rule{Essential: true}, 0, true},
		{"blank allowed", token.Rule{Essential: true, AllowBlank: true}, "", true},
		{"blank allowed, null", token.Rule{AllowBlank: true}, nil, true},
		{"blank allowed, null of an essential claim", token.Rule{Essential: true, AllowBlank: true}, nil, false},
		{"blank allowed, another value demanded", token.Rule{Value: "a", AllowBlank: true}, "", false},
		{"blank allowed, null, another value demanded", token.Rule{Value: "a", AllowBlank: true}, nil, false},
		{"blank allowed and demanded", token.Rule{Values: []any{"a", ""}, AllowBlank: true}, "", true},
		{"blank demanded but not allowed", token.Rule{Values: []any{"a", ""}}, "", false},
		{"blank allowed, still absent", token.Rule{Essential: true, AllowBlank: true}, omit, false},
		{"value, equal", token.Rule{Value: "web"}, "web", true},
		{"value, other", token.Rule{Value: "web"}, "webx", false},
		{"value, other case", token.Rule{Value: "web"}, "Web", false},
		{"value, absent and not essential", token.Rule{Value: "web"}, omit, true},
		{"value, absent and essential", token.Rule{Essential: true, Value: "web"}, omit, false},
		{"value, in a list", token.Rule{Value: "web"}, []string{"app", "web"}, true},
		{"value, not in a list", token.Rule{Value: "web"}, []string{"app"}, false},
		{"value, text is not a number", token.Rule{Value: 1}, "1", false},
		{"value, number is not text", token.Rule{Value: "1"}, 1, false},
		{"value, number", token.Rule{Value: 1}, 1, true},
		{"value, large number to the digit", token.Rule{Value: int64(9007199254740993)}, raw("9007199254740992"), false},
		{"value, number in another spelling", token.Rule{Value: 1}, raw("1.0"), false},
		{"value, false", token.Rule{Value: false}, false, true},
		{"value, false is not absent", token.Rule{Essential: true, Value: false}, omit, false},
		{"value, whole list", token.Rule{Value: []string{"a", "b"}}, []string{"a", "b"}, true},
		{"value, object", token.Rule{Value: claims{"a": 1}}, claims{"a": 1}, true},
		{"value, other object", token.Rule{Value: claims{"a": 1}}, claims{"a": 1, "b": 2}, false},
		{"values, second", token.Rule{Values: []any{"a", 2}}, 2, true},
		{"values, none", token.Rule{Values: []any{"a", 2}}, 3, false},
		{"values, in a list", token.Rule{Values: []any{"a", "b"}}, []string{"x", "b"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ring := newRing(t, newKey(t, "k", token.HS256))
			decoder := newDecoder(t, ring, func(config *token.DecoderConfig) { config.Rules = rules(c.rule) })
			_, err := decoder.Decode(mustSign(t, ring, testType, marshal(t, goodClaims(claims{"x": c.value}))))
			var refused *token.ClaimError
			if c.ok && err != nil || !c.ok && (!errors.As(err, &refused) || refused.Claim != "x") {
				t.Errorf("got %v, want ok %v", err, c.ok)
			}
		})
	}
}

func TestClaimHelpers(t *testing.T) {
	claims := token.Claims{
		"text": "x", "n": json.Number("42"), "big": json.Number("9223372036854775808"), "half": json.Number("1.5"), "e": json.Number("1e3"),
		"int": 7, "int64": int64(8), "date": json.Number("1700000000.25"), "aud": []any{"a", "b"},
	}
	if claims.String("text") != "x" || claims.String("n") != "" || claims.String("none") != "" {
		t.Error("String")
	}
	for name, want := range map[string]int64{"n": 42, "int": 7, "int64": 8} {
		if got, ok := claims.Int(name); !ok || got != want {
			t.Errorf("Int(%s) = %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"big", "half", "e", "text", "none"} {
		if got, ok := claims.Int(name); ok {
			t.Errorf("Int(%s) = %d", name, got)
		}
		if got, ok := claims.Time(name); ok && name != "half" {
			t.Errorf("Time(%s) = %v", name, got)
		}
	}
	if got, ok := claims.Time("date"); !ok || !got.Equal(time.Unix(1700000000, 250_000_000)) || got.Location() != time.UTC {
		t.Errorf("Time(date) = %v, %v", got, ok)
	}
	for name, want := range map[string]int64{"int": 7, "int64": 8, "n": 42} {
		if got, ok := claims.Time(name); !ok || got.Unix() != want {
			t.Errorf("Time(%s) = %v, %v", name, got, ok)
		}
	}
	for _, aud := range []any{[]any{"a", "b"}, []string{"a", "b"}} {
		if got := (token.Claims{"aud": aud}).Audience(); fmt.Sprint(got) != "[a b]" {
			t.Errorf("got %v", got)
		}
	}
	if got := (token.Claims{"aud": "a b"}).Audience(); len(got) != 1 || got[0] != "a b" {
		t.Errorf("got %v", got)
	}
	for _, aud := range []any{nil, 1, []any{"a", 1}, map[string]any{}} {
		if got := (token.Claims{"aud": aud}).Audience(); got != nil {
			t.Errorf("%v: got %v", aud, got)
		}
	}
}
