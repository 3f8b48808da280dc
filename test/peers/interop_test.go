package peers_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/tokenjar/tokenjar/test/peers"
	"github.com/tokenjar/tokenjar/token"
)

var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func clock() time.Time { return testNow }

func newKey(tb testing.TB, id, algorithm string, seed uint64) peers.Key {
	tb.Helper()
	key, err := peers.NewKey(id, algorithm, seed)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func libraries(tb testing.TB, key peers.Key) []peers.Library {
	tb.Helper()
	all, err := peers.Libraries(key, clock)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestWhatOneSignsTheOthersTake(t *testing.T) {
	for _, algorithm := range peers.Algorithms {
		key := newKey(t, "kid / with \"quotes\" and é", algorithm, 1)
		all := libraries(t, key)
		for _, signer := range all {
			raw, err := signer.Sign(map[string]any{"sub": "user-1 \"é\"", "sid": "01JQ5T7W9Z", "scp": []string{"read", "write"}})
			if err != nil {
				t.Errorf("%s: %s does not sign: %v", algorithm, signer.Name(), err)
				continue
			}
			for _, reader := range all {
				t.Run(fmt.Sprintf("%s of %s by %s", algorithm, signer.Name(), reader.Name()), func(t *testing.T) {
					if _, err := reader.Verify(raw); err != nil {
						t.Errorf("signature: %v", err)
					}
					if subject, err := reader.Decode(raw); err != nil || subject != "user-1 \"é\"" {
						t.Errorf("claims: got sub %q, %v", subject, err)
					}
				})
			}
		}
	}
}

func TestAnotherKeyOfTheSameKindIsRefusedByAll(t *testing.T) {
	for _, algorithm := range peers.Algorithms {
		readers := libraries(t, newKey(t, "k", algorithm, 1))
		for _, signer := range libraries(t, newKey(t, "k", algorithm, 2)) {
			raw, err := signer.Sign(map[string]any{"sub": "user-1"})
			if err != nil {
				t.Fatal(err)
			}
			for _, reader := range readers {
				if _, err := reader.Verify(raw); err == nil {
					t.Errorf("%s: %s takes a token of another key", algorithm, reader.Name())
				}
				if _, err := reader.Decode(raw); err == nil {
					t.Errorf("%s: %s decodes a token of another key", algorithm, reader.Name())
				}
			}
		}
	}
}

// generated are keys as the product makes them.
func generated(t *testing.T) map[token.Algorithm]*token.Key {
	t.Helper()
	keys := make(map[token.Algorithm]*token.Key)
	for _, algorithm := range peers.Algorithms {
		alg := token.Algorithm(algorithm)
		if alg == token.RS384 || alg == token.RS512 || alg == token.PS256 {
			continue // generated as for RS256, which takes a while
		}
		key, err := token.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		keys[alg] = key
	}
	return keys
}

func TestOurKeySetIsReadByTheOthers(t *testing.T) {
	keys := generated(t)
	delete(keys, token.HS256)
	var all []*token.Key
	for _, key := range keys {
		all = append(all, key)
	}
	ring, err := token.NewRing(nil, all...)
	if err != nil {
		t.Fatal(err)
	}
	var goJOSE jose.JSONWebKeySet
	if err := json.Unmarshal(ring.JWKS(), &goJOSE); err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	jwx, err := jwk.Parse(ring.JWKS())
	if err != nil {
		t.Fatalf("jwx: %v", err)
	}
	if len(goJOSE.Keys) != len(all) || jwx.Len() != len(all) {
		t.Errorf("go-jose reads %d keys, jwx %d, want %d", len(goJOSE.Keys), jwx.Len(), len(all))
	}
	for alg, key := range keys {
		t.Run(string(alg), func(t *testing.T) {
			// RFC 7638: all three agree on the thumbprint, which is the kid of a generated key.
			found := goJOSE.Key(key.ID())
			if len(found) != 1 || found[0].Algorithm != string(alg) || found[0].Use != "sig" || !found[0].IsPublic() || !found[0].Valid() {
				t.Fatalf("go-jose reads %+v", found)
			}
			thumbprint, err := found[0].Thumbprint(crypto.SHA256)
			if got := base64.RawURLEncoding.EncodeToString(thumbprint); err != nil || got != key.ID() || got != key.Thumbprint() {
				t.Errorf("go-jose's thumbprint is %q, %v; ours %q, the kid %q", got, err, key.Thumbprint(), key.ID())
			}
			other, ok := jwx.LookupKeyID(key.ID())
			if !ok {
				t.Fatal("jwx does not find the kid")
			}
			if readAlg, _ := other.Algorithm(); readAlg == nil || readAlg.String() != string(alg) {
				t.Errorf("jwx reads alg %v", readAlg)
			}
			thumbprint, err = other.Thumbprint(crypto.SHA256)
			if got := base64.RawURLEncoding.EncodeToString(thumbprint); err != nil || got != key.ID() {
				t.Errorf("jwx's thumbprint is %q, %v, want %q", got, err, key.ID())
			}
		})
	}
}

func TestOurPrivateKeysAreReadByTheOthers(t *testing.T) {
	for alg, key := range generated(t) {
		t.Run(string(alg), func(t *testing.T) {
			data, err := key.MarshalPrivate()
			if err != nil {
				t.Fatal(err)
			}
			var goJOSE jose.JSONWebKey
			if err := json.Unmarshal(data, &goJOSE); err != nil {
				t.Fatalf("go-jose: %v", err)
			}
			jwx, err := jwk.ParseKey(data)
			if err != nil {
				t.Fatalf("jwx: %v", err)
			}
			var fromJWX any
			if err := jwk.Export(jwx, &fromJWX); err != nil {
				t.Fatalf("jwx: %v", err)
			}
			for name, material := range map[string]any{"go-jose": goJOSE.Key, "jwx": fromJWX} {
				again, err := token.NewKey(key.ID(), alg, material)
				if err != nil {
					t.Errorf("%s gives %T: %v", name, material, err)
					continue
				}
				if second, err := again.MarshalPrivate(); err != nil || string(second) != string(data) {
					t.Errorf("another key comes back from %s, %v", name, err)
				}
			}
		})
	}
}

func TestTheirKeySetsAreReadByUs(t *testing.T) {
	for _, algorithm := range peers.Algorithms {
		key := newKey(t, "k", algorithm, 1)
		raw, err := libraries(t, key)[0].Sign(map[string]any{"sub": "user-1"})
		if err != nil {
			t.Fatal(err)
		}
		goJOSE, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: key.Public, KeyID: "k", Algorithm: algorithm, Use: "sig"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		imported, err := jwk.Import(key.Public)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"kid": "k", "alg": algorithm, "use": "sig"} {
			if err := imported.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		set := jwk.NewSet()
		if err := set.AddKey(imported); err != nil {
			t.Fatal(err)
		}
		jwx, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"go-jose": goJOSE, "jwx": jwx} {
			t.Run(algorithm+" of "+name, func(t *testing.T) {
				keys, err := token.ParseKeySet(data)
				if err != nil {
					t.Fatal(err)
				}
				ring, err := token.NewRing(nil, keys...)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := ring.Verify(raw); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
