package token_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// A configuration is complete and safe, or refused with the name of the setting that is wrong.

func TestDecoderConfigErrorsNameTheSetting(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.ES256))
	complete := token.DecoderConfig{Keys: ring, Type: testType, Issuer: "i", Audience: "a"}
	if _, err := token.NewDecoder(complete); err != nil {
		t.Errorf("complete: %v", err)
	}
	for _, c := range []struct {
		name   string
		change func(*token.DecoderConfig)
		want   string
	}{
		{"no Keys", func(c *token.DecoderConfig) { c.Keys = nil }, "Keys is required: "},
		{"a nil *Ring", func(c *token.DecoderConfig) { c.Keys = (*token.Ring)(nil) }, "Keys is required: this *token.Ring is nil"},
		{"a nil *LiveRing", func(c *token.DecoderConfig) { c.Keys = (*token.LiveRing)(nil) }, "Keys is required: this *token.LiveRing is nil"},
		{"a nil pointer of another kind", func(c *token.DecoderConfig) { c.Keys = (*swappable)(nil) }, "Keys is required: this *token_test.swappable is nil"},
		{"no Type", func(c *token.DecoderConfig) { c.Type = "" }, "Type is required: "},
		{"Type with a quote", func(c *token.DecoderConfig) { c.Type = `a"b` }, "Type: not a media type name"},
		{"long Type", func(c *token.DecoderConfig) { c.Type = strings.Repeat("t", 65) }, "Type: longer than 64 bytes"},
		{"a zero *Ring", func(c *token.DecoderConfig) { c.Keys = new(token.Ring) }, "Keys is required: this *token.Ring has no key"},
		{"a zero *LiveRing", func(c *token.DecoderConfig) { c.Keys = new(token.LiveRing) }, "Keys is required: this *token.LiveRing has no key"},
		{"C-05 no Issuer", func(c *token.DecoderConfig) { c.Issuer = "" }, "Issuer is required: left empty it would mean any, for which there is InsecureAnyIssuer"},
		{"C-06 no Audience", func(c *token.DecoderConfig) { c.Audience = "" }, "Audience is required: left empty it would mean any, for which there is InsecureAnyAudience"},
		{"Issuer that is too long", func(c *token.DecoderConfig) { c.Issuer = strings.Repeat("i", 256) }, "Issuer is longer than 255 bytes"},
		{"Audience with NUL", func(c *token.DecoderConfig) { c.Audience = "a\x00" }, "Audience is longer than 255 bytes or has control characters"},
		{"Issuer and any", func(c *token.DecoderConfig) { c.InsecureAnyIssuer = true }, "Issuer and InsecureAnyIssuer are both set"},
		{"Audience and any", func(c *token.DecoderConfig) { c.InsecureAnyAudience = true }, "Audience and InsecureAnyAudience are both set"},
		{"MoreAudiences and any", func(c *token.DecoderConfig) {
			c.Audience, c.InsecureAnyAudience, c.MoreAudiences = "", true, []string{"a"}
		}, "MoreAudiences and InsecureAnyAudience are both set"},
		{"C-06 an empty one of MoreAudiences", func(c *token.DecoderConfig) { c.MoreAudiences = []string{"a", ""} }, "MoreAudiences has a name that is empty"},
		{"negative Leeway", func(c *token.DecoderConfig) { c.Leeway = -1 }, "Leeway must be between 0 and 60 seconds"},
		{"Leeway over a minute", func(c *token.DecoderConfig) { c.Leeway = time.Minute + 1 }, "Leeway must be between 0 and 60 seconds"},
		{"EarlyLeeway over", func(c *token.DecoderConfig) { c.EarlyLeeway = time.Hour }, "EarlyLeeway must be between 0 and 60 seconds"},
		{"Value and Values", func(c *token.DecoderConfig) { c.Rules = rules(token.Rule{Value: 1, Values: []any{2}}) }, `Rules: rule for "x" has both Value and Values`},
		{"empty Values", func(c *token.DecoderConfig) { c.Rules = rules(token.Rule{Values: []any{}}) }, `Rules: rule for "x" allows no value`},
		{"Value that is no JSON", func(c *token.DecoderConfig) { c.Rules = rules(token.Rule{Value: func() {}}) }, `Rules: rule for "x": `},
		{"rule for a nameless one", func(c *token.DecoderConfig) { c.Rules = map[string]token.Rule{"": {}} }, "Rules: rule for a claim without name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := complete
			c.change(&config)
			decoder, err := token.NewDecoder(config)
			if want := "token: DecoderConfig." + c.want; decoder != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestEncoderConfigErrorsNameTheSetting(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.ES256))
	verifying := newRing(t, nil, newKey(t, "k", token.ES256).Public())
	for _, c := range []struct {
		name   string
		config token.EncoderConfig
		want   string
	}{
		{"no Keys", token.EncoderConfig{Type: testType}, "Keys is required: "},
		{"a nil *Ring", token.EncoderConfig{Keys: (*token.Ring)(nil), Type: testType}, "Keys is required: this *token.Ring is nil"},
		{"a nil *LiveRing", token.EncoderConfig{Keys: (*token.LiveRing)(nil), Type: testType}, "Keys is required: this *token.LiveRing is nil"},
		{"a zero *Ring", token.EncoderConfig{Keys: new(token.Ring), Type: testType}, "Keys is required: this *token.Ring has no key"},
		{"a zero *LiveRing", token.EncoderConfig{Keys: new(token.LiveRing), Type: testType}, "Keys is required: this *token.LiveRing has no key"},
		{"C-05 an Issuer that is no UTF-8", token.EncoderConfig{Keys: ring, Type: testType, Issuer: "\xff"}, "Issuer is longer than 255 bytes or has control characters"},
		{"K-10 public keys to sign with", token.EncoderConfig{Keys: verifying, Type: testType}, "Keys only verifies: "},
		{"no Type", token.EncoderConfig{Keys: ring}, "Type is required: "},
		{"Type of blanks", token.EncoderConfig{Keys: ring, Type: " "}, "Type: not a media type name"},
		{"long Type", token.EncoderConfig{Keys: ring, Type: strings.Repeat("t", 65)}, "Type: longer than 64 bytes"},
		{"AnyType", token.EncoderConfig{Keys: ring, Type: token.AnyType}, "Type: not a media type name"},
		{"Issuer with NUL", token.EncoderConfig{Keys: ring, Type: testType, Issuer: "a\x00"}, "Issuer is longer than 255 bytes or has control characters"},
		{"long Audience", token.EncoderConfig{Keys: ring, Type: testType, Audience: strings.Repeat("a", 256)}, "Audience is longer than 255 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			encoder, err := token.NewEncoder(c.config)
			if want := "token: EncoderConfig." + c.want; encoder != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	if _, err := token.NewEncoder(token.EncoderConfig{Keys: verifying, Type: testType}); !errors.Is(err, token.ErrCannotSign) {
		t.Errorf("got %v, want ErrCannotSign", err)
	}
}

func TestNoTokenIsIssuedWithoutIssuerAndAudience(t *testing.T) { // C-05, C-06
	bare, err := token.NewEncoder(token.EncoderConfig{Keys: newRing(t, newKey(t, "k", token.ES256)), Type: testType})
	if err != nil {
		t.Fatal(err)
	}
	for claim, c := range map[string]struct {
		claims  token.Claims
		setting string
	}{
		"aud": {token.Claims{"iss": "i"}, "EncoderConfig.Audience"},
		"iss": {token.Claims{"aud": "a"}, "EncoderConfig.Issuer"},
	} {
		_, err := bare.Encode(c.claims, time.Minute)
		var refused *token.ClaimError
		if !errors.As(err, &refused) || refused.Claim != claim || !strings.Contains(err.Error(), c.setting) {
			t.Errorf("no %s anywhere: got %v, want it to name %s", claim, err, c.setting)
		}
	}
	if _, err := bare.Encode(token.Claims{"iss": "i", "aud": "a"}, time.Minute); err != nil {
		t.Errorf("issuer and audience in the claims: %v", err)
	}
}

// openCase is a claims set before a decoder that leaves something open and before the ordinary one, which always refuses
// what is open.
type openCase struct {
	name   string
	change map[string]any
	want   error
}

func runOpenCases(t *testing.T, open func(*token.DecoderConfig), cases []openCase) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	loose := newDecoder(t, ring, open)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			claims := goodClaims(c.change)
			raw := mustSign(t, ring, testType, marshal(t, claims))
			got, err := loose.Decode(raw)
			wantError(t, err, c.want)
			if (got == nil) != (err != nil) {
				t.Errorf("got claims %v with %v", got, err)
			}
			if err := loose.Check(claims); !errors.Is(err, c.want) {
				t.Errorf("Check: got %v, want %v", err, c.want)
			}
		})
	}
}

func TestAnyIssuerHasToBeSpelledOut(t *testing.T) { // C-05
	runOpenCases(t, func(c *token.DecoderConfig) { c.Issuer, c.InsecureAnyIssuer = "", true }, []openCase{
		{"absent", map[string]any{"iss": omit}, nil},
		{"another", map[string]any{"iss": "https://other.example"}, nil},
		{"null", map[string]any{"iss": nil}, token.ErrClaims},
		{"empty", map[string]any{"iss": ""}, token.ErrClaims},
		{"a list", map[string]any{"iss": []string{testIssuer}}, token.ErrClaims},
		{"control characters", map[string]any{"iss": "a\nb"}, token.ErrClaims},
		{"too long", map[string]any{"iss": strings.Repeat("i", 256)}, token.ErrClaims},
		{"the audience is still judged", map[string]any{"iss": omit, "aud": "other"}, token.ErrClaims},
		{"and exp", map[string]any{"iss": omit, "exp": testNow.Unix()}, token.ErrExpired},
	})
}

func TestAnyAudienceHasToBeSpelledOut(t *testing.T) { // C-06
	runOpenCases(t, func(c *token.DecoderConfig) { c.Audience, c.InsecureAnyAudience = "", true }, []openCase{
		{"absent", map[string]any{"aud": omit}, nil},
		{"another", map[string]any{"aud": "https://other.example"}, nil},
		{"others", map[string]any{"aud": []string{"a", "b"}}, nil},
		{"null", map[string]any{"aud": nil}, token.ErrClaims},
		{"empty", map[string]any{"aud": ""}, token.ErrClaims},
		{"an empty list", map[string]any{"aud": []string{}}, token.ErrClaims},
		{"something that is no text", map[string]any{"aud": []any{"a", 1}}, token.ErrClaims},
		{"a number", map[string]any{"aud": 1}, token.ErrClaims},
		{"65 entries", map[string]any{"aud": strings.Split(strings.Repeat("a,", 64)+"a", ",")}, token.ErrClaims},
		{"the issuer is still judged", map[string]any{"aud": omit, "iss": "other"}, token.ErrClaims},
		{"and exp", map[string]any{"aud": omit, "exp": testNow.Unix()}, token.ErrExpired},
	})
	t.Run("a rule takes the place of aud", func(t *testing.T) {
		runOpenCases(t, func(c *token.DecoderConfig) {
			c.Audience, c.InsecureAnyAudience = "", true
			c.Rules = map[string]token.Rule{"client_id": {Essential: true, Value: "my-app"}}
		}, []openCase{
			{"mine", map[string]any{"aud": omit, "client_id": "my-app"}, nil},
			{"another's", map[string]any{"aud": omit, "client_id": "other-app"}, token.ErrClaims},
			{"nobody's", map[string]any{"aud": omit}, token.ErrClaims},
		})
	})
}

func TestOptionalExpiryHasToBeSpelledOut(t *testing.T) { // C-01
	runOpenCases(t, func(c *token.DecoderConfig) { c.InsecureOptionalExpiry, c.Leeway = true, 5*time.Second }, []openCase{
		{"absent", map[string]any{"exp": omit}, nil},
		{"ahead", map[string]any{"exp": testNow.Unix() - 4}, nil},
		{"reached", map[string]any{"exp": testNow.Unix() - 5}, token.ErrExpired},
		{"null", map[string]any{"exp": nil}, token.ErrClaims},
		{"a string", map[string]any{"exp": fmt.Sprint(testNow.Unix() + 60)}, token.ErrClaims},
		{"1e400", map[string]any{"exp": raw("1e400")}, token.ErrClaims},
		{"another case", map[string]any{"exp": omit, "Exp": 0}, nil},
		{"nbf is still judged", map[string]any{"exp": omit, "nbf": testNow.Unix() + 6}, token.ErrNotYetValid},
		{"iat is still judged", map[string]any{"exp": omit, "iat": testNow.Unix() + 6}, token.ErrNotYetValid},
		{"the audience is still judged", map[string]any{"exp": omit, "aud": "other"}, token.ErrClaims},
	})
}

func TestDefaultsLeaveNothingOpen(t *testing.T) { // C-01, C-05, C-06
	ring := newRing(t, newKey(t, "k", token.HS256))
	decoder := newDecoder(t, ring, nil)
	for _, claim := range []string{"iss", "aud", "exp"} {
		_, err := decoder.Decode(mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{claim: omit}))))
		var refused *token.ClaimError
		if !errors.As(err, &refused) || refused.Claim != claim {
			t.Errorf("without %s: got %v", claim, err)
		}
	}
}

func TestSignRefusesWhatCompleteDidNotMake(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	encoder := newEncoder(t, ring)
	full, err := encoder.Complete(token.Claims{"sub": "ada"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := encoder.Sign(full); err != nil {
		t.Fatal(err)
	} else if _, err := newDecoder(t, ring, nil).Decode(raw); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]any{"exp": nil, "exp ": "1", "nbf": nil, "iat": -1, "jti": nil, "jti ": "", "iss": nil, "iss ": 5, "aud": nil, "aud ": []string{}, "sub ": 7} {
		claims := maps.Clone(full)
		if claim := strings.TrimSpace(name); value == nil {
			delete(claims, claim)
		} else {
			claims[claim] = value
		}
		if _, err := encoder.Sign(claims); !errors.Is(err, token.ErrClaims) {
			t.Errorf("%s %v: %v", name, value, err)
		}
	}
}
