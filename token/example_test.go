package token_test

import (
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
