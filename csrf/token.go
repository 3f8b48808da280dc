package csrf

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
)

// Header is the request header that carries the token of rule 2. A page of another origin cannot set it without a
// CORS preflight that we refuse.
const Header = "X-CSRFToken"

const (
	headerKey = "X-Csrftoken" // Header in the canonical form in which net/http stores it
	minKey    = 32
	// tokenSize is the length of 32 bytes in base64url without padding.
	tokenSize = 43
	// label keeps these MACs apart from everything else that may be keyed with the same bytes.
	label = "tokenjar csrf token v1\x00"
)

// Tokens is rule 2: it makes and checks tokens bound to a session. It is immutable and safe for concurrent use.
type Tokens struct {
	keys [][]byte
}

// NewTokens returns a rule that issues with key and accepts the tokens of key and of every older one. Each is secret,
// random, used for nothing else, and holds at least 32 bytes (RFC 2104, section 3); none may occur twice, which would
// hide that a rotation did not happen. The keys are copied. All mistakes are reported together.
func NewTokens(key []byte, older ...[]byte) (*Tokens, error) {
	t := &Tokens{keys: append([][]byte{key}, older...)}
	var errs []error
	for i, k := range t.keys {
		if len(k) < minKey {
			errs = append(errs, fmt.Errorf("csrf: key %d has %d bytes: use at least %d", i+1, len(k), minKey))
		}
		for j, earlier := range t.keys[:i] {
			if subtle.ConstantTimeCompare(k, earlier) == 1 {
				errs = append(errs, fmt.Errorf("csrf: key %d equals key %d: remove one", i+1, j+1))
			}
		}
		t.keys[i] = bytes.Clone(k)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// Issue returns the token of a session: HMAC-SHA256 (RFC 2104) over the session id, as 43 characters of base64url
// without padding (RFC 4648, section 5). The same session gets the same token until the key changes, so it may be issued anew at any time and in any tab.
//
// sessionID is what stays the same as long as the session lives and is nobody else's: sid, or sub where a token has no
// sid, never jti. It may hold any bytes, at any length. There is no token without a session: for "" it returns "".
func (t *Tokens) Issue(sessionID string) string {
	if sessionID == "" || len(t.keys) == 0 { // a zero Tokens has no keys: it issues nothing and accepts nothing
		return ""
	}
	return string(appendToken(nil, t.keys[0], sessionID))
}

// Check is rule 2: the header X-CSRFToken was sent exactly once and is, in its one spelling, the token of this
// session under any of the keys. The comparison takes constant time and the work does not depend on which key, if
// any, fits. It returns an *[Error] of [TokenRule] otherwise, and always when sessionID is "".
//
// The caller names the session that the request's own credentials verified; the cookie with the token is for scripts
// to read and is not consulted.
func (t *Tokens) Check(h http.Header, sessionID string) error {
	values := h[headerKey]
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return refuseToken(ReasonMissing)
	case len(values) > 1:
		return refuseToken(ReasonDuplicateHeader)
	case sessionID == "":
		return refuseToken(ReasonNoSession)
	case !wellFormed(values[0]):
		return refuseToken(ReasonMalformed)
	}
	var sent, want [tokenSize]byte
	copy(sent[:], values[0])
	found := 0
	for _, key := range t.keys {
		appendToken(want[:0], key, sessionID)
		found |= subtle.ConstantTimeCompare(sent[:], want[:])
	}
	if found != 1 {
		return refuseToken(ReasonMismatch)
	}
	return nil
}

// appendToken appends the token of sessionID under key. The id goes in with its length, so no two ids share an input
// even if the encoding grows another field.
func appendToken(dst, key []byte, sessionID string) []byte {
	var sum [sha256.Size]byte
	mac := hmac.New(sha256.New, key)
	var buf [128]byte
	msg := append(buf[:0], label...)
	msg = binary.BigEndian.AppendUint64(msg, uint64(len(sessionID)))
	msg = append(msg, sessionID...)
	mac.Write(msg)
	mac.Sum(sum[:0])
	return base64.RawURLEncoding.AppendEncode(dst, sum[:])
}

func wellFormed(s string) bool {
	if len(s) != tokenSize {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
