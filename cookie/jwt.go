package cookie

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A JWT is the cookie of one JSON Web Token: a program declares it once, and sets and deletes the cookie with it, so
// that the attributes cannot differ. HttpOnly is always written and cannot be switched off.
//
// The zero value is the safest cookie there is:
//
//	__Host-access_token=…; Path=/; HttpOnly; Secure; SameSite=Lax
//
// A JWT is a plain value. Its methods change nothing in it and may be called at the same time; copy it to change a field.
// Call [JWT.Check] when the program starts: Set and Delete check as well, but then it is a user who meets the mistake.
type JWT struct {
	// Name is the name without prefix: access_token by default. A name that bears a prefix is refused, as in [Config].
	Name string
	// Prefix is Auto by default: __Host-, or __Secure- with a Domain or another Path than /, or none with
	// InsecureAllowHTTP. None gives the bare name, for services that know the cookie under it; any page of a sibling host
	// can then put another one beside it (RFC 6265bis, section 4.1.3).
	Prefix Prefix
	// MaxAge is how long browsers keep the cookie; zero, the default, is until they are closed. It is cut to 400 days
	// and to whole seconds, at least one; less than zero is refused. Where it is to end with the token, use
	// [JWT.SetFor].
	MaxAge time.Duration
	// SameSite is Lax by default. Strict leaves the cookie out when a link of another site leads here; None sends it
	// with every request of other sites, and needs Secure.
	SameSite http.SameSite
	// Path is / by default. Another one keeps the cookie out of requests elsewhere on the host, but not from pages
	// there, which can ask for a path of any name: it protects nothing (RFC 6265, section 8.5).
	Path string
	// Domain sends the cookie to all hosts under it. Empty, the default, is the host that sets it, alone. It must be the
	// host of the program or a parent of it, which is not known here, and not a public suffix, an IP address or a
	// single label. A leading dot is dropped.
	Domain string
	// Partitioned keeps the cookie apart for each site that embeds the program (CHIPS). Needs Secure.
	Partitioned bool
	// InsecureAllowHTTP leaves out Secure and the prefix, for development on http://localhost. Whoever is on the way
	// can read such a cookie, so a Domain is refused beside it unless it lies under localhost.
	InsecureAllowHTTP bool
}

// Check reports every mistake in c, each with the field and the fix: what browsers would refuse, and what would be
// unsafe. What it passes, [JWT.Delete] does too, and [JWT.Set] for every token that fits (RFC 6265bis, sections 4.1
// and 5.7).
func (c JWT) Check() error {
	_, err := c.template()
	return err
}

// CookieName returns the name under which browsers know the cookie, prefix included. For a c that [JWT.Check] refuses
// it means nothing.
func (c JWT) CookieName() string {
	t, _ := c.template()
	return t.Name
}

// Set adds the cookie with this token to the answer, to live for MaxAge.
//
// The token must be a JWS in compact form, in its one spelling (RFC 7515, section 7.1): three parts of base64url,
// none empty. Whether it verifies is not asked; encrypted tokens (JWE) are refused. Set also returns what [JWT.Check]
// reports, and [ErrTooLarge] when name and token exceed 4096 bytes. On error nothing is added, and no error holds the
// token.
func (c JWT) Set(w http.ResponseWriter, token string) error {
	return c.set(w, token, c.MaxAge)
}

// SetFor is [JWT.Set] with a life of the cookie's own in place of MaxAge: the rest of the token's life, such as
// time.Until of its expiry. It is cut as MaxAge is. Zero or less is an error, because the token is over, and a cookie
// without Max-Age would outlive it.
func (c JWT) SetFor(w http.ResponseWriter, token string, life time.Duration) error {
	if life <= 0 {
		return errOver(c.CookieName(), life)
	}
	return c.set(w, token, life)
}

// Delete adds the deletion of the cookie to the answer: the name, path, domain and flags that Set writes, an empty
// value and Max-Age=0. It does no harm where there is no such cookie. It returns what [JWT.Check] reports, and then adds
// nothing.
//
// The token itself stays valid until it expires, for whoever has a copy.
func (c JWT) Delete(w http.ResponseWriter) error {
	t, err := c.template()
	if err != nil {
		return err
	}
	return Set(w, t.deletion())
}

// Read returns what a request bears under the cookie's name, read from the raw Cookie field as the package's [Read]
// does. It returns [ErrTooMany], and then nothing found. What it returns is still to be verified, each value if there
// are several; c is not checked.
func (c JWT) Read(h http.Header) (Found, error) { return Read(h, c.CookieName()) }

func (c JWT) set(w http.ResponseWriter, token string, life time.Duration) error {
	t, err := c.template()
	if err != nil {
		return err
	}
	built, err := t.build(token, life) // judges the length first, so that what follows is bounded
	if err != nil {
		return err
	}
	if !isCompactJWS(token) {
		return fmt.Errorf("cookie %s: the value is not a JWS in compact form: three parts of base64url without padding, the first a JSON object", t.Name)
	}
	return Set(w, built)
}

// template returns the cookie without value and life, and every mistake.
func (c JWT) template() (template, error) {
	var bad mistakes
	name := orDefault(c.Name, "access_token")
	if err := checkBaseName(name); err != nil {
		bad.add("Name", "%w", err)
	}
	if c.MaxAge < 0 {
		bad.add("MaxAge", "%v is over: use zero for a cookie that ends with the browser, and Delete to remove it", c.MaxAge)
	}
	path := orDefault(c.Path, "/")
	if err := checkPath(path); err != nil {
		bad.add("Path", "%w", err)
	}
	domain := canonicalDomain(c.Domain)
	if c.Domain != "" {
		// The host is not known, so whether the Domain is one of its parents is left to the browser.
		if err := checkDomain(domain, domain); err != nil {
			bad.add("Domain", "%w", err)
		} else if c.InsecureAllowHTTP && !isLoopback(domain) {
			bad.add("InsecureAllowHTTP", "it is for loopback, and Domain %q is not: leave one of the two out", domain)
		}
	}
	t := attributes{
		prefix: c.Prefix, sameSite: c.SameSite, path: path, domain: domain, partitioned: c.Partitioned,
		plain: c.InsecureAllowHTTP, remedy: "leave InsecureAllowHTTP out",
	}.template(&bad)
	return t.named(name, true), errors.Join(bad...)
}

// A CSRF is the cookie with the CSRF token that goes with a [JWT]: its attributes and life, but readable by script, which
// sends the token back in a header. Package csrf makes and checks the token (Tokens.Issue), and never takes it from
// this cookie.
//
// It cannot hold a JWT: its values have no dots. Like JWT it is a plain value, declared once:
//
//	var session = cookie.JWT{Name: "session"}
//	var csrfCookie = cookie.CSRF{With: session}
type CSRF struct {
	// With is the cookie whose attributes this one shares.
	With JWT
	// Name is the name without prefix: csrftoken by default.
	Name string
}

// Check reports every mistake in c and in With, each with the field and the fix.
func (c CSRF) Check() error {
	_, err := c.template()
	return err
}

// CookieName returns the name that script looks for, prefix included.
func (c CSRF) CookieName() string {
	t, _ := c.template()
	return t.Name
}

// Set adds the cookie with this token to the answer, to live as long as With.MaxAge says. The token must consist of
// letters, digits, hyphens and underscores. Set also returns what [CSRF.Check] reports, and [ErrTooLarge]. On error
// nothing is added, and no error holds the token.
func (c CSRF) Set(w http.ResponseWriter, token string) error {
	return c.set(w, token, c.With.MaxAge)
}

// SetFor is [CSRF.Set] with the life that [JWT.SetFor] is given. Zero or less is an error.
func (c CSRF) SetFor(w http.ResponseWriter, token string, life time.Duration) error {
	if life <= 0 {
		return errOver(c.CookieName(), life)
	}
	return c.set(w, token, life)
}

// Delete adds the deletion of the cookie to the answer, as [JWT.Delete] does.
func (c CSRF) Delete(w http.ResponseWriter) error {
	t, err := c.template()
	if err != nil {
		return err
	}
	return Set(w, t.deletion())
}

func (c CSRF) set(w http.ResponseWriter, token string, life time.Duration) error {
	t, err := c.template()
	if err != nil {
		return err
	}
	built, err := t.build(token, life)
	if err != nil {
		return err
	}
	if !isBase64URL(token) {
		return fmt.Errorf("cookie %s: the value holds other bytes than letters, digits, hyphens and underscores", t.Name)
	}
	return Set(w, built)
}

func (c CSRF) template() (template, error) {
	var bad mistakes
	with, err := c.With.template()
	if err != nil {
		bad = append(bad, err)
	}
	base := orDefault(c.With.Name, "access_token")
	name := orDefault(c.Name, "csrftoken")
	if err := checkBaseName(name); err != nil {
		bad.add("CSRF.Name", "%w", err)
	}
	if strings.EqualFold(name, base) {
		bad.add("CSRF.Name", "%q equals the name of With when compared without case: use different names", name)
	}
	with.Name = strings.TrimSuffix(with.Name, base)
	return with.named(name, false), errors.Join(bad...)
}

func isBase64URL(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}
