package cookie

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// MaxAge is the longest life a cookie is given: browsers cut longer ones to it (RFC 6265bis, section 5.5).
const MaxAge = 400 * 24 * time.Hour

// MaxSize is the limit for name and value together, in bytes. Browsers ignore what is larger (RFC 6265bis,
// section 5.7).
const MaxSize = 4096

// ErrTooLarge is returned when name and value exceed [MaxSize]. The usual cause is too many claims in a token.
var ErrTooLarge = errors.New("cookie: name and value exceed 4096 bytes")

// Prefix says which name prefix binds the cookies to their attributes (RFC 6265bis, section 4.1.3).
type Prefix string

// The prefixes. The zero value is Auto.
const (
	Auto   Prefix = "auto"   // Host on https, Secure with a Domain or another Path than /, None on loopback http
	Host   Prefix = "host"   // __Host-: Secure, Path=/, no Domain; a sibling host cannot set such a cookie
	Secure Prefix = "secure" // __Secure-: only https can set it
	None   Prefix = "none"   // bare names
)

// A Scope is a path and domain under which cookies of our names were once set.
type Scope struct {
	Path   string // "" is "/"
	Domain string // "" is the host alone; a leading dot is dropped
}

// Config says how the cookies are named and where they are sent.
type Config struct {
	// PublicURL is the address under which browsers know us. Required: https, or http for a loopback host.
	PublicURL string
	// Access, Refresh and CSRF are the names without prefix: access_token, refresh_token and csrftoken by default.
	Access, Refresh, CSRF string
	// Prefix is Auto by default.
	Prefix Prefix
	// SameSite is Lax by default. None needs https.
	SameSite http.SameSite
	// Domain sends the cookies to all hosts under it. Empty, the default, is this host alone. It must be the host of
	// PublicURL or a parent of it, and not a public suffix. A leading dot is dropped.
	Domain string
	// LegacyScopes are where cookies of our names may linger from earlier configurations or systems; they are
	// deleted there, with and without prefix.
	LegacyScopes []Scope
}

// A Policy builds, reads and clears the cookies. It is immutable and safe for concurrent use.
type Policy struct {
	access, refresh, csrf template
	base                  [2]string // names of access and refresh cookie without prefix
	expired               []http.Cookie
}

// New checks cfg and returns its policy. It reports every mistake, each with the field and the fix, joined as by
// [errors.Join]; then there is no policy.
func New(cfg Config) (*Policy, error) {
	var bad mistakes
	host, https, err := parsePublicURL(cfg.PublicURL)
	if err != nil {
		bad.add("PublicURL", "%w", err)
	}
	known := err == nil // otherwise what depends on the URL would only repeat its error

	domain := canonicalDomain(cfg.Domain)
	if cfg.Domain != "" && known {
		if err := checkDomain(domain, host); err != nil {
			bad.add("Domain", "%w", err)
		}
	}

	common := attributes{
		prefix: cfg.Prefix, sameSite: cfg.SameSite, path: "/", domain: domain,
		plain: known && !https, remedy: "use an https PublicURL",
	}.template(&bad)

	names := [3]string{orDefault(cfg.Access, "access_token"), orDefault(cfg.Refresh, "refresh_token"), orDefault(cfg.CSRF, "csrftoken")}
	fields := [3]string{"Access", "Refresh", "CSRF"}
	for i, name := range names {
		if err := checkBaseName(name); err != nil {
			bad.add(fields[i], "%w", err)
		}
		for j := range i {
			if strings.EqualFold(name, names[j]) {
				bad.add(fields[i], "%q equals %s when compared without case: use different names", name, fields[j])
			}
		}
	}

	p := &Policy{
		access:  common.named(names[0], true),
		refresh: common.named(names[1], true),
		csrf:    common.named(names[2], false),
		base:    [2]string{names[0], names[1]},
	}
	for i, scope := range cfg.LegacyScopes {
		field := fmt.Sprintf("LegacyScopes[%d]", i)
		scope = Scope{Path: orDefault(scope.Path, "/"), Domain: canonicalDomain(scope.Domain)}
		if err := checkPath(scope.Path); err != nil {
			bad.add(field+".Path", "%w", err)
		}
		if scope.Domain != "" && known {
			if err := checkDomain(scope.Domain, host); err != nil {
				bad.add(field+".Domain", "%w", err)
			}
		}
		p.addLegacy(scope, names)
	}
	if err := errors.Join(bad...); err != nil {
		return nil, err
	}
	return p, nil
}

// addLegacy adds the deletions for one scope: of each name every spelling that a browser would take there, except
// the cookie that is in use.
func (p *Policy) addLegacy(scope Scope, names [3]string) {
	for i, live := range []template{p.access, p.refresh, p.csrf} {
		for _, prefix := range []string{"", "__Secure-", "__Host-"} {
			c := http.Cookie(live)
			c.Name, c.Path, c.Domain = prefix+names[i], scope.Path, scope.Domain
			if checkPrefix(&c) != nil || c.Name == live.Name && c.Path == live.Path && c.Domain == live.Domain {
				continue
			}
			c.MaxAge = -1
			p.expired = append(p.expired, c)
		}
	}
}

// AccessName returns the name of the access cookie, prefix included.
func (p *Policy) AccessName() string { return p.access.Name }

// RefreshName returns the name of the refresh cookie, prefix included.
func (p *Policy) RefreshName() string { return p.refresh.Name }

// CSRFName returns the name of the CSRF cookie, prefix included.
func (p *Policy) CSRFName() string { return p.csrf.Name }

// Access returns the cookie for an access token. life is the rest of the token's life, cut to [MaxAge] and to whole
// seconds, at least one; zero or less is an error, since the browser would take the cookie for a deletion. It returns
// [ErrTooLarge], or an error when the value holds bytes that [Read] would not accept.
func (p *Policy) Access(value string, life time.Duration) (*http.Cookie, error) {
	if life <= 0 {
		return nil, errOver(p.access.Name, life)
	}
	return p.access.build(value, life)
}

// Refresh returns the cookie for a refresh token. A life of zero makes a session cookie, which has no Max-Age and
// which the browser forgets when it closes (RFC 6265, section 5.3); otherwise, errors included, it is as in
// [Policy.Access].
func (p *Policy) Refresh(value string, life time.Duration) (*http.Cookie, error) {
	return p.refresh.build(value, life)
}

// CSRF returns the cookie for the CSRF token: readable by script, otherwise with the attributes and the life of the
// refresh cookie, and with the errors of [Policy.Refresh].
func (p *Policy) CSRF(value string, life time.Duration) (*http.Cookie, error) {
	return p.csrf.build(value, life)
}

// Clear returns the deletions of all three cookies, with the name, path, domain and flags they were set with and
// Max-Age=0, followed by those of [Policy.Expired]. The cookies are the caller's to change (RFC 6265bis, section 5.7).
func (p *Policy) Clear() []*http.Cookie {
	out := make([]*http.Cookie, 0, 3+len(p.expired))
	for _, t := range []template{p.access, p.refresh, p.csrf} {
		out = append(out, t.deletion())
	}
	return append(out, p.Expired()...)
}

// Expired returns the deletions for the legacy scopes, nil when there are none. Send them before new cookies: some
// clients do not tell a cookie with Domain from one of the host itself, and the later one then wins.
func (p *Policy) Expired() []*http.Cookie {
	var out []*http.Cookie
	for _, c := range p.expired {
		out = append(out, &c)
	}
	return out
}

// IsOurs reports whether a cookie of this name must not be passed on to a service, nor taken from one: the access
// and refresh cookie compared without case, without any prefix and without surrounding bytes that are not part of a
// name, because services differ in what they trim and fold; and the CSRF cookie by its exact name, because services
// may well have a csrftoken of their own.
func (p *Policy) IsOurs(name string) bool {
	if name == p.csrf.Name {
		return true
	}
	name = stripPrefixes(strings.TrimFunc(name, func(r rune) bool { return r >= 0x80 || !isTokenByte(byte(r)) }))
	return strings.EqualFold(name, p.base[0]) || strings.EqualFold(name, p.base[1])
}

func parsePublicURL(s string) (host string, https bool, err error) {
	if s == "" {
		return "", false, errors.New("empty: set the address browsers use, such as https://app.example.com")
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || u.User != nil {
		return "", false, fmt.Errorf("%q is not an address: write https://host or http://localhost:port", s)
	}
	host = strings.ToLower(u.Hostname())
	switch {
	case strings.HasSuffix(host, "."):
		return "", false, errors.New("remove the trailing dot of the host")
	case u.Scheme == "https":
		return host, true, nil
	case u.Scheme != "http":
		return "", false, fmt.Errorf("scheme %q: use https, or http on loopback", u.Scheme)
	case !isLoopback(host):
		return "", false, fmt.Errorf("plain http for %q, which is not a loopback host: use https", host)
	}
	return host, false, nil
}

// isLoopback reports whether the host cannot be reached over a network: localhost, names under it (RFC 6761,
// section 6.3) and loopback addresses.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
