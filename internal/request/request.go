// Package request reads what authenticating a request needs: the bearer token, and whether the request may change anything.
package request

import (
	"errors"
	"net/http"
	"strings"
)

// ErrSeveralFields says that a request has more than one Authorization field: nobody may choose between them (RFC 9110,
// section 5.3).
var ErrSeveralFields = errors.New("more than one Authorization field")

// Bearer returns the bearer token of a request (RFC 6750, section 2.1), "" when it has none. Another scheme is no credential
// of ours; bad is a bearer that is not exactly one token, and a field without any scheme.
func Bearer(h http.Header) (token string, bad bool, err error) {
	switch fields := h["Authorization"]; len(fields) {
	case 0:
		return "", false, nil
	case 1:
		token, bad = parseBearer(fields[0])
		return token, bad, nil
	}
	return "", false, ErrSeveralFields
}

func parseBearer(field string) (token string, bad bool) {
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

// IsSafe reports whether a method changes nothing (RFC 9110, section 9.2.1). TRACE is none of ours.
func IsSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// IsHandshake reports whether a request opens a WebSocket (RFC 6455, section 4.1).
func IsHandshake(h http.Header) bool {
	for _, line := range h["Upgrade"] {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "websocket") {
				return true
			}
		}
	}
	return false
}
