package peers

import (
	"bytes"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// GolangJWT is github.com/golang-jwt/jwt/v5. It reads claims before it looks at the signature, so Verify too refuses
// whatever is no JSON.
type GolangJWT struct {
	key       Key
	clock     Clock
	method    jwt.SigningMethod
	signature *jwt.Parser
	claims    *jwt.Parser
}

// NewGolangJWT switches on all that is off by default: the list of methods, strict base64, a required exp, the check of
// iat, and of iss and aud.
func NewGolangJWT(key Key, clock Clock) (*GolangJWT, error) {
	method := jwt.GetSigningMethod(key.Algorithm)
	if method == nil {
		return nil, errors.New("golang-jwt does not know " + key.Algorithm)
	}
	strict := []jwt.ParserOption{jwt.WithValidMethods([]string{key.Algorithm}), jwt.WithStrictDecoding()}
	return &GolangJWT{
		key: key, clock: clock, method: method,
		signature: jwt.NewParser(append(strict, jwt.WithoutClaimsValidation())...),
		claims: jwt.NewParser(append(strict, jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithIssuer(Issuer),
			jwt.WithAudience(Audience), jwt.WithTimeFunc(clock))...),
	}, nil
}

// Name returns "golang-jwt".
func (g *GolangJWT) Name() string { return "golang-jwt" }

func (g *GolangJWT) choose(*jwt.Token) (any, error) { return g.key.Public, nil }

// payloadOnly keeps the claims as they were sent, blanks around them aside.
type payloadOnly struct {
	jwt.MapClaims
	text []byte
}

func (p *payloadOnly) UnmarshalJSON(text []byte) error {
	p.text = bytes.Clone(text)
	return nil
}

// Verify is a parse without the validation of claims.
func (g *GolangJWT) Verify(raw string) (payload []byte, err error) {
	defer recovered(g.Name(), &err)
	claims := new(payloadOnly)
	if _, err := g.signature.ParseWithClaims(raw, claims, g.choose); err != nil {
		return nil, err
	}
	if claims.text == nil {
		return []byte("null"), nil // for which encoding/json does not call UnmarshalJSON
	}
	return claims.text, nil
}

// Decode is a parse into MapClaims: they compare names exactly, which a struct does not.
func (g *GolangJWT) Decode(raw string) (subject string, err error) {
	defer recovered(g.Name(), &err)
	parsed, err := g.claims.Parse(raw, g.choose)
	if err != nil {
		return "", err
	}
	return parsed.Claims.GetSubject()
}

// Sign makes a token of MapClaims.
func (g *GolangJWT) Sign(claims map[string]any) (string, error) {
	unsigned := jwt.NewWithClaims(g.method, jwt.MapClaims(complete(claims, g.clock)))
	unsigned.Header["kid"], unsigned.Header["typ"] = g.key.ID, Type
	return unsigned.SignedString(g.key.Private)
}
