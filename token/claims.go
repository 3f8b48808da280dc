package token

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Claims is a JWT claims set (RFC 7519 section 4). After [Decoder.Decode] every number is a [json.Number], so no
// digit of an id is lost; lists are []any and objects map[string]any.
type Claims map[string]any

// String returns a text claim, and "" when it is absent or not text.
func (c Claims) String(name string) string {
	s, _ := c[name].(string)
	return s
}

// Int returns a claim that is a whole number, written without fraction or exponent, within int64.
func (c Claims) Int(name string) (int64, bool) {
	switch n := c[name].(type) {
	case json.Number:
		i, err := strconv.ParseInt(string(n), 10, 64)
		return i, err == nil
	case int64:
		return n, true
	case int:
		return int64(n), true
	}
	return 0, false
}

// Time returns a NumericDate claim (RFC 7519 section 2) in UTC. It takes what the decoder takes for exp, nbf and iat:
// seconds since 1970, whole or with a decimal fraction, up to the year 9999. Negative numbers and the exponent form
// are refused; digits beyond the nanosecond are cut.
func (c Claims) Time(name string) (time.Time, bool) { return dateOf(c[name]) }

func dateOf(claim any) (time.Time, bool) {
	switch n := claim.(type) {
	case json.Number:
		return numericDate(string(n))
	case int64:
		return numericDate(strconv.FormatInt(n, 10))
	case int:
		return numericDate(strconv.Itoa(n))
	}
	return time.Time{}, false
}

// Audience returns the aud claim as a list, whether it is one string or several; nil when it is absent, or when
// anything in it is not text.
func (c Claims) Audience() []string {
	switch aud := c["aud"].(type) {
	case string:
		return []string{aud}
	case []string:
		return append([]string(nil), aud...)
	case []any:
		list := make([]string, 0, len(aud))
		for _, element := range aud {
			s, ok := element.(string)
			if !ok {
				return nil
			}
			list = append(list, s)
		}
		return list
	}
	return nil
}

const lastDate = 253402300799 // 9999-12-31T23:59:59Z, the last second RFC 3339 can write

// numericDate reads the text of a JSON number. Going through float64 would round, and let 1e400 or a large integer
// overflow into a date that never comes.
func numericDate(text string) (time.Time, bool) {
	whole, rest, ok := digits(text, len("253402300799"))
	if !ok || whole > lastDate {
		return time.Time{}, false
	}
	if rest == "" {
		return time.Unix(whole, 0).UTC(), true
	}
	if rest[0] != '.' {
		return time.Time{}, false
	}
	fraction := rest[1:]
	if _, rest, ok := digits(fraction, len(fraction)); !ok || rest != "" {
		return time.Time{}, false
	}
	nanoseconds, _, _ := digits(fraction[:min(len(fraction), 9)], 9)
	for range 9 - min(len(fraction), 9) {
		nanoseconds *= 10
	}
	return time.Unix(whole, nanoseconds).UTC(), true
}

// digits reads the decimal digits in front of rest, of which there must be one and may be up to limit. Of more than 18 the
// number means nothing.
func digits(text string, limit int) (n int64, rest string, ok bool) {
	i := 0
	for ; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		n = n*10 + int64(text[i]-'0')
	}
	return n, text[i:], 0 < i && i <= limit
}

const (
	maxTextClaim = 255 // bytes of iss, sub, jti and each aud; OpenID Connect's limit for sub
	maxAudiences = 64
)

// isName reports whether s can stand for somebody or something: not empty, not endless, no control characters that
// would break a log line or a header further on.
func isName(s string) bool {
	if s == "" || len(s) > maxTextClaim {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case c >= utf8.RuneSelf:
			return utf8.ValidString(s[i:]) && strings.IndexFunc(s[i:], unicode.IsControl) < 0
		}
	}
	return true
}
