// Package bearer reads the Authorization field of a request, for those who take a bearer token from it (RFC 6750).
package bearer

import (
	"errors"
	"net/http"
	"strings"
)

// ErrSeveral says that a request has more than one Authorization field: nobody may choose between them (RFC 9110,
// section 5.3).
var ErrSeveral = errors.New("bearer: more than one Authorization field")

// Parse returns the bearer token of a request (RFC 6750, section 2.1), "" when it has none. Another scheme is no credential
// of ours; bad is a bearer that is not exactly one token, and a field without any scheme.
func Parse(h http.Header) (token string, bad bool, err error) {
	switch fields := h["Authorization"]; len(fields) {
	case 0:
		return "", false, nil
	case 1:
		token, bad = parse(fields[0])
		return token, bad, nil
	}
	return "", false, ErrSeveral
}

func parse(field string) (token string, bad bool) {
	scheme, rest, ok := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", !ok
	}
	for i := range len(rest) {
		c := rest[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return "", true
		}
	}
	return rest, rest == ""
}
