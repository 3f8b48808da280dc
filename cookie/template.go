package cookie

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// What Policy and JWT share: one check of the attributes, one builder, one deletion.

// attributes are the settings that Config and JWT have in common.
type attributes struct {
	prefix       Prefix
	sameSite     http.SameSite
	path, domain string // canonical, "" for no Domain
	partitioned  bool
	plain        bool   // over http, so without Secure
	remedy       string // what to change for Secure cookies
}

// template returns what the cookies have in common, with the prefix for a name. It adds to bad what browsers would
// refuse.
func (a attributes) template(bad *mistakes) template {
	if a.sameSite == 0 {
		a.sameSite = http.SameSiteLaxMode
	}
	switch a.sameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if a.plain {
			bad.add("SameSite", "None needs Secure cookies: %s, or Lax", a.remedy)
		}
	default:
		bad.add("SameSite", "unknown mode %d: use Lax, Strict or None", a.sameSite)
	}
	if a.partitioned && a.plain {
		bad.add("Partitioned", "it needs Secure cookies: %s, or leave it out", a.remedy)
	}

	prefix := ""
	switch a.prefix {
	case "", Auto:
		switch {
		case a.plain:
		case a.domain != "" || a.path != "/":
			prefix = "__Secure-"
		default:
			prefix = "__Host-"
		}
	case Host:
		prefix = "__Host-"
		if a.domain != "" {
			bad.add("Prefix", "__Host- cookies cannot have a Domain: leave Domain empty, or use secure or auto")
		}
		if a.path != "/" {
			bad.add("Prefix", "__Host- cookies have no Path but /: leave Path empty, or use secure or auto")
		}
	case Secure:
		prefix = "__Secure-"
	case None:
	default:
		bad.add("Prefix", "unknown prefix %q: use auto, host, secure or none", a.prefix)
	}
	if prefix != "" && a.plain {
		bad.add("Prefix", "%s cookies need https: use auto or none on loopback http", prefix)
	}
	return template{
		Name: prefix, Path: a.path, Domain: a.domain, Secure: !a.plain, SameSite: a.sameSite, Partitioned: a.partitioned,
	}
}

// mistakes are what is wrong with a configuration, each with the field and the fix.
type mistakes []error

func (m *mistakes) add(field, format string, args ...any) {
	*m = append(*m, fmt.Errorf("cookie: "+field+": "+format, args...))
}

// template is a cookie without its value and life.
type template http.Cookie

// named returns the template with a name after the prefix.
func (t template) named(name string, httpOnly bool) template {
	t.Name += name
	t.HttpOnly = httpOnly
	return t
}

// deletion returns the cookie that removes those built from t: it differs from them in value and life alone.
func (t template) deletion() *http.Cookie {
	c := http.Cookie(t)
	c.MaxAge = -1 // net/http writes Max-Age=0
	return &c
}

func errOver(name string, life time.Duration) error {
	return fmt.Errorf("cookie %s: life %v is over", name, life)
}

// build returns the cookie with this value and life: zero makes a session cookie, other lives are cut to MaxAge and to
// whole seconds, at least one.
func (t template) build(value string, life time.Duration) (*http.Cookie, error) {
	if life < 0 {
		return nil, errOver(t.Name, life)
	}
	if len(t.Name)+len(value) > MaxSize {
		return nil, fmt.Errorf("cookie %s: %w", t.Name, ErrTooLarge)
	}
	if !cleanValue(value) {
		return nil, fmt.Errorf("cookie %s: the value is empty or holds bytes that are not read back", t.Name)
	}
	c := http.Cookie(t)
	c.Value = value
	if life > 0 {
		c.MaxAge = int(max(min(life, MaxAge)/time.Second, 1))
	}
	return &c, nil
}

// checkDomain reports why cookies of host cannot have this Domain.
func checkDomain(domain, host string) error {
	switch {
	case !isHostName(domain):
		return fmt.Errorf("%q is not a host name: write IDN as xn-- labels, and no trailing dot", domain)
	case isAddr(domain) || isAddr(host) || endsInNumber(domain):
		return errors.New("an IP address has no domain: leave it empty")
	case !strings.Contains(domain, "."):
		return fmt.Errorf("%q is a single label, which browsers refuse: leave it empty", domain)
	case domain != host && !strings.HasSuffix(host, "."+domain):
		return fmt.Errorf("%q is neither the public host %q nor a parent of it", domain, host)
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return fmt.Errorf("%q is a public suffix, shared with strangers: leave it empty or name your own domain", domain)
	}
	return nil
}

func isAddr(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// endsInNumber reports whether browsers would read the host as an IPv4 address (WHATWG URL, "ends in a number"), or its
// last label has no letter at all, which no domain's does.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789-") == ""
}

// isHostName reports whether s is a host name that a Domain can hold: labels of lower-case letters, digits and hyphens.
// Underscores, which occur in URLs, are left out by net/http with the whole attribute.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
		}
	}
	return true
}

// maxAttribute is how long an attribute may be: browsers ignore longer ones, and would then take the path of the
// request instead (RFC 6265bis, section 5.6).
const maxAttribute = 1024

// checkPath reports why a cookie cannot have this path: what no request path holds, or what some reader of Set-Cookie
// stops at.
func checkPath(path string) error {
	switch {
	case path[0] != '/':
		return fmt.Errorf("%q does not begin with a slash", path)
	case len(path) > maxAttribute:
		return fmt.Errorf("it has %d bytes, and browsers ignore more than %d", len(path), maxAttribute)
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`;"\?#`, c) >= 0 {
			return fmt.Errorf("%q has bytes that a cookie path cannot hold", path)
		}
	}
	return nil
}

// checkBaseName reports why a configured name cannot be used. Names beginning with $ were attributes in the first
// cookie specifications, and some services still read them so.
func checkBaseName(name string) error {
	switch {
	case !isToken(name) || name[0] == '$':
		return fmt.Errorf("%q is not a cookie name: use letters, digits, hyphens and underscores", name)
	case len(name) > MaxSize/2:
		return fmt.Errorf("a name of %d bytes leaves no room for the value", len(name))
	case stripPrefixes(name) != name:
		return fmt.Errorf("%q bears a prefix: leave it out and set Prefix", name)
	}
	return nil
}

// canonicalDomain is a Domain attribute as browsers read it (RFC 6265, section 5.2.3).
func canonicalDomain(domain string) string { return strings.ToLower(strings.TrimPrefix(domain, ".")) }

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
