package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// orFatal ends the program where a step at its start goes wrong.
func orFatal[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// A service issues an access token, and a service behind it, which knows only the published keys, takes it.
func Example() {
	key := orFatal(token.GenerateKey(token.ES256))
	ring := orFatal(token.NewRing(key))
	encoder := orFatal(token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	}))
	raw := orFatal(encoder.Encode(token.Claims{"sub": "user-1", "scope": "read"}, 5*time.Minute))

	// On the other side: ring.JWKS() is what /.well-known/jwks.json serves.
	published := orFatal(token.ParseKeySet(ring.JWKS()))
	verifying := orFatal(token.NewRing(nil, published...))
	decoder := orFatal(token.NewDecoder(token.DecoderConfig{
		Keys: verifying, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
		Rules: map[string]token.Rule{"scope": {Essential: true, Values: []any{"read", "write"}}},
	}))
	claims, err := decoder.Decode(raw)
	fmt.Println(claims.String("sub"), claims.Audience(), err)

	// The same token is no refresh token, and a change to it is no token at all.
	refresh := orFatal(token.NewDecoder(token.DecoderConfig{
		Keys: verifying, Type: "rt+jwt", Issuer: "https://id.example", Audience: "https://id.example",
	}))
	_, err = refresh.Decode(raw)
	fmt.Println(errors.Is(err, token.ErrType))
	_, err = decoder.Decode(raw[:len(raw)-4] + "AAAA")
	fmt.Println(errors.Is(err, token.ErrSignature))
	// Output:
	// user-1 [https://api.example] <nil>
	// true
	// true
}

// One key signs and several verify: the one before, and the one to come. All are published, and a token finds its key by the
// kid, which is the RFC 7638 thumbprint.
func ExampleNewRing() {
	old := orFatal(token.GenerateKey(token.EdDSA))
	key := orFatal(token.GenerateKey(token.EdDSA))
	next := orFatal(token.GenerateKey(token.EdDSA))

	before := orFatal(token.NewRing(old, key.Public()))
	now := orFatal(token.NewRing(key, old.Public(), next.Public()))
	fmt.Println(len(orFatal(token.ParseKeySet(now.JWKS()))), "keys are published")

	for _, raw := range []string{
		orFatal(before.Sign("example+jwt", []byte("of the old key"))),
		orFatal(now.Sign("example+jwt", []byte("of the key"))),
	} {
		header, payload, err := now.Verify(raw)
		fmt.Println(string(payload), header.KeyID == old.Thumbprint(), header.KeyID == key.Thumbprint(), err)
	}
	// Output:
	// 3 keys are published
	// of the old key true false <nil>
	// of the key false true <nil>
}

// privateKeyPEM makes what an operator would keep in the setting JWT_PRIVATE_KEY.
func privateKeyPEM() []byte {
	private := orFatal(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := orFatal(x509.MarshalPKCS8PrivateKey(private))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// One program that signs and verifies, with a key in PEM from a setting.
func ExampleParseKeys() {
	setting := privateKeyPEM() // []byte(os.Getenv("JWT_PRIVATE_KEY"))

	keys := orFatal(token.ParseKeys("JWT_PRIVATE_KEY", setting))
	ring := orFatal(token.NewRing(keys[0]))
	encoder := orFatal(token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://shop.example", Audience: "https://shop.example",
	}))
	decoder := orFatal(token.NewDecoder(token.DecoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://shop.example", Audience: "https://shop.example",
	}))

	raw := orFatal(encoder.Encode(token.Claims{"sub": "user-1", "basket": 42}, 5*time.Minute))
	claims := orFatal(decoder.Decode(raw))
	basket, _ := claims.Int("basket")
	fmt.Println(claims.String("sub"), basket)

	// Output: user-1 42
}

// A key that is missing or wrong stops the program at its start, with a sentence for whoever runs it.
func ExampleParseSigningKey_mistakes() {
	for _, setting := range []string{
		"",
		"/run/secrets/jwt.pem", // the file's name in place of what is in it
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		`{"kty":"oct","alg":"HS256","kid":"1","k":"c2VjcmV0"}`,
		string(orFatal(orFatal(token.GenerateKey(token.ES256)).MarshalPublic())), // the other half of the pair
	} {
		_, err := token.ParseSigningKey("JWT_PRIVATE_KEY", []byte(setting))
		fmt.Println(err)
	}
	// Output:
	// JWT_PRIVATE_KEY: is required
	// JWT_PRIVATE_KEY: is neither PEM nor a JWK or a JWK Set: PEM begins with -----BEGIN, the others with {
	// JWT_PRIVATE_KEY: PEM: this is a certificate, not a key: take the key out of it, as with openssl x509 -pubkey
	// JWT_PRIVATE_KEY: HS256 key: secret is shorter than 32 bytes
	// JWT_PRIVATE_KEY: is a public key: the private one is needed to sign
}

// Keys as JWK text. The algorithm is the key's; its kid is what the text says, or else the RFC 7638 thumbprint, except for
// HMAC, where a thumbprint would tell something about the secret.
func ExampleParseKey() {
	for _, jwk := range []string{
		`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
			`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`,
		rsaJWK("signing-2026"),
		`{"kty":"oct","alg":"HS256","kid":"internal","k":"2m0zNJQ3qLxcPZ6C9mDnTgYt5yXb8WkAs1RfHv7Ue4o"}`,
	} {
		key := orFatal(token.ParseKey([]byte(jwk)))
		ring := orFatal(token.NewRing(key))
		raw := orFatal(ring.Sign("example+jwt", []byte("hello")))
		header, payload, err := ring.Verify(raw)
		fmt.Println(header.Algorithm, header.KeyID, string(payload), err)
	}
	// Output:
	// ES256 oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U hello <nil>
	// RS256 signing-2026 hello <nil>
	// HS256 internal hello <nil>
}

// rsaJWK makes a private RSA key as JWK text.
func rsaJWK(kid string) string {
	key := orFatal(token.NewKey(kid, token.RS256, orFatal(rsa.GenerateKey(rand.Reader, 2048))))
	return string(orFatal(key.MarshalPrivate()))
}

// Complete is Encode without the signature: it fills in issuer, audience and times as any helper of a program would, for a
// caller that has to know jti or exp, and names what nobody has given.
func ExampleEncoder_Complete() {
	ring := orFatal(token.NewRing(orFatal(token.GenerateKey(token.ES256))))
	encoder := orFatal(token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", // and an audience with each token
		Now: func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) },
	}))

	claims := orFatal(encoder.Complete(token.Claims{"sub": "user-1", "aud": "https://api.example"}, 5*time.Minute))
	issued, _ := claims.Time("iat")
	expires, _ := claims.Time("exp")
	fmt.Println(claims.String("iss"), claims.Audience(), expires.Sub(issued), len(claims.String("jti")))

	orFatal(encoder.Sign(claims)) // once the jti has been written down

	_, err := encoder.Complete(token.Claims{"sub": "user-1"}, 5*time.Minute)
	fmt.Println(err)
	_, err = encoder.Complete(token.Claims{"sub": "user-1", "aud": "https://api.example", "exp": 1}, 5*time.Minute)
	fmt.Println(err)
	// Output:
	// https://id.example [https://api.example] 5m0s 26
	// token: claim aud: missing: give it in the claims, or set EncoderConfig.Audience
	// token: claim exp: set by the encoder alone
}

// An issuer that leaves aud out of its access tokens. The decoder wants that spelled out, since every token of the issuer
// would do then, for whatever service it was made; a Rule for client_id says whose tokens are meant.
func ExampleDecoderConfig_openAudience() {
	issuer := orFatal(token.NewRing(orFatal(token.GenerateKey(token.RS256)))) // its keys: see package jwks
	config := token.DecoderConfig{Keys: issuer, Type: "at+jwt", Issuer: "https://id.example"}
	_, err := token.NewDecoder(config)
	fmt.Println(err)

	config.InsecureAnyAudience = true
	config.Rules = map[string]token.Rule{"client_id": {Essential: true, Value: "our-app"}}
	decoder := orFatal(token.NewDecoder(config))

	for _, client := range []string{`"client_id":"our-app",`, `"client_id":"another-app",`, ``} {
		payload := `{"iss":"https://id.example","sub":"user-1",` + client + `"exp":4102444800}`
		_, err := decoder.Decode(orFatal(issuer.Sign("at+jwt", []byte(payload))))
		fmt.Println(err)
	}
	// Output:
	// token: DecoderConfig.Audience is required: left empty it would mean any, for which there is InsecureAnyAudience
	// <nil>
	// token: claim client_id: value not allowed
	// token: claim client_id: missing
}

// Demands on claims are written down once, where the decoder is made.
func ExampleRule() {
	key := orFatal(token.GenerateKey(token.ES256))
	ring := orFatal(token.NewRing(key))
	decoder := orFatal(token.NewDecoder(token.DecoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
		Rules: map[string]token.Rule{
			"sub":       {Essential: true},                                 // there, and not blank
			"client_id": {Essential: true, Value: "web"},                   // this very value
			"scope":     {Essential: true, Values: []any{"read", "write"}}, // one of these; of a list, one element
			"tenant":    {Value: 7},                                        // if there, then 7
			"nickname":  {AllowBlank: true},                                // may be "" or null
		},
	}))
	encoder := orFatal(token.NewEncoder(token.EncoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "https://api.example",
	}))
	for _, claims := range []token.Claims{
		{"sub": "user-1", "client_id": "web", "scope": []string{"read", "list"}, "nickname": ""},
		{"sub": "user-1", "client_id": "app", "scope": "read"},
		{"client_id": "web", "scope": "read"},
		{"sub": "user-1", "client_id": "web", "scope": "read", "tenant": 8},
	} {
		raw := orFatal(encoder.Encode(claims, time.Minute))
		_, err := decoder.Decode(raw)
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
	old := orFatal(token.GenerateKey(token.EdDSA))
	next := orFatal(token.GenerateKey(token.EdDSA))
	fmt.Println("kid is the thumbprint:", old.ID() == old.Thumbprint())

	live := orFatal(token.NewLiveRing(orFatal(token.NewRing(old))))
	encoder := orFatal(token.NewEncoder(token.EncoderConfig{Keys: live, Type: "at+jwt", Issuer: "i", Audience: "a"}))
	decoder := orFatal(token.NewDecoder(token.DecoderConfig{Keys: live, Type: "at+jwt", Issuer: "i", Audience: "a"}))
	first := orFatal(encoder.Encode(token.Claims{"sub": "user-1"}, 5*time.Minute))
	for _, stage := range []struct {
		name string
		ring *token.Ring
	}{
		{"the next key is published", orFatal(token.NewRing(old, next.Public()))}, // for as long as others keep the key set
		{"the next key signs", orFatal(token.NewRing(next, old.Public()))},        // until the last token of the old one is dead
		{"the old key is gone", orFatal(token.NewRing(next))},
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
	key := orFatal(token.GenerateKey(token.ES256))
	ring := orFatal(token.NewRing(key))
	decoder := orFatal(token.NewDecoder(token.DecoderConfig{Keys: ring, Type: "at+jwt", Issuer: "i", Audience: "a"}))
	cache := orFatal(token.NewCache(decoder))
	encoder := orFatal(token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "at+jwt", Issuer: "i", Audience: "a"}))
	raw := orFatal(encoder.Encode(token.Claims{"sub": "user-1", "sid": "session-1"}, 5*time.Minute))

	ended := map[string]bool{} // the caller's knowledge: the cache has none of it
	for range 3 {
		verified := orFatal(cache.Verify(context.Background(), raw))
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
