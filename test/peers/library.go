package peers

import (
	"crypto/rand"
	"fmt"
	"maps"
	"time"
)

// What every library is told to expect.
const (
	Issuer   = "https://id.example"
	Audience = "https://api.example"
	Type     = "at+jwt"
)

// Lifetime is that of the tokens that Sign makes.
const Lifetime = 5 * time.Minute

// A Library is one JOSE library, set up for one key and one algorithm.
type Library interface {
	Name() string

	// Verify checks the signature of a compact JWS and nothing else, and returns what was signed.
	Verify(raw string) (payload []byte, err error)

	// Decode is Verify, and judges the claims: exp, nbf and iat, iss and aud. It returns sub as the library reads it.
	Decode(raw string) (subject string, err error)

	// Sign completes claims, which have none of iss, aud, iat, nbf, exp and jti, and makes a token that Decode takes.
	Sign(claims map[string]any) (string, error)
}

// Clock is what all libraries read the time from.
type Clock func() time.Time

// Libraries returns ours first, then the others.
func Libraries(key Key, clock Clock) ([]Library, error) {
	ours, err := NewTokenjar(key, clock)
	if err != nil {
		return nil, err
	}
	golangJWT, err := NewGolangJWT(key, clock)
	if err != nil {
		return nil, err
	}
	goJOSE, err := NewGoJOSE(key, clock)
	if err != nil {
		return nil, err
	}
	jwx, err := NewJWX(key, clock)
	if err != nil {
		return nil, err
	}
	return []Library{ours, golangJWT, goJOSE, jwx}, nil
}

// complete adds what an application adds before it signs, as token.Encoder does for ours.
func complete(claims map[string]any, clock Clock) map[string]any {
	now := clock().Unix()
	full := make(map[string]any, len(claims)+6)
	maps.Copy(full, claims)
	full["iss"], full["aud"], full["jti"] = Issuer, Audience, rand.Text()
	full["iat"], full["nbf"], full["exp"] = now, now, now+int64(Lifetime/time.Second)
	return full
}

// recovered turns a panic of a library into an error of its own kind: a panic is never a verdict.
func recovered(name string, err *error) {
	if r := recover(); r != nil {
		*err = &PanicError{Library: name, Value: r}
	}
}

// PanicError says that a library panicked.
type PanicError struct {
	Library string
	Value   any
}

func (e *PanicError) Error() string { return fmt.Sprintf("%s panicked: %v", e.Library, e.Value) }
