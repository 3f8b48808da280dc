package token

import (
	"context"
	"math"
	"strings"
	"time"
)

// A Verifier accepts tokens. A [Decoder] verifies each one; a [Cache] remembers which were genuine. Verify returns the
// errors of [Decoder.DecodeContext], and with an error the zero [Verified].
type Verifier interface {
	// Verify accepts raw as of now, or returns why not; ctx bounds the wait for keys that have to be fetched.
	Verify(ctx context.Context, raw string) (Verified, error)
}

var _, _ Verifier = (*Decoder)(nil), (*Cache)(nil)

// Verified is a token that a [Verifier] has accepted, read only as far as needed: who it speaks for, and all claims for
// whoever asks. It was good at that moment; that it still is, or was not revoked, it does not say. It is a value: safe to
// copy, to compare, to keep and to use concurrently. What is kept keeps up to 12 KiB in memory.
type Verified struct {
	header, payload string // base64url
	subject, issuer string
	expires         time.Time
}

// IsZero reports whether v is the zero value, which stands for no token.
func (v Verified) IsZero() bool { return v.payload == "" }

// Subject returns sub, and "" when the token has none.
func (v Verified) Subject() string { return v.subject }

// Issuer returns iss, and "" when the token has none, which only [DecoderConfig.InsecureAnyIssuer] accepts.
func (v Verified) Issuer() string { return v.issuer }

// ExpiresAt returns exp in UTC, without leeway, and the zero time when the token has none, which only
// [DecoderConfig.InsecureOptionalExpiry] accepts.
func (v Verified) ExpiresAt() time.Time { return v.expires }

// Header returns what the token's header says, read anew at each call: KeyID is "" where it names none. It is for logs and
// the like: nothing in it was needed to trust the token but what has been checked.
func (v Verified) Header() Header {
	h, _ := readHeader(v.header) // it was read when the token was verified; of the zero value there is none
	return h.Header
}

// Claims returns all claims, read anew at each call: the caller may keep and change them. The zero Verified has none, and
// then the map is empty.
func (v Verified) Claims() Claims {
	payload, ok := decodeBase64(v.payload)
	if !ok || len(payload) == 0 {
		return Claims{}
	}
	claims, err := ReadClaims(payload)
	if err != nil {
		return Claims{} // cannot be: it was read when the token was verified
	}
	return claims
}

// Verify judges a token as [Decoder.DecodeContext] does. It remembers nothing: see [Cache].
func (d *Decoder) Verify(ctx context.Context, raw string) (Verified, error) {
	v, _, err := d.verify(ctx, raw)
	return v, err
}

// verify also returns from when on the token may be shown, in seconds since 1970 and without leeway, and reports false
// when that or exp is no whole number of seconds.
func (d *Decoder) verify(ctx context.Context, raw string) (v Verified, w window, err error) {
	claims, err := d.DecodeContext(ctx, raw)
	if err != nil {
		return Verified{}, window{}, err
	}
	begin, end := payloadOf(raw)
	v = Verified{header: raw[:begin-1], payload: raw[begin:end], subject: claims.String("sub"), issuer: claims.String("iss")}
	w = window{starts: math.MinInt64, ends: math.MaxInt64, whole: true}
	if exp, ok := claims.Time("exp"); ok {
		v.expires, w.ends = exp, exp.Unix()
		w.whole = exp.Nanosecond() == 0
	}
	for _, name := range startClaims {
		if starts, ok := claims.Time(name); ok {
			w.starts = max(w.starts, starts.Unix())
			w.whole = w.whole && starts.Nanosecond() == 0
		}
	}
	return v, w, nil
}

// A window is when a token may be shown, in seconds since 1970 and without leeway: from starts on, before ends.
type window struct {
	starts, ends int64
	whole        bool // no claim of the token has a fraction of a second
}

// payloadOf returns where in a compact token its payload begins and ends.
func payloadOf(compact string) (begin, end int) {
	begin, end = strings.IndexByte(compact, '.')+1, strings.LastIndexByte(compact, '.')
	return begin, max(begin, end)
}
