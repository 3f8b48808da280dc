package token

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// How claims are judged, once a signature has held or where there is none.

// ReadClaims reads the payload of a token as strictly as [Decoder.Decode] does: one JSON object, no member twice at any
// level, valid UTF-8, at most 16 levels deep. It judges nothing. It is for programs that deliberately verify only a
// signature, with [Ring.Verify], and have rules of their own for the rest; claims of a token whose signature nobody has
// verified are anybody's. The error is [ErrMalformed].
func ReadClaims(payload []byte) (Claims, error) {
	if len(payload) > MaxSize {
		return nil, ErrMalformed
	}
	var object map[string]any
	if err := strictjson.Unmarshal(payload, &object, maxClaimsDepth); err != nil {
		return nil, ErrMalformed
	}
	return object, nil
}

// Check judges claims that did not come out of a token, such as an answer of a token introspection (RFC 7662) or claims
// about to be signed, by the decoder's issuer, audience, rules, leeways and clock. Whether they are true is the caller's to
// know: there is no signature here, and no typ.
//
// Values may be whatever encoding/json writes: they are brought to the form they have after [Decoder.Decode] first, so that
// numbers are compared by the text JSON gives them. Check returns [ErrMalformed] for what no token could hold, or
// [ErrClaims] (a [*ClaimError]), [ErrNotYetValid] or [ErrExpired] as Decode does. It never changes claims.
func (d *Decoder) Check(claims Claims) error {
	if claims == nil {
		claims = Claims{} // JSON would say null
	}
	payload, err := marshalClaims(claims)
	if err != nil {
		return ErrMalformed
	}
	read, err := ReadClaims(payload)
	if err != nil {
		return err
	}
	return d.judge(read)
}

func (d *Decoder) judge(claims Claims) error {
	c := &d.config
	issuer, audience, err := claims.checkNames(c.InsecureAnyIssuer, c.InsecureAnyAudience)
	if err != nil {
		return err
	}
	if !c.InsecureAnyIssuer && issuer != c.Issuer {
		return &ClaimError{Claim: "iss", Reason: "another issuer"}
	}
	if !c.InsecureAnyAudience && !isFor(audience, c.Audience) &&
		!slices.ContainsFunc(c.MoreAudiences, func(name string) bool { return isFor(audience, name) }) {
		return &ClaimError{Claim: "aud", Reason: "another audience"}
	}
	for i := range d.rules {
		rule := &d.rules[i]
		if reason := rule.judge(claims); reason != "" {
			return &ClaimError{Claim: rule.claim, Reason: reason}
		}
	}
	return d.judgeTimes(claims, c.Now())
}

// namedClaims are texts that stand for somebody or something, where they are there.
var namedClaims = [...]string{"sub", "jti"}

// checkNames judges iss and aud, which must be there unless they may be open, and sub and jti, which may, and returns the
// first two.
func (c Claims) checkNames(openIssuer, openAudience bool) (issuer string, audience any, err error) {
	value, present := c["iss"]
	issuer, _ = value.(string)
	if (present || !openIssuer) && !isName(issuer) {
		return "", nil, &ClaimError{Claim: "iss", Reason: "missing or not a short text"}
	}
	if audience, present = c["aud"]; present || !openAudience {
		if reason := checkAudience(audience); reason != "" {
			return "", nil, &ClaimError{Claim: "aud", Reason: reason}
		}
	}
	for _, name := range namedClaims {
		if value, present := c[name]; present {
			if text, _ := value.(string); !isName(text) {
				return "", nil, &ClaimError{Claim: name, Reason: "empty, too long, not text or with control characters"}
			}
		}
	}
	return issuer, audience, nil
}

// checkAudience returns what is wrong with the shape of an aud, "" if nothing is.
func checkAudience(aud any) string {
	const shape, element = "missing, empty, too long or not text", "not a short text"
	switch aud := aud.(type) {
	case string:
		if !isName(aud) {
			return element
		}
	case []string:
		if len(aud) == 0 || len(aud) > maxAudiences {
			return shape
		}
		for _, one := range aud {
			if !isName(one) {
				return element
			}
		}
	case []any:
		if len(aud) == 0 || len(aud) > maxAudiences {
			return shape
		}
		for _, one := range aud {
			text, ok := one.(string)
			if !ok {
				return shape
			}
			if !isName(text) {
				return element
			}
		}
	default:
		return shape
	}
	return ""
}

// isFor reports whether audience is aud or in it. Claims here have been read from JSON.
func isFor(aud any, audience string) bool {
	switch aud := aud.(type) {
	case string:
		return aud == audience
	case []any:
		for _, one := range aud {
			if text, ok := one.(string); ok && text == audience {
				return true
			}
		}
	}
	return false
}

// startClaims say from when on a token may be shown.
var startClaims = [...]string{"nbf", "iat"}

// judgeTimes must agree with [Cache.valid].
func (d *Decoder) judgeTimes(claims Claims, now time.Time) error {
	exp, present := claims["exp"]
	expires, isDate := dateOf(exp)
	if !isDate && (present || !d.config.InsecureOptionalExpiry) {
		return &ClaimError{Claim: "exp", Reason: "missing or not a date"}
	}
	for _, name := range startClaims {
		value, present := claims[name]
		if !present {
			continue
		}
		starts, ok := dateOf(value)
		if !ok {
			return &ClaimError{Claim: name, Reason: "not a date"}
		}
		if !d.config.InsecureIgnoreTimes && starts.After(now.Add(d.config.EarlyLeeway)) {
			return fmt.Errorf("%w: %s is in the future", ErrNotYetValid, name)
		}
	}
	if present && !d.config.InsecureIgnoreTimes && !now.Before(expires.Add(d.config.Leeway)) {
		return ErrExpired
	}
	return nil
}
