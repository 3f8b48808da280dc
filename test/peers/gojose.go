package peers

import (
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// GoJOSE is github.com/go-jose/go-jose/v4.
type GoJOSE struct {
	key     Key
	clock   Clock
	allowed []jose.SignatureAlgorithm
	signer  jose.Signer
}

// NewGoJOSE allows one algorithm, which is an argument that cannot be left out.
func NewGoJOSE(key Key, clock Clock) (*GoJOSE, error) {
	algorithm := jose.SignatureAlgorithm(key.Algorithm)
	options := (&jose.SignerOptions{}).WithType(Type).WithHeader("kid", key.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key.Private}, options)
	return &GoJOSE{key: key, clock: clock, allowed: []jose.SignatureAlgorithm{algorithm}, signer: signer}, err
}

// Name returns "go-jose".
func (g *GoJOSE) Name() string { return "go-jose" }

// Verify reads the compact serialisation alone.
func (g *GoJOSE) Verify(raw string) (payload []byte, err error) {
	defer recovered(g.Name(), &err)
	parsed, err := jose.ParseSignedCompact(raw, g.allowed)
	if err != nil {
		return nil, err
	}
	return parsed.Verify(g.key.Public)
}

// ownClaims adds to the registered claims what a service of ours reads.
type ownClaims struct {
	jwt.Claims
	SessionID string   `json:"sid"`
	Scope     []string `json:"scp"`
}

// Decode judges with no leeway. go-jose has no way to ask for exp.
func (g *GoJOSE) Decode(raw string) (subject string, err error) {
	defer recovered(g.Name(), &err)
	parsed, err := jwt.ParseSigned(raw, g.allowed)
	if err != nil {
		return "", err
	}
	var claims ownClaims
	if err := parsed.Claims(g.key.Public, &claims); err != nil {
		return "", err
	}
	expected := jwt.Expected{Issuer: Issuer, AnyAudience: jwt.Audience{Audience}, Time: g.clock()}
	return claims.Subject, claims.ValidateWithLeeway(expected, 0)
}

// Sign makes a token of a map.
func (g *GoJOSE) Sign(claims map[string]any) (string, error) {
	return jwt.Signed(g.signer).Claims(complete(claims, g.clock)).Serialize()
}
