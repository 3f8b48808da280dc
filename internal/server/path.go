package server

import (
	"errors"
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

var errBadPath = errors.New("path not accepted")

// canonicalPath returns the one form of a raw path, or errBadPath.
func canonicalPath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", errBadPath
	}
	var canonical, decoded strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' || c == '?' {
				return "", errBadPath
			}
			canonical.WriteByte(c)
			decoded.WriteByte(c)
			continue
		}
		if i+2 >= len(raw) {
			return "", errBadPath
		}
		high, low := unhex(raw[i+1]), unhex(raw[i+2])
		if high < 0 || low < 0 {
			return "", errBadPath
		}
		i += 2
		c = byte(high<<4 | low)
		if c == '/' || c == '\\' {
			return "", errBadPath
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
		return "", errBadPath
	}
	for segment := range strings.SplitSeq(text, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		if segment == "." || segment == ".." {
			return "", errBadPath
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

// otherReadings returns how laxer programs would read a canonical path: without path parameters, without case, and
// both. A path that would be routed otherwise under one of them is refused.
func otherReadings(path string) []string {
	bare := path
	if strings.Contains(path, ";") {
		segments := strings.Split(path, "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		bare = strings.Join(segments, "/")
	}
	return []string{bare, strings.ToLower(path), strings.ToLower(bare)}
}
