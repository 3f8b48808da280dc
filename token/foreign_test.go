package token_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/token"
)

var foreignAlgorithms = []token.Algorithm{token.ES256, token.ES384, token.EdDSA, token.RS256}

// foreignJWK is the public JWK of a key, with members changed or, for omit, removed.
func foreignJWK(tb testing.TB, key *token.Key, change map[string]any) map[string]any {
	tb.Helper()
	text, err := key.MarshalPublic()
	if err != nil {
		tb.Fatal(err)
	}
	return changed(tb, text, change)
}

// privateJWK is the same with the private members.
func privateJWK(tb testing.TB, key *token.Key, change map[string]any) map[string]any {
	tb.Helper()
	text, err := key.MarshalPrivate()
	if err != nil {
		tb.Fatal(err)
	}
	return changed(tb, text, change)
}

func changed(tb testing.TB, text []byte, change map[string]any) map[string]any {
	tb.Helper()
	jwk := map[string]any{}
	if err := json.Unmarshal(text, &jwk); err != nil {
		tb.Fatal(err)
	}
	maps.Copy(jwk, change)
	maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == omit })
	return jwk
}

func foreignSet(tb testing.TB, keys ...any) []byte {
	tb.Helper()
	return marshal(tb, map[string]any{"keys": keys})
}

func TestForeignKeysAreLeftOutForAReason(t *testing.T) {
	ec, ec384, ed, rsa := newKey(t, "ec", token.ES256), newKey(t, "ec384", token.ES384), newKey(t, "ed", token.EdDSA), newKey(t, "rsa", token.RS256)
	secret := newKey(t, "secret", token.HS256)
	with := func(members ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(members); i += 2 {
			m[members[i].(string)] = members[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		jwk     any
		allowed []token.Algorithm
		want    token.IgnoreReason
	}{
		"an EC key":                                  {jwk: foreignJWK(t, ec, nil)},
		"an EC key without alg, use and kid":         {jwk: foreignJWK(t, ec, with("alg", omit, "use", omit, "kid", omit))},
		"a P-384 key without alg":                    {jwk: foreignJWK(t, ec384, with("alg", omit))},
		"an Ed25519 key without alg":                 {jwk: foreignJWK(t, ed, with("alg", omit))},
		"an RSA key without alg where one fits":      {jwk: foreignJWK(t, rsa, with("alg", omit))},
		"an RSA key with certificates":               {jwk: foreignJWK(t, rsa, with("x5c", []string{"MIIB"}, "x5t", "AAAA", "x5u", "http://127.0.0.1:9/"))},
		"members nobody knows":                       {jwk: foreignJWK(t, ec, with("exp", 1, "issuer", map[string]any{"a": []int{1}}))},
		"key_ops verify":                             {jwk: foreignJWK(t, ec, with("use", omit, "key_ops", []string{"verify"}))},
		"oct":                                        {jwk: privateJWK(t, secret, nil), want: token.IgnoredSymmetric},
		"oct for encryption":                         {jwk: with("kty", "oct", "k", "AAAA", "use", "enc"), want: token.IgnoredSymmetric},
		"a private EC key":                           {jwk: privateJWK(t, ec, nil), want: token.IgnoredPrivate},
		"a private Ed25519 key":                      {jwk: privateJWK(t, ed, nil), want: token.IgnoredPrivate},
		"a private RSA key":                          {jwk: privateJWK(t, rsa, nil), want: token.IgnoredPrivate},
		"a private RSA key for encryption":           {jwk: privateJWK(t, rsa, with("use", "enc")), want: token.IgnoredPrivate},
		"one prime is enough":                        {jwk: foreignJWK(t, rsa, with("p", "AAAA")), want: token.IgnoredPrivate},
		"a private part of null":                     {jwk: foreignJWK(t, ec, with("d", nil)), want: token.IgnoredPrivate},
		"use enc":                                    {jwk: foreignJWK(t, ec, with("use", "enc")), want: token.IgnoredUse},
		"use in another case":                        {jwk: foreignJWK(t, ec, with("use", "SIG")), want: token.IgnoredUse},
		"use that is no text":                        {jwk: foreignJWK(t, ec, with("use", []string{"sig"})), want: token.IgnoredUse},
		"key_ops sign":                               {jwk: foreignJWK(t, ec, with("key_ops", []string{"sign"})), want: token.IgnoredUse},
		"key_ops with wrapKey":                       {jwk: foreignJWK(t, rsa, with("key_ops", []string{"verify", "wrapKey"})), want: token.IgnoredUse},
		"key_ops empty":                              {jwk: foreignJWK(t, ec, with("key_ops", []string{})), want: token.IgnoredUse},
		"key_ops twice":                              {jwk: foreignJWK(t, ec, with("key_ops", []string{"verify", "verify"})), want: token.IgnoredUse},
		"alg of an encryption":                       {jwk: foreignJWK(t, rsa, with("alg", "RSA-OAEP", "use", omit)), want: token.IgnoredAlgorithm},
		"alg none":                                   {jwk: foreignJWK(t, rsa, with("alg", "none")), want: token.IgnoredAlgorithm},
		"alg HS256 on an RSA key":                    {jwk: foreignJWK(t, rsa, with("alg", "HS256")), want: token.IgnoredAlgorithm},
		"alg in another case":                        {jwk: foreignJWK(t, ec, with("alg", "es256")), want: token.IgnoredAlgorithm},
		"alg empty":                                  {jwk: foreignJWK(t, ec, with("alg", "")), want: token.IgnoredAlgorithm},
		"alg known but not allowed":                  {jwk: foreignJWK(t, rsa, with("alg", "PS256")), want: token.IgnoredAlgorithm},
		"alg of another curve":                       {jwk: foreignJWK(t, ec, with("alg", "ES384")), want: token.IgnoredAlgorithm},
		"alg of another kty":                         {jwk: foreignJWK(t, ec, with("alg", "RS256")), want: token.IgnoredAlgorithm},
		"alg that is no text":                        {jwk: foreignJWK(t, ec, with("alg", nil)), want: token.IgnoredMalformed},
		"no alg, and its only one is not allowed":    {jwk: foreignJWK(t, ec, with("alg", omit)), allowed: []token.Algorithm{token.RS256}, want: token.IgnoredAlgorithm},
		"no alg, and several are allowed":            {jwk: foreignJWK(t, rsa, with("alg", omit)), allowed: []token.Algorithm{token.RS256, token.PS256}, want: token.IgnoredNoAlgorithm},
		"an alg that settles it":                     {jwk: foreignJWK(t, rsa, with("alg", "PS256")), allowed: []token.Algorithm{token.RS256, token.PS256}},
		"an algorithm allowed twice is one":          {jwk: foreignJWK(t, rsa, with("alg", omit)), allowed: []token.Algorithm{token.RS256, token.RS256}},
		"secp256k1":                                  {jwk: foreignJWK(t, ec, with("crv", "secp256k1", "alg", "ES256K")), want: token.IgnoredAlgorithm},
		"X25519":                                     {jwk: foreignJWK(t, ed, with("crv", "X25519", "alg", omit)), want: token.IgnoredAlgorithm},
		"kty of another age":                         {jwk: with("kty", "AKP", "alg", "ML-DSA-44", "pub", "AAAA"), want: token.IgnoredAlgorithm},
		"kty in another case":                        {jwk: foreignJWK(t, ec, with("kty", "ec")), want: token.IgnoredAlgorithm},
		"kty missing":                                {jwk: foreignJWK(t, ec, with("kty", omit)), want: token.IgnoredMalformed},
		"kty that is no text":                        {jwk: foreignJWK(t, ec, with("kty", 1)), want: token.IgnoredMalformed},
		"an empty object":                            {jwk: with(), want: token.IgnoredMalformed},
		"null":                                       {jwk: nil, want: token.IgnoredMalformed},
		"a list":                                     {jwk: []any{foreignJWK(t, ec, nil)}, want: token.IgnoredMalformed},
		"text":                                       {jwk: "kty", want: token.IgnoredMalformed},
		"a coordinate missing":                       {jwk: foreignJWK(t, ec, with("y", omit)), want: token.IgnoredMalformed},
		"a coordinate that is short":                 {jwk: foreignJWK(t, ec, with("y", b64(make([]byte, 31)))), want: token.IgnoredMalformed},
		"a point off the curve":                      {jwk: foreignJWK(t, ec, with("y", b64(make([]byte, 32)))), want: token.IgnoredMalformed},
		"a modulus with padding":                     {jwk: foreignJWK(t, rsa, with("n", foreignJWK(t, rsa, nil)["n"].(string)+"==")), want: token.IgnoredMalformed},
		"a modulus with a zero in front":             {jwk: foreignJWK(t, rsa, with("n", "AAAA"+foreignJWK(t, rsa, nil)["n"].(string))), want: token.IgnoredMalformed},
		"an exponent over 31 bits":                   {jwk: foreignJWK(t, rsa, with("e", b64([]byte{1, 0, 0, 0, 1}))), want: token.IgnoredMalformed},
		"an empty kid":                               {jwk: foreignJWK(t, ec, with("kid", "")), want: token.IgnoredMalformed},
		"a kid that is no text":                      {jwk: foreignJWK(t, ec, with("kid", 1)), want: token.IgnoredMalformed},
		"a kid that is too long":                     {jwk: foreignJWK(t, ec, with("kid", strings.Repeat("k", 257))), want: token.IgnoredMalformed},
		"a kid with a line break":                    {jwk: foreignJWK(t, ec, with("kid", "a\nb")), want: token.IgnoredMalformed},
		"RSA of 1024 bits":                           {jwk: foreignJWK(t, rsa, with("n", b64(bytes.Repeat([]byte{0xff}, 128)))), want: token.IgnoredWeak},
		"RSA of 200,000 bits":                        {jwk: foreignJWK(t, rsa, with("n", b64(bytes.Repeat([]byte{0xff}, 25_000)))), want: token.IgnoredWeak},
		"RSA with exponent 3":                        {jwk: foreignJWK(t, rsa, with("e", "Aw")), want: token.IgnoredWeak},
		"RSA with an even modulus":                   {jwk: foreignJWK(t, rsa, with("n", b64(bytes.Repeat([]byte{0xfe}, 256)))), want: token.IgnoredWeak},
		"an Ed25519 point of small order":            {jwk: foreignJWK(t, ed, with("x", b64(append([]byte{1}, make([]byte, 31)...)))), want: token.IgnoredWeak},
		"an Ed25519 point that is no canonical form": {jwk: foreignJWK(t, ed, with("x", b64(bytes.Repeat([]byte{0xff}, 32)))), want: token.IgnoredWeak},
	} {
		t.Run(name, func(t *testing.T) {
			allowed := c.allowed
			if allowed == nil {
				allowed = foreignAlgorithms
			}
			other := newKey(t, "other", allowed[0])
			keys, ignored, err := token.ParseForeignKeySet(foreignSet(t, foreignJWK(t, other, nil), c.jwk), allowed)
			if err != nil {
				t.Fatalf("the whole set is refused: %v", err)
			}
			if len(keys) == 0 || keys[0].ID() != "other" {
				t.Errorf("got %v, want the good key beside it first", keys)
			}
			if c.want == "" {
				if len(keys) != 2 || ignored != nil {
					t.Errorf("got %v, ignored %v, want both keys", keys, ignored)
				}
				return
			}
			if want := []token.IgnoredKey{{Index: 1, Reason: c.want}}; len(keys) != 1 || !slices.Equal(ignored, want) {
				t.Errorf("got %v, ignored %v, want %v", keys, ignored, want)
			}

			// Alone it is no set.
			keys, ignored, err = token.ParseForeignKeySet(foreignSet(t, c.jwk), allowed)
			if err == nil || keys != nil || len(ignored) != 1 {
				t.Errorf("alone: got %v, %v, %v", keys, ignored, err)
			}
		})
	}
}

func TestForeignKeysThatShareAKidAreAllLeftOut(t *testing.T) {
	a, b := newKey(t, "shared", token.ES256), newKey(t, "shared", token.EdDSA)
	bare := map[string]any{"kid": omit}
	good := foreignJWK(t, newKey(t, "good", token.ES256), nil)
	for name, c := range map[string]struct {
		keys []any
		want []token.IgnoredKey
	}{
		"two keys":                   {[]any{foreignJWK(t, a, nil), foreignJWK(t, b, nil)}, []token.IgnoredKey{{Index: 1, Reason: token.IgnoredDuplicateKID}, {Index: 2, Reason: token.IgnoredDuplicateKID}}},
		"one key twice":              {[]any{foreignJWK(t, a, nil), foreignJWK(t, a, nil)}, []token.IgnoredKey{{Index: 1, Reason: token.IgnoredDuplicateKID}, {Index: 2, Reason: token.IgnoredDuplicateKID}}},
		"one key twice, no kid":      {[]any{foreignJWK(t, a, bare), foreignJWK(t, a, bare)}, []token.IgnoredKey{{Index: 1, Reason: token.IgnoredDuplicateKID}, {Index: 2, Reason: token.IgnoredDuplicateKID}}},
		"its thumbprint as a kid":    {[]any{foreignJWK(t, a, bare), foreignJWK(t, b, map[string]any{"kid": a.Thumbprint()})}, []token.IgnoredKey{{Index: 1, Reason: token.IgnoredDuplicateKID}, {Index: 2, Reason: token.IgnoredDuplicateKID}}},
		"with one that is weak":      {[]any{foreignJWK(t, a, nil), foreignJWK(t, b, map[string]any{"x": b64(make([]byte, 32))})}, []token.IgnoredKey{{Index: 1, Reason: token.IgnoredDuplicateKID}, {Index: 2, Reason: token.IgnoredWeak}}},
		"with one of an unknown kty": {[]any{foreignJWK(t, a, nil), map[string]any{"kty": "AKP", "kid": "shared"}}, []token.IgnoredKey{{Index: 1, Reason: token.IgnoredDuplicateKID}, {Index: 2, Reason: token.IgnoredAlgorithm}}},
		"with a symmetric one":       {[]any{foreignJWK(t, a, nil), map[string]any{"kty": "oct", "kid": "shared", "k": "AAAA"}}, []token.IgnoredKey{{Index: 1, Reason: token.IgnoredDuplicateKID}, {Index: 2, Reason: token.IgnoredSymmetric}}},
		"with one for encryption":    {[]any{foreignJWK(t, a, nil), foreignJWK(t, b, map[string]any{"use": "enc"})}, []token.IgnoredKey{{Index: 2, Reason: token.IgnoredUse}}},
	} {
		t.Run(name, func(t *testing.T) {
			keys, ignored, err := token.ParseForeignKeySet(foreignSet(t, append([]any{good}, c.keys...)...), foreignAlgorithms)
			if err != nil || !slices.Equal(ignored, c.want) || len(keys)+len(ignored) != 3 {
				t.Errorf("got %v, ignored %v, %v, want %v", keys, ignored, err, c.want)
			}
		})
	}
}

// An entry without private members is no better when another one of the same key has them.
func TestAForeignKeyWhosePrivatePartIsPublishedIsUsedInNoEntry(t *testing.T) {
	good := newKey(t, "good", token.ES256)
	for _, alg := range foreignAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := newKey(t, "leaked", alg)
			for name, leak := range map[string]map[string]any{
				"under another kid":    privateJWK(t, key, map[string]any{"kid": "backup"}),
				"without a kid":        privateJWK(t, key, map[string]any{"kid": omit}),
				"for encryption":       privateJWK(t, key, map[string]any{"kid": "backup", "use": "enc"}),
				"for an unknown alg":   privateJWK(t, key, map[string]any{"kid": "backup", "alg": "X"}),
				"one private number":   foreignJWK(t, key, map[string]any{"kid": "backup", "d": "AQAB"}),
				"with a stray n and x": foreignJWK(t, key, map[string]any{"kid": "backup", "d": "AQAB", "n": stray(key, "n"), "x": stray(key, "x")}),
				"with another y and e": foreignJWK(t, key, map[string]any{"kid": "backup", "d": "AQAB", "y": "AAAA", "e": "Aw"}),
			} {
				set := foreignSet(t, foreignJWK(t, key, nil), leak, foreignJWK(t, good, nil))
				keys, ignored, err := token.ParseForeignKeySet(set, foreignAlgorithms)
				want := []token.IgnoredKey{{Index: 0, Reason: token.IgnoredPrivate}, {Index: 1, Reason: token.IgnoredPrivate}}
				if err != nil || len(keys) != 1 || keys[0].ID() != "good" || !slices.Equal(ignored, want) {
					t.Errorf("%s: got %v, ignored %v, %v", name, keys, ignored, err)
				}
			}
		})
	}
}

// stray is a member that does not belong to the key; what does belong stays as it is.
func stray(key *token.Key, name string) any {
	if rsa := key.Algorithm()[0] == 'R' || key.Algorithm()[0] == 'P'; rsa == (name == "n") {
		text, _ := key.MarshalPublic()
		var own map[string]any
		_ = json.Unmarshal(text, &own)
		return own[name]
	}
	return "AQ"
}

func TestForeignKeySetsThatAreRefused(t *testing.T) {
	jwk := string(marshal(t, foreignJWK(t, newKey(t, "k", token.ES256), nil)))
	many := make([]any, 101)
	for i := range many {
		many[i] = foreignJWK(t, newKey(t, "k", token.ES256), map[string]any{"kid": fmt.Sprint(i)})
	}
	for name, text := range map[string]string{
		"nothing":                      "",
		"HTML":                         "<!doctype html><title>Sign in</title>",
		"null":                         "null",
		"a list":                       "[" + jwk + "]",
		"an empty object":              "{}",
		"no keys":                      `{"keys":[]}`,
		"keys of null":                 `{"keys":null}`,
		"keys that are an object":      `{"keys":{"k":` + jwk + `}}`,
		"a single JWK":                 jwk,
		"keys in another case":         `{"Keys":[` + jwk + `]}`,
		"keys twice":                   `{"keys":[` + jwk + `],"keys":[]}`,
		"a member of a key twice":      `{"keys":[` + strings.Replace(jwk, `{`, `{"kty":"RSA",`, 1) + `]}`,
		"text behind it":               `{"keys":[` + jwk + `]}x`,
		"cut short":                    `{"keys":[` + jwk + `]`,
		"a byte order mark":            "\ufeff" + `{"keys":[` + jwk + `]}`,
		"broken UTF-8":                 `{"keys":[` + jwk + `],"a":"` + "\xff" + `"}`,
		"too deep":                     `{"keys":[` + jwk + `],"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`,
		"more than 256 KiB":            `{"keys":[` + jwk + `]` + strings.Repeat(" ", 256<<10) + `}`,
		"more than 100 keys":           string(foreignSet(t, many...)),
		"hunter2 is not to be quoted":  `{"keys":[{"kty":"hunter2","kid":"hunter2","alg":"hunter2","use":"hunter2"}]}`,
		"hunter2 is no member to name": `{"hunter2":1,"hunter2":2}`,
	} {
		t.Run(name, func(t *testing.T) {
			keys, ignored, err := token.ParseForeignKeySet([]byte(text), foreignAlgorithms)
			if err == nil || keys != nil {
				t.Fatalf("got %v, %v", keys, err)
			}
			if strings.Contains(fmt.Sprint(err, ignored), "hunter2") {
				t.Errorf("%v, %v quote the text", err, ignored)
			}
		})
	}
	if keys, _, err := token.ParseForeignKeySet(foreignSet(t, many[:100]...), foreignAlgorithms); err != nil || len(keys) != 100 {
		t.Errorf("100 keys: got %d, %v", len(keys), err)
	}
	for name, allowed := range map[string][]token.Algorithm{
		"none": nil, "HS256": {token.ES256, token.HS256}, "unknown": {"none"}, "empty": {""}, "in another case": {"es256"},
	} {
		if _, _, err := token.ParseForeignKeySet([]byte(`{"keys":[`+jwk+`]}`), allowed); err == nil {
			t.Errorf("allowed algorithms %q: accepted", name)
		}
	}
}

// The algorithm is the set's, under the allow-list; a token that names another one of the same key is refused.
func TestAForeignKeyIsForOneAlgorithmWhateverTheTokenSays(t *testing.T) {
	key := newKey(t, "k", token.RS256)
	keys, _, err := token.ParseForeignKeySet(foreignSet(t, foreignJWK(t, key, map[string]any{"alg": omit})), foreignAlgorithms)
	if err != nil {
		t.Fatal(err)
	}
	ring := newRing(t, nil, keys...)
	if _, _, err := ring.Verify(mustSign(t, newRing(t, key), testType, []byte("x"))); err != nil {
		t.Error(err)
	}
	for _, alg := range []token.Algorithm{token.RS384, token.RS512, token.PS256} {
		wantRefused(t, ring, mustSign(t, newRing(t, token.WithAlgorithm(key, alg)), testType, []byte("x")), token.ErrSignature)
	}
}

func TestUnverifiedKeyID(t *testing.T) {
	key := newKey(t, "k", token.ES256)
	good := mustSign(t, newRing(t, key), testType, []byte("x"))
	header := func(text string) string { return b64([]byte(text)) + ".e30.AAAA" }
	for name, c := range map[string]struct {
		raw, want string
		err       error
	}{
		"a token":                     {raw: good, want: "k"},
		"a forged one all the same":   {raw: header(`{"alg":"ES256","kid":"x"}`), want: "x"},
		"a kid with escapes":          {raw: header(`{"alg":"ES256","kid":"\u0078"}`), want: "x"},
		"no kid":                      {raw: header(`{"alg":"ES256"}`)},
		"an empty kid":                {raw: header(`{"alg":"ES256","kid":""}`)},
		"no token":                    {raw: "hello", err: token.ErrMalformed},
		"nothing":                     {raw: "", err: token.ErrMalformed},
		"too long":                    {raw: good + strings.Repeat("A", token.MaxSize), err: token.ErrMalformed},
		"a header that is no JSON":    {raw: "AAAA.e30.AAAA", err: token.ErrMalformed},
		"alg twice":                   {raw: header(`{"alg":"ES256","alg":"ES256","kid":"x"}`), err: token.ErrMalformed},
		"no alg":                      {raw: header(`{"kid":"x"}`), err: token.ErrMalformed},
		"crit":                        {raw: header(`{"alg":"ES256","kid":"x","crit":["b64"]}`), err: token.ErrMalformed},
		"jku":                         {raw: header(`{"alg":"ES256","kid":"x","jku":"https://evil.example"}`), err: token.ErrMalformed},
		"a payload that is no base64": {raw: b64([]byte(`{"alg":"ES256","kid":"x"}`)) + ".e3=.AAAA", err: token.ErrMalformed},
		"a signature with bits left":  {raw: b64([]byte(`{"alg":"ES256","kid":"x"}`)) + ".e30.AB", err: token.ErrMalformed},
		"alg none":                    {raw: header(`{"alg":"none","kid":"x"}`), err: token.ErrSignature},
		"alg HS256":                   {raw: header(`{"alg":"HS256","kid":"x"}`), err: token.ErrSignature},
		"alg in another case":         {raw: header(`{"alg":"es256","kid":"x"}`), err: token.ErrSignature},
		"a kid no key can have":       {raw: header(`{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`), err: token.ErrSignature},
		"a kid with a line break":     {raw: header(`{"alg":"ES256","kid":"a\nb"}`), err: token.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := token.UnverifiedKeyID(c.raw, foreignAlgorithms)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, c.want, c.err)
			}
		})
	}
}

// FuzzForeignKeySet: what the lenient reader takes meets the policy of the strict one, is for an allowed algorithm and
// cannot sign; every other key has a reason.
func FuzzForeignKeySet(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzForeignKeySet"); err != nil || len(seeds) < 10 {
		f.Fatalf("the seeds are missing: %d, %v", len(seeds), err)
	}
	reasons := []token.IgnoreReason{
		token.IgnoredSymmetric, token.IgnoredPrivate, token.IgnoredUse, token.IgnoredAlgorithm, token.IgnoredNoAlgorithm,
		token.IgnoredMalformed, token.IgnoredWeak, token.IgnoredDuplicateKID,
	}
	lists := [][]token.Algorithm{foreignAlgorithms, {token.RS256, token.PS256}, {token.RS512}, {token.ES384, token.EdDSA}}
	f.Fuzz(func(t *testing.T, data []byte, list uint8) {
		allowed := lists[int(list)%len(lists)]
		keys, ignored, err := token.ParseForeignKeySet(data, allowed)
		for _, left := range ignored {
			if !slices.Contains(reasons, left.Reason) {
				t.Errorf("unknown reason %q", left.Reason)
			}
		}
		if err != nil {
			if keys != nil {
				t.Fatal("refused, but gave keys")
			}
			return
		}
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(data, &set); err != nil || len(set.Keys) != len(keys)+len(ignored) {
			t.Fatalf("%d keys and %d reasons for %d entries, %v", len(keys), len(ignored), len(set.Keys), err)
		}
		if _, err := token.NewRing(nil, keys...); err != nil {
			t.Fatalf("the keys make no ring: %v", err)
		}
		for _, key := range keys {
			if key.CanSign() || !slices.Contains(allowed, key.Algorithm()) {
				t.Fatalf("took %v", key)
			}
			if _, err := token.NewKey(key.ID(), key.Algorithm(), token.PublicMaterial(key)); err != nil {
				t.Fatalf("taken against the policy: %v", err)
			}
			jwk, err := key.MarshalPublic()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := token.ParseKey(jwk); err != nil {
				t.Fatalf("%v is refused by the strict reader: %v", key, err)
			}
		}
	})
}

// The largest set there may be.
func BenchmarkParseForeignKeySet(b *testing.B) {
	var keys []any
	for i := range 100 {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		key, err := token.NewKey(fmt.Sprint(i), token.ES256, private)
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, foreignJWK(b, key, nil))
	}
	text := foreignSet(b, keys...)
	for b.Loop() {
		if _, _, err := token.ParseForeignKeySet(text, foreignAlgorithms); err != nil {
			b.Fatal(err)
		}
	}
}
