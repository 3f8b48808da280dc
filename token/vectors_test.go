package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/tokenjar/tokenjar/internal/vectors"
	"github.com/tokenjar/tokenjar/token"
)

const (
	unsupported = "algorithm not offered (PS384, PS512, HS384, HS512); its key is refused at load"
	pinned      = "the header's algorithm is not the key's (a key for PS256, a header of PS384); RFC 8725 section 3.1"
	noSuchAlg   = "the key says ES521, which is no algorithm"
	zeroKey     = "the HMAC key is all zero, a well-known sample; refused at load. Run below without key policy"
	rfc7520Key  = "the HMAC key is the sample printed in RFC 7520; refused at load. Run below without key policy"
	countingKey = "the HMAC key counts 00 01 02 ..., a pattern; refused at load. Run below without key policy"
	smallExp    = "the public exponent is 3; refused at load"
	sameText    = "the text is that of the valid case 357, byte for byte"
	strayChar   = "a question mark inside base64url; RFC 7515 section 2"
)

// deviations are the cases where we differ from a vector's verdict, and why. Whatever differs and is not here, or is
// here and does not differ, fails.
var deviations = map[string]map[int]string{
	"json_web_signature_test.json": {
		320: unsupported, 321: unsupported, 322: unsupported, 323: unsupported,
		325: unsupported, 326: unsupported, 327: unsupported, 328: unsupported,
		346: pinned, 350: pinned, 347: noSuchAlg, 351: noSuchAlg,
		348: rfc7520Key, 352: rfc7520Key,
		357: zeroKey, 358: zeroKey, 359: zeroKey, 376: zeroKey, 377: zeroKey,
		372: strayChar, 373: strayChar, // and the zero key
	},
	"rsa_signature_2048_sha256_test.json": {258: smallExp, 259: smallExp},
	"json_web_key_test.json":              {13: countingKey, 14: unsupported, 15: unsupported},
	// HS256 keys again, loaded without policy so that the token layer itself is tried.
	"json_web_signature_test.json without key policy": {367: sameText, 370: sameText, 372: strayChar, 373: strayChar},
}

type joseGroup struct {
	Type            string
	Comment         string
	Private, Public json.RawMessage
	Tests           []struct {
		ID      int `json:"tcId"`
		Comment string
		JWS     json.RawMessage
		JWE     json.RawMessage
		Result  string
	}
}

// compactText is the vector's token: the string, or the raw JSON where the case is a JSON object.
func compactText(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// judge compares verdicts and crosses off expected deviations.
type judge struct {
	*testing.T
	open     map[int]string
	executed int
}

func newJudge(t *testing.T, table string) *judge {
	return &judge{T: t, open: maps.Clone(deviations[table])}
}

func (j *judge) verdict(id int, comment, want string, err error) {
	j.executed++
	if (err == nil) == (want == "valid") {
		return
	}
	if _, known := j.open[id]; known {
		delete(j.open, id)
		return
	}
	j.Errorf("tcId %d %s: got %v, want %s", id, comment, err, want)
}

func (j *judge) finish(want int) {
	if j.executed != want {
		j.Errorf("%d cases were run, want %d", j.executed, want)
	}
	for _, id := range slices.Sorted(maps.Keys(j.open)) {
		j.Errorf("tcId %d is listed as a deviation but agrees", id)
	}
}

// ring loads a group's keys as an operator's would be loaded.
func (g *joseGroup) ring() (*token.Ring, error) {
	source := g.Public
	if source == nil {
		source = g.Private
	}
	keys, err := token.ParseKeySet(source)
	if err != nil {
		return nil, err
	}
	return token.NewRing(nil, keys...)
}

func TestWycheproofSignaturesAndKeys(t *testing.T) {
	for file, count := range map[string]int{
		"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 49,
	} {
		t.Run(file, func(t *testing.T) {
			var doc struct{ TestGroups []joseGroup }
			vectors.Read(t, file, &doc)
			j := newJudge(t, file)
			for _, group := range doc.TestGroups {
				ring, loadError := group.ring()
				for _, c := range group.Tests {
					if c.JWS == nil {
						continue // JWE, below
					}
					err := loadError
					if ring != nil {
						_, _, err = ring.Verify(compactText(c.JWS))
					}
					j.verdict(c.ID, c.Comment, c.Result, err)
				}
			}
			j.finish(count)
		})
	}
}

// TestWycheproofWithoutKeyPolicy runs the groups of HS256 keys that the policy refuses, so that their tokens are
// judged at all.
func TestWycheproofWithoutKeyPolicy(t *testing.T) {
	run := func(t *testing.T, file, table string, groups map[string]bool, count int) {
		var doc struct{ TestGroups []joseGroup }
		vectors.Read(t, file, &doc)
		j := newJudge(t, table)
		for _, group := range doc.TestGroups {
			var jwk struct {
				Alg, Kid string
				K        string
				Keys     []struct{ Alg, Kid, K string }
			}
			if err := json.Unmarshal(group.Private, &jwk); err != nil {
				t.Fatal(err)
			}
			if len(jwk.Keys) == 1 {
				jwk.Alg, jwk.Kid, jwk.K = jwk.Keys[0].Alg, jwk.Keys[0].Kid, jwk.Keys[0].K
			}
			if jwk.Alg != "HS256" || !groups[jwk.Kid] {
				continue
			}
			ring := newRing(t, token.UncheckedHMACKey(jwk.Kid, fromB64(t, jwk.K)))
			for _, c := range group.Tests {
				_, _, err := ring.Verify(compactText(c.JWS))
				j.verdict(c.ID, c.Comment, c.Result, err)
			}
		}
		j.finish(count)
	}
	t.Run("signature file", func(t *testing.T) {
		kids := map[string]bool{"hs256-key": true, "018c0ae5-4d9b-471b-bfd6-eef314bc7037": true}
		run(t, "json_web_signature_test.json", "json_web_signature_test.json without key policy", kids, 23)
	})
	t.Run("key file", func(t *testing.T) {
		run(t, "json_web_key_test.json", "none", map[string]bool{"long_hs256_key": true}, 1)
	})
}

func TestWycheproofEncryptionIsRefused(t *testing.T) {
	// J-14 J-35: no JWE is a token, whatever keys the ring has; nor are the keys of encryption keys of ours.
	rings := []*token.Ring{newRing(t, newKey(t, "k", token.HS256)), newRing(t, newKey(t, "k", token.RS256))}
	for file, count := range map[string]int{"json_web_encryption_test.json": 139, "json_web_crypto_test.json": 34} {
		t.Run(file, func(t *testing.T) {
			var doc struct{ TestGroups []joseGroup }
			vectors.Read(t, file, &doc)
			executed := 0
			for _, group := range doc.TestGroups {
				ring, _ := group.ring()
				for _, c := range group.Tests {
					if c.JWE == nil {
						continue
					}
					executed++
					if ring != nil {
						t.Errorf("tcId %d: a key for encryption was loaded", c.ID)
					}
					for _, ring := range rings {
						wantRefused(t, ring, compactText(c.JWE), token.ErrMalformed)
					}
				}
			}
			if executed != count {
				t.Errorf("%d cases were run, want %d", executed, count)
			}
		})
	}
}

// The primitive below the token layer: J-30, J-31.

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type rawGroup struct {
	PublicKeyDER string `json:"publicKeyDer"`
	PublicKey    struct {
		PK           string `json:"pk"`
		Uncompressed string `json:"uncompressed"`
	}
	TagSize int
	Tests   []struct {
		ID                          int `json:"tcId"`
		Comment, Msg, Sig, Key, Tag string
		Result                      string
	}
}

func TestWycheproofPrimitives(t *testing.T) {
	point := func(curve elliptic.Curve) func(*testing.T, rawGroup) any {
		return func(t *testing.T, g rawGroup) any {
			public, err := ecdsa.ParseUncompressedPublicKey(curve, fromHex(t, g.PublicKey.Uncompressed))
			if err != nil {
				t.Fatal(err)
			}
			return public
		}
	}
	der := func(t *testing.T, g rawGroup) any {
		public, err := x509.ParsePKIXPublicKey(fromHex(t, g.PublicKeyDER))
		if err != nil {
			t.Fatal(err)
		}
		return public.(*rsa.PublicKey)
	}
	for _, c := range []struct {
		file  string
		alg   token.Algorithm
		count int
		key   func(*testing.T, rawGroup) any
	}{
		{"ed25519_test.json", token.EdDSA, 151, func(t *testing.T, g rawGroup) any { return ed25519.PublicKey(fromHex(t, g.PublicKey.PK)) }},
		{"ecdsa_secp256r1_sha256_p1363_test.json", token.ES256, 262, point(elliptic.P256())},
		{"ecdsa_secp384r1_sha384_p1363_test.json", token.ES384, 280, point(elliptic.P384())},
		{"rsa_signature_2048_sha256_test.json", token.RS256, 259, der},
		{"rsa_pss_2048_sha256_mgf1_32_test.json", token.PS256, 108, der},
	} {
		t.Run("J-30 J-31 "+c.file, func(t *testing.T) {
			var doc struct{ TestGroups []rawGroup }
			vectors.Read(t, c.file, &doc)
			j := newJudge(t, c.file)
			for _, group := range doc.TestGroups {
				key, loadError := token.NewKey("k", c.alg, c.key(t, group))
				for _, test := range group.Tests {
					err := loadError
					if err == nil && !token.VerifyPrimitive(key, fromHex(t, test.Msg), fromHex(t, test.Sig)) {
						err = token.ErrSignature
					}
					// The one "acceptable" case has a DigestInfo without NULL, which RFC 8017 lets a verifier refuse.
					j.verdict(test.ID, test.Comment, test.Result, err)
				}
			}
			j.finish(c.count)
		})
	}
	t.Run("J-27 hmac_sha256_test.json", func(t *testing.T) {
		var doc struct{ TestGroups []rawGroup }
		vectors.Read(t, "hmac_sha256_test.json", &doc)
		executed := 0
		for _, group := range doc.TestGroups {
			for _, test := range group.Tests {
				executed++
				key := token.UncheckedHMACKey("k", fromHex(t, test.Key))
				// A JWS has the whole tag: the truncated ones, good or not, must be refused.
				want := test.Result == "valid" && group.TagSize == 256
				if got := token.VerifyPrimitive(key, fromHex(t, test.Msg), fromHex(t, test.Tag)); got != want {
					t.Errorf("tcId %d %s: got %v, want %v", test.ID, test.Comment, got, want)
				}
			}
		}
		if executed != 174 {
			t.Errorf("%d cases were run, want 174", executed)
		}
	})
	t.Run("P-521 is not offered", func(t *testing.T) {
		var doc struct{ TestGroups []rawGroup }
		vectors.Read(t, "ecdsa_secp521r1_sha512_p1363_test.json", &doc)
		executed := 0
		for _, group := range doc.TestGroups {
			executed += len(group.Tests)
			public := point(elliptic.P521())(t, group)
			for _, alg := range []token.Algorithm{token.ES256, token.ES384, "ES512"} {
				if _, err := token.NewKey("k", alg, public); err == nil {
					t.Errorf("%s takes a P-521 key", alg)
				}
			}
		}
		if executed != 318 {
			t.Errorf("%d cases were seen, want 318", executed)
		}
	})
}
