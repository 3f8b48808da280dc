package token

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/tokenjar/tokenjar/internal/strictjson"
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

	// Issuer and Audience fill iss and aud where the claims do not give them. Empty means every call must.
	Issuer, Audience string

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// An Encoder issues tokens. It is safe for concurrent use.
type Encoder struct{ config EncoderConfig }

// NewEncoder checks config.
func NewEncoder(config EncoderConfig) (*Encoder, error) {
	if config.Keys == nil {
		return nil, errors.New("token: encoder needs Keys")
	}
	if config.Type == "" {
		return nil, errors.New("token: encoder needs a Type")
	}
	if err := checkType(config.Type); err != nil {
		return nil, err
	}
	if config.Issuer != "" && !isName(config.Issuer) || config.Audience != "" && !isName(config.Audience) {
		return nil, errors.New("token: Issuer or Audience is too long or has control characters")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Encoder{config: config}, nil
}

// Complete returns a copy of claims with what [Encoder.Encode] would add, for a caller that needs jti or exp too:
// iat and nbf are now, exp is iat plus lifetime, jti has 130 random bits; iss and aud come from the configuration
// unless claims has them. Times are whole seconds: now and lifetime are both rounded down, so a token never lives
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
	fill(full, "iss", e.config.Issuer)
	fill(full, "aud", e.config.Audience)
	if err := full.checkNames(); err != nil {
		return nil, err
	}
	return full, nil
}

func fill(claims Claims, name, value string) {
	if _, given := claims[name]; !given && value != "" {
		claims[name] = value
	}
}

// checkNames judges iss and aud, which must be there, and sub and jti, which may.
func (c Claims) checkNames() error {
	if !isName(c.String("iss")) {
		return &ClaimError{Claim: "iss", Reason: "missing or not a short text"}
	}
	audiences := c.Audience()
	if len(audiences) == 0 || len(audiences) > maxAudiences {
		return &ClaimError{Claim: "aud", Reason: "missing, empty, too long or not text"}
	}
	for _, audience := range audiences {
		if !isName(audience) {
			return &ClaimError{Claim: "aud", Reason: "not a short text"}
		}
	}
	for _, name := range []string{"sub", "jti"} {
		if _, present := c[name]; present && !isName(c.String(name)) {
			return &ClaimError{Claim: name, Reason: "empty, too long, not text or with control characters"}
		}
	}
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
	return e.Sign(full)
}

// Sign signs claims that [Encoder.Complete] has returned, and refuses what [Encoder.Encode] refuses.
func (e *Encoder) Sign(complete Claims) (string, error) {
	payload, err := marshalClaims(complete)
	if err != nil {
		return "", err
	}
	return e.config.Keys.Sign(e.config.Type, payload)
}

// marshalClaims writes members in alphabetical order and without the escapes that are only for HTML.
func marshalClaims(claims Claims) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims); err != nil {
		return nil, fmt.Errorf("token: claims: %w", err)
	}
	payload := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
	if hasReplacement(payload) {
		return nil, errors.New("token: claims: text is not valid UTF-8")
	}
	if err := strictjson.Check(payload, maxClaimsDepth); err != nil {
		return nil, fmt.Errorf("token: claims: %w", err)
	}
	return payload, nil
}

// hasReplacement finds the escape \ufffd, which encoding/json writes for a byte that is not UTF-8 and for nothing
// else: a true U+FFFD stays as it is.
func hasReplacement(payload []byte) bool {
	escape := []byte(`\ufffd`)
	for {
		at := bytes.Index(payload, escape)
		if at < 0 {
			return false
		}
		backslashes := at - len(bytes.TrimRight(payload[:at], `\`)) // in pairs they are text, and ours is one of them
		if backslashes%2 == 0 {
			return true
		}
		payload = payload[at+len(escape):]
	}
}
