package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// AnyType as [DecoderConfig.Type] accepts tokens of every typ and of none. Then only the claims tell an access token
// from a refresh token: spell it out only where tokens of one purpose exist.
const AnyType = "*"

// maxLeeway bounds both leeways: clocks further apart need mending, not tolerance.
const maxLeeway = 60 * time.Second

// DecoderConfig says which tokens a [Decoder] takes. Keys, Type, Issuer and Audience are required: leaving one out
// would mean "any" (RFC 8725 sections 3.8, 3.9 and 3.11).
type DecoderConfig struct {
	// Keys verifies signatures. Usually a [*Ring].
	Keys KeySet

	// Type is the typ header a token must have, compared byte for byte: "at+jwt" matches neither "AT+JWT" nor
	// "application/at+jwt" nor a token without typ. Or [AnyType].
	Type string

	// Issuer must equal iss. Audience must equal aud or one of its elements. Compared byte for byte.
	Issuer, Audience string

	// Rules are further demands, by claim name.
	Rules map[string]Rule

	// Leeway moves exp, nbf and iat in the token's favour. Default 0, at most 60 seconds.
	Leeway time.Duration

	// EarlyLeeway replaces Leeway for nbf and iat, so that a clock a little behind need not lengthen every token's
	// life. Default Leeway, at most 60 seconds.
	EarlyLeeway time.Duration

	// InsecureIgnoreTimes takes tokens whatever their exp, nbf and iat say, though these must still be dates. Such
	// claims authenticate nobody: they tell whose token this once was, which is what ending a session needs to know.
	InsecureIgnoreTimes bool

	// Now is the clock; nil means time.Now. Wall-clock time decides, in any zone.
	Now func() time.Time
}

// A Decoder turns tokens into claims. It is safe for concurrent use.
type Decoder struct {
	config DecoderConfig
	rules  []compiledRule
}

// NewDecoder checks config and names what is missing.
func NewDecoder(config DecoderConfig) (*Decoder, error) {
	if config.Keys == nil {
		return nil, errors.New("token: decoder needs Keys")
	}
	if config.Type == "" {
		return nil, errors.New("token: decoder needs a Type, or AnyType spelled out")
	}
	if config.Type != AnyType {
		if err := checkType(config.Type); err != nil {
			return nil, err
		}
	}
	if !isName(config.Issuer) || !isName(config.Audience) {
		return nil, errors.New("token: decoder needs an Issuer and an Audience of at most 255 bytes")
	}
	for _, leeway := range []time.Duration{config.Leeway, config.EarlyLeeway} {
		if leeway < 0 || leeway > maxLeeway {
			return nil, errors.New("token: leeway must be between 0 and 60 seconds")
		}
	}
	if config.EarlyLeeway == 0 {
		config.EarlyLeeway = config.Leeway
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	rules, err := compileRules(config.Rules)
	if err != nil {
		return nil, err
	}
	return &Decoder{config: config, rules: rules}, nil
}

// Decode verifies a compact JWS and judges its claims (RFC 7519 section 7.2).
//
// It checks, in this order: structure and header, signature (see [Ring.Verify]), typ, that the payload is one strict
// JSON object, iss, aud, the shape of sub and jti where present, the Rules, nbf and iat, and last exp, which every
// token must have. A token that is both expired and forged, or expired and somebody else's, is therefore never
// reported as expired. exp, nbf and iat are read as [Claims.Time] describes. With leeway 0 a token is expired from
// the moment exp on, and valid from the moment nbf on.
//
// It returns [ErrMalformed], [ErrSignature], [ErrType], [ErrClaims] (a [*ClaimError]), [ErrNotYetValid] or
// [ErrExpired]; on error the Claims are nil. Whether the token, its session or its user have been revoked is for the
// caller to ask.
func (d *Decoder) Decode(raw string) (Claims, error) {
	return d.DecodeContext(context.Background(), raw)
}

// DecodeContext is [Decoder.Decode] for keys that may have to be fetched first: see [ContextKeySet]. It waits no longer
// than ctx and adds [ErrKeysUnavailable] to the errors.
func (d *Decoder) DecodeContext(ctx context.Context, raw string) (Claims, error) {
	header, payload, err := d.verifySignature(ctx, raw)
	if err != nil {
		return nil, err
	}
	if d.config.Type != AnyType && header.Type != d.config.Type {
		return nil, ErrType
	}
	var object map[string]any
	if err := strictjson.Unmarshal(payload, &object, maxClaimsDepth); err != nil {
		return nil, ErrMalformed
	}
	claims := Claims(object)
	if err := d.judge(claims, d.config.Now()); err != nil {
		return nil, err
	}
	return claims, nil
}

func (d *Decoder) verifySignature(ctx context.Context, raw string) (Header, []byte, error) {
	if keys, waits := d.config.Keys.(ContextKeySet); waits {
		return keys.VerifyContext(ctx, raw)
	}
	return d.config.Keys.Verify(raw)
}

func (d *Decoder) judge(claims Claims, now time.Time) error {
	if err := claims.checkNames(); err != nil {
		return err
	}
	if claims.String("iss") != d.config.Issuer {
		return &ClaimError{Claim: "iss", Reason: "another issuer"}
	}
	if !claims.isFor(d.config.Audience) {
		return &ClaimError{Claim: "aud", Reason: "another audience"}
	}
	for _, rule := range d.rules {
		if reason := rule.judge(claims); reason != "" {
			return &ClaimError{Claim: rule.claim, Reason: reason}
		}
	}
	return d.judgeTimes(claims, now)
}

func (c Claims) isFor(audience string) bool {
	if aud, ok := c["aud"].(string); ok {
		return aud == audience
	}
	for _, aud := range c.Audience() {
		if aud == audience {
			return true
		}
	}
	return false
}

func (d *Decoder) judgeTimes(claims Claims, now time.Time) error {
	expires, ok := claims.Time("exp")
	if !ok {
		return &ClaimError{Claim: "exp", Reason: "missing or not a date"}
	}
	for _, name := range []string{"nbf", "iat"} {
		if _, present := claims[name]; !present {
			continue
		}
		starts, ok := claims.Time(name)
		if !ok {
			return &ClaimError{Claim: name, Reason: "not a date"}
		}
		if !d.config.InsecureIgnoreTimes && starts.After(now.Add(d.config.EarlyLeeway)) {
			return fmt.Errorf("%w: %s is in the future", ErrNotYetValid, name)
		}
	}
	if !d.config.InsecureIgnoreTimes && !now.Before(expires.Add(d.config.Leeway)) {
		return ErrExpired
	}
	return nil
}
