// Package pathrule is the one reading of a request's path, for those who decide by it who may pass.
package pathrule

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The path policy. Whoever routes by a path and whoever serves it must read it alike, so every spelling that two
// programs could read differently is refused with 400, never redirected and never repaired:
//
//   - a segment that is "." or ".." once decoded and once its parameters (";…") are cut
//   - an empty segment ("//"), a backslash raw or encoded, an encoded slash
//   - control characters, raw bytes from 0x80 on, escapes that are not hexadecimal or not valid UTF-8
//
// What remains is brought to one form: escapes of unreserved characters (RFC 3986, section 2.3) are decoded, once, and
// all other escapes are written in upper case. That one string is matched and passed on.

// ErrBad says that two programs might read a path differently.
var ErrBad = errors.New("path not accepted")

// Canonical returns the one form of a raw path, or ErrBad.
func Canonical(raw string) (string, error) { return canonical(raw, false) }

// WithSlashes is Canonical for readers some of which accept encoded slashes: they stay as they are, "%2F". Dots between two
// slashes, encoded or not, are a segment all the same.
func WithSlashes(raw string) (string, error) { return canonical(raw, true) }

func canonical(raw string, slashes bool) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", ErrBad
	}
	var canonical, decoded strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' || c == '?' {
				return "", ErrBad
			}
			canonical.WriteByte(c)
			decoded.WriteByte(c)
			continue
		}
		if i+2 >= len(raw) {
			return "", ErrBad
		}
		high, low := unhex(raw[i+1]), unhex(raw[i+2])
		if high < 0 || low < 0 {
			return "", ErrBad
		}
		i += 2
		c = byte(high<<4 | low)
		if c == '\\' || c == '/' && !slashes {
			return "", ErrBad
		}
		decoded.WriteByte(c)
		if isUnreserved(c) {
			canonical.WriteByte(c)
			continue
		}
		const upper = "0123456789ABCDEF"
		canonical.Write([]byte{'%', upper[high], upper[low]})
	}
	text := decoded.String()
	if !utf8.ValidString(text) || strings.Contains(text, "//") || strings.ContainsFunc(text, unicode.IsControl) {
		return "", ErrBad
	}
	for segment := range strings.SplitSeq(text, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		if segment == "." || segment == ".." {
			return "", ErrBad
		}
	}
	return canonical.String(), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// OtherReadings returns how laxer programs would read a canonical path: without path parameters, without case, with encoded
// slashes decoded, and all of these. A path that would be routed otherwise under one of them is refused.
func OtherReadings(path string) []string {
	bare := WithoutParameters(path)
	readings := []string{bare, strings.ToLower(path), strings.ToLower(bare)}
	if decoded := strings.ReplaceAll(path, "%2F", "/"); decoded != path {
		readings = append(readings, OtherReadings(decoded)...)
		readings = append(readings, decoded)
	}
	return readings
}

// WithoutParameters returns a path without what follows a semicolon in each segment (RFC 3986, section 3.3).
func WithoutParameters(path string) string {
	if !strings.Contains(path, ";") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

// Raw is the path as it was sent: the request target up to the query, without scheme and authority if it has them
// (RFC 9112, section 3.2).
func Raw(r *http.Request) string {
	target := r.RequestURI
	if target == "" { // a request made by a test, without a connection
		target = r.URL.EscapedPath()
	}
	if scheme, rest, ok := strings.Cut(target, "://"); ok && !strings.ContainsAny(scheme, "/?#") {
		if slash := strings.IndexAny(rest, "/?#"); slash >= 0 {
			target = rest[slash:]
		} else {
			target = "/"
		}
	}
	path, _, _ := strings.Cut(target, "?")
	return path
}

// Set makes a canonical path the request's path.
func Set(r *http.Request, canonical string) {
	decoded, err := url.PathUnescape(canonical)
	if err != nil { // Canonical let no bad escape through
		decoded = canonical
	}
	r.URL.Path, r.URL.RawPath = decoded, canonical
}
