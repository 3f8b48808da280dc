package peers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/tokenjar/tokenjar/internal/vectors"
	"github.com/tokenjar/tokenjar/test/peers"
	"github.com/tokenjar/tokenjar/token"
)

// Project Wycheproof's tokens, each with the keys its group gives, read by every library's own loader.

type vectorGroup struct {
	Private, Public json.RawMessage
	Tests           []struct {
		ID      int `json:"tcId"`
		Comment string
		JWS     json.RawMessage
		Result  string
	}
}

// A loaded is one library with the keys of a group.
type loaded struct {
	name   string
	verify func(raw string) ([]byte, error)
}

func (l loaded) Name() string                        { return l.name }
func (l loaded) Verify(raw string) ([]byte, error)   { return l.verify(raw) }
func (l loaded) Decode(string) (string, error)       { return "", errors.New("not asked") }
func (l loaded) Sign(map[string]any) (string, error) { return "", errors.New("not asked") }

// load has every library read the keys. A library that refuses them refuses the tokens.
func load(keys json.RawMessage) []peers.Library {
	refuse := func(name string, err error) loaded {
		return loaded{name, func(string) ([]byte, error) { return nil, err }}
	}
	var all []peers.Library

	ours := func() (loaded, error) {
		parsed, err := token.ParseKeySet(keys)
		if err != nil {
			return loaded{}, err
		}
		ring, err := token.NewRing(nil, parsed...)
		return loaded{"tokenjar", func(raw string) ([]byte, error) { _, payload, err := ring.Verify(raw); return payload, err }}, err
	}

	var set jose.JSONWebKeySet
	goJOSEErr := json.Unmarshal(keys, &set)
	if goJOSEErr == nil && len(set.Keys) == 0 {
		var single jose.JSONWebKey
		goJOSEErr = json.Unmarshal(keys, &single)
		set.Keys = []jose.JSONWebKey{single}
	}
	var allowed []jose.SignatureAlgorithm
	var methods []string
	for _, key := range set.Keys {
		allowed, methods = append(allowed, jose.SignatureAlgorithm(key.Algorithm)), append(methods, key.Algorithm)
	}

	golangJWT := func() (loaded, error) {
		// It has no loader; the application gets the keys from another library and looks for the kid.
		choose := func(parsed *jwt.Token) (any, error) {
			kid, named := parsed.Header["kid"]
			for _, key := range set.Keys {
				if (!named || kid == key.KeyID) && key.Algorithm == parsed.Method.Alg() {
					return key.Key, nil
				}
			}
			return nil, errors.New("no such key")
		}
		parser := jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
		return loaded{"golang-jwt", func(raw string) ([]byte, error) {
			claims := new(anyPayload)
			_, err := parser.ParseWithClaims(raw, claims, choose)
			return claims.text, err
		}}, goJOSEErr
	}

	goJOSE := func() (loaded, error) {
		return loaded{"go-jose", func(raw string) ([]byte, error) {
			parsed, err := jose.ParseSignedCompact(raw, allowed)
			if err != nil {
				return nil, err
			}
			if len(set.Keys) == 1 {
				return parsed.Verify(set.Keys[0])
			}
			return parsed.Verify(set)
		}}, goJOSEErr
	}

	jwx := func() (loaded, error) {
		set, err := jwk.Parse(keys)
		return loaded{"jwx", func(raw string) ([]byte, error) {
			return jws.Verify([]byte(raw), jws.WithKeySet(set, jws.WithRequireKid(false)), jws.WithCompact(), jws.WithAlgorithmMatch(true),
				jws.WithCritValidation(true), jws.WithValidateKey(true))
		}}, err
	}

	for i, library := range []func() (loaded, error){ours, golangJWT, goJOSE, jwx} {
		l, err := library()
		if err != nil {
			l = refuse([]string{"tokenjar", "golang-jwt", "go-jose", "jwx"}[i], err)
		}
		all = append(all, l)
	}
	return all
}

type anyPayload struct {
	jwt.MapClaims
	text []byte
}

func (p *anyPayload) UnmarshalJSON(text []byte) error { p.text = bytes.Clone(text); return nil }

func TestWycheproof(t *testing.T) {
	total := newReport()
	right := make(map[string]int)
	executed := 0
	for file, count := range map[string]int{
		"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 49,
	} {
		var doc struct{ TestGroups []vectorGroup }
		vectors.Read(t, file, &doc)
		before := executed
		for _, group := range doc.TestGroups {
			keys := group.Public
			if keys == nil {
				keys = group.Private
			}
			all := load(keys)
			for _, c := range group.Tests {
				if c.JWS == nil {
					continue // JWE
				}
				executed++
				var raw string
				if json.Unmarshal(c.JWS, &raw) != nil {
					raw = string(c.JWS) // a JSON serialisation
				}
				verdicts, payloads := make([]error, len(all)), make([][]byte, len(all))
				for i, library := range all {
					payloads[i], verdicts[i] = library.Verify(raw)
					if (verdicts[i] == nil) == (c.Result == "valid") {
						right[library.Name()]++
					}
					if verdicts[0] == nil && verdicts[i] == nil && !bytes.Equal(payloads[i], payloads[0]) {
						t.Errorf("%s %d: we read %q, %s %q", file, c.ID, payloads[0], library.Name(), payloads[i])
					}
				}
				total.file(all, signature, fmt.Sprintf("%s %s: %s", file, c.Result, c.Comment), raw, verdicts)
			}
		}
		if executed-before != count {
			t.Errorf("%s: %d cases were run, want %d", file, executed-before, count)
		}
	}
	t.Logf("%d cases; as Wycheproof has it: %v", executed, right)
	compare(t, total, differences(vectorsLaxer), differences(vectorsStricter))
}
