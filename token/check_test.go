package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar/token"
)

// Claims that did not come out of a token.

func TestReadClaimsIsStrict(t *testing.T) {
	claims, err := token.ReadClaims([]byte(`{"sub":"u","n":12345678901234567890,"list":[1,{"a":null}]}`))
	if err != nil || claims.String("sub") != "u" || claims["n"] != json.Number("12345678901234567890") {
		t.Errorf("got %v, %v", claims, err)
	}
	if claims, err := token.ReadClaims([]byte(`{}`)); err != nil || claims == nil || len(claims) != 0 {
		t.Errorf("an empty object: got %v, %v", claims, err)
	}
	deep := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	if _, err := token.ReadClaims([]byte(deep(15))); err != nil {
		t.Errorf("16 levels: %v", err)
	}
	for name, payload := range map[string]string{
		"empty": "", "null": "null", "a list": "[]", "text": "foo", "J-17 twice": `{"a":1,"a":1}`, "J-17 twice, escaped": `{"a":1,"\u0061":1}`,
		"J-17 twice below": `{"x":{"a":1,"a":1}}`, "J-19 invalid UTF-8": "{\"a\":\"\xff\"}", "J-19 lone surrogate": `{"a":"\ud800"}`,
		"J-19 byte order mark": "\ufeff{}", "J-19 NUL": `{"a":"\u0000"}`, "something behind": `{} {}`, "J-21 17 levels": deep(16),
		"J-21 100k deep": deep(100_000), "J-21 5 MB": `{"x":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := token.ReadClaims([]byte(payload))
			if err != token.ErrMalformed || claims != nil {
				t.Errorf("got %v, %v, want ErrMalformed", claims, err)
			}
		})
	}
}

func TestCheckJudgesAsDecodeDoes(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	decoder := newDecoder(t, ring, func(c *token.DecoderConfig) {
		c.Rules = map[string]token.Rule{"level": {Values: []any{1, 2, 3}}, "scope": {Essential: true, Value: "read"}}
	})
	now := testNow.Unix()
	base := map[string]any{"scope": "read"}
	for _, c := range []struct {
		name   string
		change map[string]any
		want   error
	}{
		{"good", nil, nil},
		{"exp as float64", map[string]any{"exp": float64(now + 1)}, nil},
		{"exp as float64, reached", map[string]any{"exp": float64(now)}, token.ErrExpired},
		{"exp as json.Number", map[string]any{"exp": json.Number(fmt.Sprint(now + 1))}, nil},
		{"exp as uint32", map[string]any{"exp": uint32(now + 1)}, nil},
		{"exp as a time", map[string]any{"exp": testNow.AddDate(1, 0, 0)}, token.ErrClaims},
		{"C-01 exp is infinite", map[string]any{"exp": math.Inf(1)}, token.ErrMalformed},
		{"C-01 exp is not a number", map[string]any{"exp": math.NaN()}, token.ErrMalformed},
		{"C-01 exp beyond every date", map[string]any{"exp": 1e20}, token.ErrClaims},
		{"C-01 exp in the exponent form", map[string]any{"exp": 1e22}, token.ErrClaims},
		{"C-01 no exp", map[string]any{"exp": omit}, token.ErrClaims},
		{"C-03 not yet", map[string]any{"nbf": float64(now + 1)}, token.ErrNotYetValid},
		{"C-06 list of our own type", map[string]any{"aud": []audience{"a", testAudience}}, nil},
		{"C-06 another", map[string]any{"aud": []string{"a"}}, token.ErrClaims},
		{"a rule, int8", map[string]any{"level": int8(2)}, nil},
		{"a rule, float64", map[string]any{"level": 2.0}, nil},
		{"a rule broken", map[string]any{"level": 4}, token.ErrClaims},
		{"J-19 text that is not UTF-8", map[string]any{"x": "\xff"}, token.ErrMalformed},
		{"J-17 raw JSON with a member twice", map[string]any{"x": raw(`{"a":1,"a":1}`)}, token.ErrMalformed},
		{"what JSON cannot write", map[string]any{"x": func() {}}, token.ErrMalformed},
		{"J-21 too large", map[string]any{"x": strings.Repeat("x", token.MaxSize)}, token.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := goodClaims(base)
			maps.Copy(claims, c.change)
			claims = goodClaims(claims)
			before := maps.Clone(claims)
			err := decoder.Check(claims)
			wantError(t, err, c.want)
			if len(before) != len(claims) {
				t.Error("the caller's claims were changed")
			}
			payload, marshalErr := json.Marshal(claims)
			if marshalErr != nil {
				return
			}
			if signed, err := ring.Sign(testType, payload); err == nil && c.want != token.ErrMalformed {
				_, decodeErr := decoder.Decode(signed)
				wantError(t, decodeErr, c.want)
			}
		})
	}
	if err := decoder.Check(nil); !errors.Is(err, token.ErrClaims) {
		t.Errorf("no claims: %v", err)
	}
}

type audience string

// Whatever the claims, Check and Decode say the same.
func TestCheckAndDecodeAgree(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	decoder := newDecoder(t, ring, func(c *token.DecoderConfig) { c.Leeway = 3e9 })
	rapid.Check(t, func(t *rapid.T) {
		claims := goodClaims(nil)
		for _, name := range []string{"iss", "aud", "sub", "exp", "nbf", "iat", "jti"} {
			switch v := rapid.IntRange(0, 9).Draw(t, name); v {
			case 0:
				delete(claims, name)
			case 1:
				claims[name] = rapid.SampledFrom([]any{nil, "", "x", 0, -1, 1.5, true, []any{}, []any{"x", testAudience}, map[string]any{}}).Draw(t, "value")
			case 2:
				claims[name] = float64(testNow.Unix()) + float64(rapid.IntRange(-8, 8).Draw(t, "half seconds"))/2
			}
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := ring.Sign(testType, payload)
		if err != nil {
			t.Fatal(err)
		}
		_, decoded := decoder.Decode(signed)
		checked := decoder.Check(claims)
		if fmt.Sprint(decoded) != fmt.Sprint(checked) {
			t.Fatalf("Decode says %v, Check says %v of %s", decoded, checked, payload)
		}
	})
}
