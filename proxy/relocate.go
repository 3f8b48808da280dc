package proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// A service knows itself by an address that browsers cannot reach, and with strip_prefix by other paths than they do. Where an
// answer's head sends them there, it is turned into a path of ours. Anything else is left as it is: where else a service sends
// browsers is its own affair.

// relocate does so for the fields that browsers follow, and for the one that names what they have got.
func (r *route) relocate(h http.Header) {
	for _, name := range []string{"Location", "Content-Location"} {
		if values := h[name]; len(values) == 1 {
			if target, ok := r.ours(values[0]); ok {
				h[name] = []string{target}
			}
		}
	}
	// No RFC defines it, and every browser follows it (HTML, "shared declarative refresh steps").
	if values := h["Refresh"]; len(values) == 1 {
		if seconds, target, ok := parseRefresh(values[0]); ok {
			if target, ok = r.ours(target); ok {
				h["Refresh"] = []string{seconds + "; url=" + target}
			}
		}
	}
}

// ours returns the path of ours for a reference to the service, and false for another one and for what cannot be told.
func (r *route) ours(reference string) (target string, ok bool) {
	u, err := url.Parse(reference)
	if err != nil || u.User != nil || u.Opaque != "" {
		return "", false
	}
	own := u.Scheme == r.upstream.Scheme && strings.EqualFold(u.Host, r.upstream.Host)
	path := u.EscapedPath()
	switch {
	case own:
		rest, under := strings.CutPrefix(path, r.base)
		if !under || rest != "" && rest[0] != '/' {
			return "", false
		}
		path = rest
	case u.Scheme != "" || u.Host != "" || !r.StripPrefix || !strings.HasPrefix(path, "/"):
		return "", false
	}
	if r.StripPrefix {
		path = r.prefix + path
	}
	if path == "" {
		path = "/"
	}
	if strings.HasPrefix(path, "//") { // would be another host
		return "", false
	}
	target = path
	if u.RawQuery != "" || u.ForceQuery {
		target += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		target += "#" + u.EscapedFragment()
	}
	return target, true
}

const blanks = " \t"

// parseRefresh takes a Refresh field apart, as browsers do: 5; url=/x, 5;/x, 5, URL = '/x'.
func parseRefresh(value string) (seconds, target string, ok bool) {
	value = strings.Trim(value, blanks)
	end := strings.IndexFunc(value, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	if end <= 0 || !strings.ContainsRune(";,"+blanks, rune(value[end])) {
		return "", "", false // without a target it is about the page itself
	}
	seconds, rest := value[:end], strings.TrimLeft(value[end:], blanks)
	if rest != "" && (rest[0] == ';' || rest[0] == ',') {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	if len(rest) >= 3 && strings.EqualFold(rest[:3], "url") {
		if after, is := strings.CutPrefix(strings.TrimLeft(rest[3:], blanks), "="); is {
			rest = strings.TrimLeft(after, blanks)
		}
	}
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		rest, _, _ = strings.Cut(rest[1:], rest[:1])
	}
	return seconds, rest, rest != ""
}
