package token

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// AnyType as [DecoderConfig.Type] accepts tokens of every typ and of none. Then only the claims tell an access token
// from a refresh token: spell it out only where tokens of one purpose exist.
const AnyType = "*"

// maxLeeway bounds both leeways: clocks further apart need mending, not tolerance.
const maxLeeway = 60 * time.Second

// DecoderConfig says which tokens a [Decoder] takes. Keys, Type, Issuer and Audience are required: leaving one out
// would mean "any" (RFC 8725 sections 3.8, 3.9 and 3.11), and that has to be spelled out.
type DecoderConfig struct {
	// Keys verifies signatures. Usually a [*Ring], or a [*LiveRing] whose ring is replaced.
	Keys KeySet

	// Type is the typ header a token must have, compared byte for byte: "at+jwt" matches neither "AT+JWT" nor
	// "application/at+jwt" nor a token without typ. Or [AnyType].
	Type string

	// Issuer must equal iss. Audience must equal aud or one of its elements. Compared byte for byte.
	Issuer, Audience string

	// MoreAudiences are further names of this service: aud, or one of its elements, may equal one of them instead.
	MoreAudiences []string

	// InsecureAnyIssuer takes tokens of every iss and of none, where Issuer is empty. A signature then says only that
	// somebody with one of the Keys made the token: whoever shares a key can speak for everybody's users. Look at
	// [Claims.String]("iss") before you believe sub, or name the issuers with a [Rule] for iss.
	InsecureAnyIssuer bool

	// InsecureAnyAudience takes tokens of every aud and of none, where Audience is empty; an aud that is there must
	// still be a short text or a list of such. Some issuers leave aud out of their access tokens. Then every token of
	// theirs, made for whatever service, is good here too, and a service that was shown one can show it to you: it is
	// the caller's job to see who it was made for, as with a [Rule] for client_id, azp or scope with Essential set.
	InsecureAnyAudience bool

	// InsecureOptionalExpiry takes tokens without exp. An exp that is there is judged all the same. A token without
	// one is good for as long as its key is: only taking the key out of Keys, or asking for its revocation at each
	// call, ends it.
	InsecureOptionalExpiry bool

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

// NewDecoder checks config. The error names the setting that is wrong, as in "token: DecoderConfig.Keys is required: ...".
func NewDecoder(config DecoderConfig) (*Decoder, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("token: DecoderConfig.%w", err)
	}
	if config.EarlyLeeway == 0 {
		config.EarlyLeeway = config.Leeway
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	rules, err := compileRules(config.Rules)
	if err != nil {
		return nil, fmt.Errorf("token: DecoderConfig.Rules: %w", err)
	}
	config.MoreAudiences = slices.Clone(config.MoreAudiences)
	return &Decoder{config: config, rules: rules}, nil
}

// check returns what is wrong, beginning with the name of the field.
func (c *DecoderConfig) check() error {
	if err := checkKeys(c.Keys); err != nil {
		return err
	}
	if c.Type == "" {
		return errors.New("Type is required: the typ that tokens must have, or AnyType")
	}
	if c.Type != AnyType {
		if err := checkType(c.Type); err != nil {
			return fmt.Errorf("Type: %w", err)
		}
	}
	for _, one := range []struct {
		name, value, open string
		isOpen            bool
	}{
		{"Issuer", c.Issuer, "InsecureAnyIssuer", c.InsecureAnyIssuer},
		{"Audience", c.Audience, "InsecureAnyAudience", c.InsecureAnyAudience},
	} {
		switch {
		case one.isOpen && one.value != "":
			return fmt.Errorf("%s and %s are both set: leave one out", one.name, one.open)
		case one.isOpen:
		case one.value == "":
			return fmt.Errorf("%s is required: left empty it would mean any, for which there is %s", one.name, one.open)
		case !isName(one.value):
			return fmt.Errorf("%s is longer than 255 bytes or has control characters", one.name)
		}
	}
	switch {
	case c.InsecureAnyAudience && len(c.MoreAudiences) > 0:
		return errors.New("MoreAudiences and InsecureAnyAudience are both set: leave one out")
	case slices.ContainsFunc(c.MoreAudiences, func(name string) bool { return !isName(name) }):
		return errors.New("MoreAudiences has a name that is empty, longer than 255 bytes or has control characters")
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		return errors.New("Leeway must be between 0 and 60 seconds")
	}
	if c.EarlyLeeway < 0 || c.EarlyLeeway > maxLeeway {
		return errors.New("EarlyLeeway must be between 0 and 60 seconds")
	}
	return nil
}

// checkKeys also finds the nil pointer that a forgotten error leaves in an interface.
func checkKeys(keys any) error {
	if keys == nil {
		return errors.New("Keys is required: a *Ring made with NewRing, or a *LiveRing")
	}
	if v := reflect.ValueOf(keys); (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil() {
		return fmt.Errorf("Keys is required: this %T is nil", keys)
	}
	ring, _ := keys.(*Ring)
	if live, ok := keys.(*LiveRing); ok {
		ring = live.Ring()
	}
	if ring != nil && len(ring.keys) == 0 {
		return fmt.Errorf("Keys is required: this %T has no key", keys)
	}
	return nil
}

// Authenticates returns nil when the tokens that the decoder accepts say who somebody is now: it was made with NewDecoder, and
// not with [DecoderConfig.InsecureIgnoreTimes]. Whoever authenticates by a decoder asks it when it starts.
func (d *Decoder) Authenticates() error {
	switch {
	case d == nil || d.config.Keys == nil:
		return errors.New("token: a decoder is required, made with NewDecoder")
	case d.config.InsecureIgnoreTimes:
		return errors.New("token: DecoderConfig.InsecureIgnoreTimes is set, so its tokens authenticate nobody")
	}
	return nil
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
	claims, err := ReadClaims(payload)
	if err != nil {
		return nil, err
	}
	if err := d.judge(claims); err != nil {
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
