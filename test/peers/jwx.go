package peers

import (
	"errors"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// JWX is github.com/lestrrat-go/jwx/v3.
type JWX struct {
	key       Key
	clock     Clock
	algorithm jwa.SignatureAlgorithm
	signature []jws.VerifyOption
	claims    []jwt.ParseOption
	header    jws.Headers
}

func init() {
	// Settings of jwx are the process's: dates must be numbers, and fractions of a second count.
	jwt.Settings(jwt.WithNumericDateParsePedantic(true), jwt.WithNumericDateParsePrecision(9))
}

// NewJWX pairs key and algorithm, which is how jwx pins one, and switches on the checks that are off by default: of the
// header's algorithm and of critical extensions, of typ and of claims that are null, and a required exp.
func NewJWX(key Key, clock Clock) (*JWX, error) {
	algorithm, ok := jwa.LookupSignatureAlgorithm(key.Algorithm)
	if !ok {
		return nil, errors.New("jwx does not know " + key.Algorithm)
	}
	header := jws.NewHeaders()
	if err := errors.Join(header.Set("kid", key.ID), header.Set("typ", Type)); err != nil {
		return nil, err
	}
	return &JWX{
		key: key, clock: clock, algorithm: algorithm, header: header,
		signature: []jws.VerifyOption{
			jws.WithKey(algorithm, key.Public), jws.WithCompact(), jws.WithAlgorithmMatch(true), jws.WithCritValidation(true),
		},
		claims: []jwt.ParseOption{
			jwt.WithKey(algorithm, key.Public), jwt.WithPedantic(true), jwt.WithStrictStringClaims(true), jwt.WithRequiredClaim("exp"),
			jwt.WithIssuer(Issuer), jwt.WithAudience(Audience), jwt.WithClock(jwt.ClockFunc(clock)),
		},
	}, nil
}

// Name returns "jwx".
func (j *JWX) Name() string { return "jwx" }

// Verify reads the compact serialisation alone.
func (j *JWX) Verify(raw string) (payload []byte, err error) {
	defer recovered(j.Name(), &err)
	return jws.Verify([]byte(raw), j.signature...)
}

// Decode goes another way to the signature than Verify does: jwx's package jwt has one of its own.
func (j *JWX) Decode(raw string) (subject string, err error) {
	defer recovered(j.Name(), &err)
	parsed, err := jwt.Parse([]byte(raw), j.claims...)
	if err != nil {
		return "", err
	}
	subject, _ = parsed.Subject()
	return subject, nil
}

// Sign makes a token claim by claim.
func (j *JWX) Sign(claims map[string]any) (string, error) {
	unsigned := jwt.New()
	for name, value := range complete(claims, j.clock) {
		if err := unsigned.Set(name, value); err != nil {
			return "", err
		}
	}
	raw, err := jwt.Sign(unsigned, jwt.WithKey(j.algorithm, j.key.Private, jws.WithProtectedHeaders(j.header)))
	return string(raw), err
}
