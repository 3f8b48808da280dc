package token

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// maxClaimsDepth bounds nesting inside a claims set, on both sides.
const maxClaimsDepth = 16

// EncoderConfig says what every token of an [Encoder] has in common.
type EncoderConfig struct {
	// Keys signs. Usually a [*Ring]. Required.
	Keys interface {
		Sign(typ string, payload []byte) (string, error)
	}

	// Type is the typ header, such as "at+jwt" (RFC 9068 section 2.1, RFC 8725 section 3.11). Required, so that no
	// token can pass for one of another purpose.
	Type string

	// Issuer and Audience fill iss and aud where the claims do not give them. Empty means that every call must give them:
	// there is no token without iss and aud.
	Issuer, Audience string

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// An Encoder issues tokens. It is safe for concurrent use.
type Encoder struct{ config EncoderConfig }

// NewEncoder checks config. The error names the setting that is wrong, as in "token: EncoderConfig.Keys is required: ...". A
// [*Ring] or [*LiveRing] without a signing key is refused with [ErrCannotSign].
func NewEncoder(config EncoderConfig) (*Encoder, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("token: EncoderConfig.%w", err)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Encoder{config: config}, nil
}

// check returns what is wrong, beginning with the name of the field.
func (c *EncoderConfig) check() error {
	if err := checkKeys(c.Keys); err != nil {
		return err
	}
	ring, _ := c.Keys.(*Ring)
	if live, ok := c.Keys.(*LiveRing); ok {
		ring = live.Ring()
	}
	if ring != nil && ring.signing == nil {
		return fmt.Errorf("Keys only verifies: %w", ErrCannotSign)
	}
	if c.Type == "" {
		return errors.New("Type is required: the typ that every token will have, such as at+jwt")
	}
	if err := checkType(c.Type); err != nil {
		return fmt.Errorf("Type: %w", err)
	}
	for name, value := range map[string]string{"Issuer": c.Issuer, "Audience": c.Audience} {
		if value != "" && !isName(value) {
			return fmt.Errorf("%s is longer than 255 bytes or has control characters", name)
		}
	}
	return nil
}

// Complete returns a copy of claims with what [Encoder.Encode] would add, for a caller that needs jti or exp too:
// iat and nbf are now, exp is iat plus lifetime, jti has 130 random bits. Where claims has no iss, it is
// [EncoderConfig.Issuer], and where it has no aud, [EncoderConfig.Audience]; where neither gives one, the error says so.
// Times are whole seconds: now and lifetime are both rounded down, so a token never lives
// longer than asked, and a lifetime under a second is an error.
//
// Claims must not set iat, nbf, exp or jti. Wherever a decoder here would refuse iss, aud or sub, Complete does. The
// error is a [*ClaimError] for these, and claims itself is never changed (nested values are shared, not copied).
func (e *Encoder) Complete(claims Claims, lifetime time.Duration) (Claims, error) {
	for _, reserved := range []string{"iat", "nbf", "exp", "jti"} {
		if _, taken := claims[reserved]; taken {
			return nil, &ClaimError{Claim: reserved, Reason: "set by the encoder alone"}
		}
	}
	if lifetime < time.Second {
		return nil, errors.New("token: lifetime is under a second")
	}
	now := e.config.Now().Unix()
	expires := now + int64(lifetime/time.Second)
	if now < 0 || expires > lastDate {
		return nil, errors.New("token: time is outside 1970 to 9999")
	}
	full := make(Claims, len(claims)+6)
	maps.Copy(full, claims)
	full["iat"] = json.Number(strconv.FormatInt(now, 10))
	full["nbf"] = full["iat"]
	full["exp"] = json.Number(strconv.FormatInt(expires, 10))
	full["jti"] = rand.Text()
	if err := full.fill("iss", "Issuer", e.config.Issuer); err != nil {
		return nil, err
	}
	if err := full.fill("aud", "Audience", e.config.Audience); err != nil {
		return nil, err
	}
	if _, _, err := full.checkNames(false, false); err != nil {
		return nil, err
	}
	return full, nil
}

// fill sets a claim that is not given from the setting of that name.
func (c Claims) fill(claim, setting, value string) error {
	if _, given := c[claim]; given {
		return nil
	}
	if value == "" {
		return &ClaimError{Claim: claim, Reason: "missing: give it in the claims, or set EncoderConfig." + setting}
	}
	c[claim] = value
	return nil
}

// Encode completes claims as [Encoder.Complete] does and signs them. Claims that could not be read back are refused
// here rather than at every reader: text that is not UTF-8 or holds NUL, deep nesting, a token over [MaxSize]
// ([ErrTooLarge]).
func (e *Encoder) Encode(claims Claims, lifetime time.Duration) (string, error) {
	full, err := e.Complete(claims, lifetime)
	if err != nil {
		return "", err
	}
	return e.sign(full)
}

// Sign signs claims that [Encoder.Complete] has returned, perhaps with some more. It refuses what [Encoder.Encode] refuses,
// and claims without iat, nbf, exp and jti: the error is a [*ClaimError].
func (e *Encoder) Sign(complete Claims) (string, error) {
	for _, name := range []string{"iat", "nbf", "exp"} {
		if _, ok := complete.Time(name); !ok {
			return "", &ClaimError{Claim: name, Reason: "missing or not a date: Complete sets it"}
		}
	}
	if !isName(complete.String("jti")) {
		return "", &ClaimError{Claim: "jti", Reason: "missing or not a short text: Complete sets it"}
	}
	if _, _, err := complete.checkNames(false, false); err != nil {
		return "", err
	}
	return e.sign(complete)
}

func (e *Encoder) sign(complete Claims) (string, error) {
	payload, err := marshalClaims(complete)
	if err != nil {
		return "", err
	}
	return e.config.Keys.Sign(e.config.Type, payload)
}
