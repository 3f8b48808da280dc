package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// A service issues an access token, and a service behind it, which knows only the published keys, takes it.
func Example() {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		log.Fatal(err)
	}
	ring, err := token.NewRing(key)
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	})
	if err != nil {
		log.Fatal(err)
	}
	raw, err := encoder.Encode(token.Claims{"sub": "user-1", "scope": "read"}, 5*time.Minute)
	if err != nil {
		log.Fatal(err)
	}

	// On the other side: ring.JWKS() is what /.well-known/jwks.json serves.
	published, err := token.ParseKeySet(ring.JWKS())
	if err != nil {
		log.Fatal(err)
	}
	verifying, err := token.NewRing(nil, published...)
	if err != nil {
		log.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: verifying, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
		Rules: map[string]token.Rule{"scope": {Essential: true, Values: []any{"read", "write"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := decoder.Decode(raw)
	fmt.Println(claims.String("sub"), claims.Audience(), err)

	// The same token is no refresh token, and a change to it is no token at all.
	refresh, err := token.NewDecoder(token.DecoderConfig{
		Keys: verifying, Type: "rt+jwt", Issuer: "https://id.example", Audience: "https://id.example",
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = refresh.Decode(raw)
	fmt.Println(errors.Is(err, token.ErrType))
	_, err = decoder.Decode(raw[:len(raw)-4] + "AAAA")
	fmt.Println(errors.Is(err, token.ErrSignature))
	// Output:
	// user-1 [https://api.example] <nil>
	// true
	// true
}

// Rotation: the next key is published first, then signs, while the old one still verifies.
func ExampleNewRing() {
	old, err := token.GenerateKey(token.EdDSA)
	if err != nil {
		log.Fatal(err)
	}
	next, err := token.GenerateKey(token.EdDSA)
	if err != nil {
		log.Fatal(err)
	}
	before, err := token.NewRing(old, next.Public())
	if err != nil {
		log.Fatal(err)
	}
	after, err := token.NewRing(next, old.Public())
	if err != nil {
		log.Fatal(err)
	}
	raw, err := before.Sign("example+jwt", []byte("signed before the rotation"))
	if err != nil {
		log.Fatal(err)
	}
	header, payload, err := after.Verify(raw)
	fmt.Println(header.KeyID == old.ID(), string(payload), err)
	// Output: true signed before the rotation <nil>
}

// privateKeyPEM makes what an operator would keep in the setting JWT_PRIVATE_KEY.
func privateKeyPEM() []byte {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		log.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// One program that signs and verifies, with a key in PEM from a setting.
func ExampleParseKeys() {
	setting := privateKeyPEM() // []byte(os.Getenv("JWT_PRIVATE_KEY"))

	keys, err := token.ParseKeys("JWT_PRIVATE_KEY", setting)
	if err != nil {
		log.Fatal(err) // such as "JWT_PRIVATE_KEY: is required"
	}
	ring, err := token.NewRing(keys[0])
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://shop.example", Audience: "https://shop.example",
	})
	if err != nil {
		log.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://shop.example", Audience: "https://shop.example",
	})
	if err != nil {
		log.Fatal(err)
	}

	raw, err := encoder.Encode(token.Claims{"sub": "user-1", "basket": 42}, 5*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	claims, err := decoder.Decode(raw)
	if err != nil {
		log.Fatal(err)
	}
	basket, _ := claims.Int("basket")
	fmt.Println(claims.String("sub"), basket)

	_, err = token.ParseKeys("JWT_PRIVATE_KEY", []byte(" "))
	fmt.Println(err)
	// Output:
	// user-1 42
	// JWT_PRIVATE_KEY: is required
}

// Demands on claims are written down once, where the decoder is made.
func ExampleRule() {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		log.Fatal(err)
	}
	ring, err := token.NewRing(key)
	if err != nil {
		log.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
		Rules: map[string]token.Rule{
			"sub":       {Essential: true},                                 // there, and not blank
			"client_id": {Essential: true, Value: "web"},                   // this very value
			"scope":     {Essential: true, Values: []any{"read", "write"}}, // one of these; of a list, one element
			"tenant":    {Value: 7},                                        // if there, then 7
			"nickname":  {AllowBlank: true},                                // may be "" or null
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, claims := range []token.Claims{
		{"sub": "user-1", "client_id": "web", "scope": []string{"read", "list"}, "nickname": ""},
		{"sub": "user-1", "client_id": "app", "scope": "read"},
		{"client_id": "web", "scope": "read"},
		{"sub": "user-1", "client_id": "web", "scope": "read", "tenant": 8},
	} {
		raw, err := encoder.Encode(claims, time.Minute)
		if err != nil {
			log.Fatal(err)
		}
		_, err = decoder.Decode(raw)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// token: claim client_id: value not allowed
	// token: claim sub: missing
	// token: claim tenant: value not allowed
}

// Keys rotate while tokens are issued and taken: the next key is published, then it signs, then the old one goes. Their kids
// are the RFC 7638 thumbprints of the keys.
func ExampleLiveRing() {
	var keys [2]*token.Key
	for i := range keys {
		var err error
		if keys[i], err = token.GenerateKey(token.EdDSA); err != nil {
			log.Fatal(err)
		}
	}
	old, next := keys[0], keys[1]
	fmt.Println("kid is the thumbprint:", old.ID() == old.Thumbprint())

	// ring makes the ring of each stage.
	ring := func(signing *token.Key, verifying ...*token.Key) *token.Ring {
		r, err := token.NewRing(signing, verifying...)
		if err != nil {
			log.Fatal(err)
		}
		return r
	}
	live, err := token.NewLiveRing(ring(old))
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: live, Type: "at+jwt", Issuer: "i", Audience: "a"})
	if err != nil {
		log.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: live, Type: "at+jwt", Issuer: "i", Audience: "a"})
	if err != nil {
		log.Fatal(err)
	}
	first, err := encoder.Encode(token.Claims{"sub": "user-1"}, 5*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	for _, stage := range []struct {
		name string
		ring *token.Ring
	}{
		{"the next key is published", ring(old, next.Public())}, // for as long as others keep the key set
		{"the next key signs", ring(next, old.Public())},        // until the last token of the old one is dead
		{"the old key is gone", ring(next)},
	} {
		if err := live.Replace(stage.ring); err != nil {
			log.Fatal(err)
		}
		_, err := decoder.Decode(first)
		fmt.Printf("%s: %v\n", stage.name, err)
	}
	// Output:
	// kid is the thumbprint: true
	// the next key is published: <nil>
	// the next key signs: <nil>
	// the old key is gone: token: signature does not verify
}

// On the road of every request a cache stands in front of the decoder.
func ExampleCache() {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		log.Fatal(err)
	}
	ring, err := token.NewRing(key)
	if err != nil {
		log.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: ring, Type: "at+jwt", Issuer: "i", Audience: "a"})
	if err != nil {
		log.Fatal(err)
	}
	cache, err := token.NewCache(decoder)
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "at+jwt", Issuer: "i", Audience: "a"})
	if err != nil {
		log.Fatal(err)
	}
	raw, err := encoder.Encode(token.Claims{"sub": "user-1", "sid": "session-1"}, 5*time.Minute)
	if err != nil {
		log.Fatal(err)
	}

	ended := map[string]bool{} // the caller's knowledge: the cache has none of it
	for range 3 {
		verified, err := cache.Verify(context.Background(), raw)
		if err != nil {
			log.Fatal(err)
		}
		session := verified.Claims().String("sid")
		fmt.Println(verified.Subject(), "ended:", ended[session])
		ended[session] = true
	}
	fmt.Printf("%+v\n", cache.Stats())
	// Output:
	// user-1 ended: false
	// user-1 ended: true
	// user-1 ended: true
	// {Hits:2 Misses:1}
}
