package cookie

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// MaxPairs is how many cookies a request may bear. Browsers keep about 180 for a site; the least they must keep is 50
// (RFC 6265, section 6.1).
const MaxPairs = 200

// MaxSame is how many values of one name are looked at. A few come from scopes that overlap; more are sent to make
// somebody verify them.
const MaxSame = 8

// ErrTooMany is returned for a request with more than [MaxPairs] cookies, or more than [MaxSame] values of the name that
// is read. The answer is 431, never the same as without cookies: among those not looked at may be ours (RFC 6585,
// section 5).
var ErrTooMany = errors.New("cookie: more than 200 cookies, or more than 8 of one name")

// Found is what a request bears under one name.
type Found struct {
	// Values are the clean values, in the order sent, each once.
	Values []string
	// Invalid counts the cookies of that name whose value is empty, too long, or holds quotes, blanks, escapes or
	// other bytes that we never issue; also a name without "=" and one with blanks around it.
	Invalid int
}

// Present reports whether the request bears a cookie of that name, good or bad.
func (f Found) Present() bool { return len(f.Values) > 0 || f.Invalid > 0 }

// Cookies are the three cookies of a request.
type Cookies struct {
	Access, Refresh, CSRF Found
}

// Read returns the three cookies of a request in one pass over its raw Cookie fields. It returns [ErrTooMany], and
// then no cookies.
//
// Names are compared exactly, prefix and case included. Pairs end at each semicolon, whatever quotes surround it
// (RFC 6265, section 5.4), so a quoted value cannot swallow the cookies after it and "$Version" is a cookie like any
// other. Values are returned as sent: nothing is unquoted or decoded.
func (p *Policy) Read(h http.Header) (Cookies, error) {
	var c Cookies
	err := scan(h, func(name, value string, bad bool) {
		switch name {
		case p.access.Name:
			c.Access.add(name, value, bad)
		case p.refresh.Name:
			c.Refresh.add(name, value, bad)
		case p.csrf.Name:
			c.CSRF.add(name, value, bad)
		}
	})
	if err != nil {
		return Cookies{}, err
	}
	if max(len(c.Access.Values), len(c.Refresh.Values), len(c.CSRF.Values)) > MaxSame {
		return Cookies{}, ErrTooMany
	}
	return c, nil
}

// ReadPlain returns the values of the access and the refresh cookie of an ordinary request, without allocating: one
// Cookie field with one access cookie, at most one refresh cookie, and at most one CSRF cookie. It reports false for any
// other request, which is then to be read with [Policy.Read].
//
// The values have not been looked at: they may be none that we ever issue. Where it reports true and both values are
// clean, Read finds the same.
func (p *Policy) ReadPlain(h http.Header) (access, refresh string, ok bool) {
	lines := h["Cookie"]
	if len(lines) != 1 {
		return "", "", false
	}
	line := lines[0]
	var accesses, refreshes, csrfs, pairs int
	for more := true; more; {
		if pairs++; pairs > MaxPairs {
			return "", "", false
		}
		var pair string
		if i := strings.IndexByte(line, ';'); i >= 0 {
			pair, line = line[:i], line[i+1:]
		} else {
			pair, more = line, false
		}
		for pair != "" && (pair[0] == ' ' || pair[0] == '\t') {
			pair = pair[1:]
		}
		// A name with more blanks around it is none of ours here; Read counts such a pair as invalid, and takes nothing
		// from it either.
		switch {
		case hasName(pair, p.access.Name):
			access = pair[len(p.access.Name)+1:]
			accesses++
		case hasName(pair, p.refresh.Name):
			refresh = pair[len(p.refresh.Name)+1:]
			refreshes++
		case hasName(pair, p.csrf.Name):
			csrfs++
		}
	}
	if accesses != 1 || refreshes > 1 || csrfs > 1 || access == "" || refreshes == 1 && refresh == "" {
		return "", "", false
	}
	if len(p.access.Name)+len(access) > MaxSize || len(p.refresh.Name)+len(refresh) > MaxSize {
		return "", "", false
	}
	return access, refresh, true
}

func hasName(pair, name string) bool {
	return len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name
}

// Read returns what a request bears under one name, prefix included, as [Policy.Read] does for our own. It returns
// [ErrTooMany], and then nothing found.
func Read(h http.Header, name string) (Found, error) {
	var f Found
	err := scan(h, func(n, value string, bad bool) {
		if n == name {
			f.add(name, value, bad)
		}
	})
	if err != nil {
		return Found{}, err
	}
	if len(f.Values) > MaxSame {
		return Found{}, ErrTooMany
	}
	return f, nil
}

func (f *Found) add(name, value string, bad bool) {
	switch {
	case bad || len(name)+len(value) > MaxSize || !cleanValue(value):
		f.Invalid++
	case !slices.Contains(f.Values, value):
		f.Values = append(f.Values, value)
	}
}

// scan calls yield for each pair of every Cookie field. The name has lost the blanks around it; bad says that there
// were some other than those after the semicolon, or no "=". The value is as sent.
func scan(h http.Header, yield func(name, value string, bad bool)) error {
	lines := h["Cookie"]
	pairs := 0
	for _, line := range lines {
		pairs += 1 + strings.Count(line, ";")
		if pairs > MaxPairs {
			return ErrTooMany
		}
	}
	for _, line := range lines {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			raw, value, ok := strings.Cut(strings.TrimLeft(pair, " \t"), "=")
			name := strings.Trim(raw, " \t\r\n\v\f") // all that any reader is known to trim
			yield(name, value, !ok || len(name) != len(raw))
		}
	}
	return nil
}

// cleanValue reports whether value is one we might have issued: not empty, and only cookie-octets (RFC 6265,
// section 4.1.1: no controls, blanks, quotes, commas, semicolons, backslashes or bytes from 0x7f on), without the
// percent sign, so that no reader can find escapes in it.
func cleanValue(value string) bool {
	for i := range len(value) {
		if !octets[value[i]] {
			return false
		}
	}
	return value != ""
}

// octets is a table because this is on the path of every request.
var octets = func() (t [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = strings.IndexByte(`",;\%`, c) < 0
	}
	return t
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isTokenByte reports whether c may be part of a cookie name (RFC 9110, section 5.6.2).
func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
