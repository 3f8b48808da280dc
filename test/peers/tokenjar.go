package peers

import (
	"github.com/tokenjar/tokenjar/token"
)

// Tokenjar is package token.
type Tokenjar struct {
	Ring    *token.Ring
	Decoder *token.Decoder
	Encoder *token.Encoder
}

// NewTokenjar takes tokens of [Type] alone.
func NewTokenjar(key Key, clock Clock) (*Tokenjar, error) {
	signing, err := token.NewKey(key.ID, token.Algorithm(key.Algorithm), key.Private)
	if err != nil {
		return nil, err
	}
	t := new(Tokenjar)
	if t.Ring, err = token.NewRing(signing); err != nil {
		return nil, err
	}
	t.Decoder, err = token.NewDecoder(token.DecoderConfig{Keys: t.Ring, Type: Type, Issuer: Issuer, Audience: Audience, Now: clock})
	if err != nil {
		return nil, err
	}
	t.Encoder, err = token.NewEncoder(token.EncoderConfig{Keys: t.Ring, Type: Type, Issuer: Issuer, Audience: Audience, Now: clock})
	return t, err
}

// Name returns "tokenjar".
func (t *Tokenjar) Name() string { return "tokenjar" }

// Verify is [token.Ring.Verify].
func (t *Tokenjar) Verify(raw string) (payload []byte, err error) {
	defer recovered(t.Name(), &err)
	_, payload, err = t.Ring.Verify(raw)
	return payload, err
}

// Decode is [token.Decoder.Decode].
func (t *Tokenjar) Decode(raw string) (subject string, err error) {
	defer recovered(t.Name(), &err)
	claims, err := t.Decoder.Decode(raw)
	if err != nil {
		return "", err
	}
	return claims.String("sub"), nil
}

// Sign is [token.Encoder.Encode].
func (t *Tokenjar) Sign(claims map[string]any) (string, error) {
	return t.Encoder.Encode(claims, Lifetime)
}
