// Package pathrule is the one reading of a request's path, for those who decide by it who may pass.
package pathrule

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The path policy. Whoever routes by a path and whoever serves it must read it alike, so every spelling that two
// programs could read differently is refused with 400, never redirected and never repaired:
//
//   - a segment that is "." or ".." once decoded and once its parameters (";…") and the blanks around it are cut
//   - an empty segment ("//"), a backslash raw or encoded, an encoded slash
//   - control characters, raw bytes from 0x80 on, escapes that are not hexadecimal or not valid UTF-8
//   - letters of other scripts that some program takes for one of these: "．．" (Unicode, UAX #15 and RFC 5892)
//   - more than 8 KiB
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

// maxLength is the length of a path that servers are expected to take (RFC 9110, section 4.1, has 8,000 bytes).
const maxLength = 8 << 10

func canonical(raw string, slashes bool) (string, error) {
	if raw == "" || raw[0] != '/' || len(raw) > maxLength {
		return "", ErrBad
	}
	if isPlain(raw) && !strings.Contains(raw, "//") { // as nearly all are; isPlain leaves no segment "." or ".."
		return raw, nil
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
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || leadsElsewhere(text) {
		return "", ErrBad
	}
	if !isASCII(text) && leadsElsewhere(strings.ReplaceAll(fold(text), `\`, "/")) {
		return "", ErrBad
	}
	return canonical.String(), nil
}

// leadsElsewhere reports whether a program that cleans a decoded path makes another one of it.
func leadsElsewhere(text string) bool {
	if strings.Contains(text, "//") {
		return true
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment == "" || segment[0] != '.' && segment[0] > ' ' && segment[0] < utf8.RuneSelf {
			continue
		}
		segment, _, _ = strings.Cut(segment, ";")
		segment = strings.TrimSpace(segment)
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold returns what is left of the differences between letters for a program that makes none: full-width and other compatible
// forms are the plain ones, case is gone, and so is what cannot be seen and some file systems leave out.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, s)
	return norm.NFKC.String(cases.Fold().String(s))
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

// OtherReadings returns how laxer programs would read a canonical path, of which some decode it, cut path parameters, make no
// difference of case or of letters that look alike, cut dots and blanks from the ends of segments, or take several slashes for
// one. A path that would be routed otherwise under one of them is refused. Most paths have no other reading.
func OtherReadings(path string) []string {
	if isPlain(path) {
		return nil
	}
	readings := []string{path}
	for _, change := range []func(string) string{decode, foldOther, WithoutParameters, strings.ToLower, trimSegments, oneSlash} {
		for _, r := range readings { // those so far
			if other := change(r); other != r {
				readings = append(readings, other)
			}
		}
	}
	return readings[1:]
}

// isPlain reports whether all programs read a path alike.
func isPlain(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '~', c == '/':
		case c == '.' && i+1 < len(path) && path[i+1] != '/':
		default:
			return false
		}
	}
	return true
}

func decode(path string) string {
	text, err := url.PathUnescape(path)
	if err != nil { // already decoded, with a percent sign in it
		return path
	}
	return text
}

func foldOther(path string) string {
	if isASCII(path) {
		return path
	}
	return fold(path)
}

// trimSegments cuts what some file systems do not keep at the end of a name. Dots alone stay.
func trimSegments(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		s = strings.TrimSpace(s)
		if trimmed := strings.TrimRight(s, ". "); trimmed != "" {
			s = trimmed
		}
		segments[i] = s
	}
	return strings.Join(segments, "/")
}

func oneSlash(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	one := "/" + strings.Join(segments, "/")
	if len(segments) > 0 && strings.HasSuffix(path, "/") {
		one += "/"
	}
	return one
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
