package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/session"
)

// An Auth says who may pass a route.
type Auth string

// Who may pass.
const (
	Required Auth = "required" // who is signed in; the default
	Optional Auth = "optional" // anybody, and it is known who is signed in: see session.Guard.Optional
	None     Auth = "none"     // anybody; no credential is looked at
)

// A Token says which bearer token a service gets for a request that speaks for somebody.
type Token string

// The tokens.
const (
	Audience Token = "audience" // one made for this service alone; the default
	Forward  Token = "forward"  // the user's own access token: the service may do whatever the user may
	NoToken  Token = "none"     // none
)

// A Rule is what a route asks of one method.
type Rule struct {
	Auth        Auth
	Credentials session.Credentials // what Required and Optional are satisfied by
}

// A Route leads a path prefix to one service. Path and Upstream are required.
type Route struct {
	// Path is the prefix, in whole segments: "/api/" and "/api" are the same, and lead /api, /api/ and /api/x, but not
	// /apix. Of several that match, the longest wins. It is written plainly: ASCII, no escapes, no "//", no dots as segments.
	Path string
	// Upstream is the address of the service: http or https, host, perhaps a port and a path, which is put in front of what is
	// sent on. Link-local addresses are refused, at the start and at each connection.
	Upstream string
	// Auth says who may pass. Default: [Required].
	Auth Auth
	// Methods are rules for single methods; those that are not named follow Auth, and HEAD follows GET.
	Methods map[string]Rule
	// SessionCheck is a stricter check of sessions than the service's: see session.Guard.Stricter. Default: the service's.
	SessionCheck tokenjar.SessionCheck
	// InsecureSkipCSRF lets any page of any site make a signed-in browser send any request to this service. It is logged at
	// the start: see Config.Announced.
	InsecureSkipCSRF bool
	// Token says which bearer the service gets. Default: [Audience].
	Token Token
	// Audience is the "aud" of tokens made for the service. Default: the origin of Upstream.
	Audience string
	// Scopes become the "scope" of these tokens (RFC 8693, section 4.2).
	Scopes []string
	// StripPrefix cuts Path from what is sent on, and says so in X-Forwarded-Prefix.
	StripPrefix bool
	// EncodedSlash lets %2F through, as it is. Use it where the service takes it for part of a name.
	EncodedSlash bool
	// WebSocket allows handshakes (RFC 6455). Default: 403.
	WebSocket bool
	// SSE treats every answer as a stream: nothing is held back, silence is not cut off, and it ends with the session. Answers
	// of the type text/event-stream always are.
	SSE bool
	// StripHeaders are further request headers that the service does not get, each by its name.
	StripHeaders []string
	// PassHeaders are request headers that the service gets although they would be removed: see the package comment. Not
	// cookies, nor what we set ourselves. "Authorization" only where Auth and Token are both None.
	PassHeaders []string

	// ConnectTimeout is for a connection to the service, TLS included. Default: 5 s.
	ConnectTimeout time.Duration
	// HeaderTimeout is from the end of the request to the head of its answer. Default: 30 s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long a service may pause: in an answer that is no stream, and in taking what it is sent. Default: 60 s.
	IdleTimeout time.Duration
	// MaxBody is the size of a request's body in bytes at most. Default: 10 MiB; -1: any.
	MaxBody int64
	// MaxRequests is how many requests the service gets at once at most, streams apart; all routes of a Proxy to one Upstream
	// share the least of theirs. Others are 503. Default: 512.
	MaxRequests int
	// MaxStreams is how many streams may be open at once at most. Others are 503. Default: 10,000.
	MaxStreams int
	// MaxPerSession is how many requests one session may have under way at once, and how many streams open. Others are 429.
	// Raise it for programs that sign in and ask for much at a time. Default: a quarter of MaxRequests, and of MaxStreams, at
	// least 16 and at most 128. All routes to one Upstream share the most of theirs for requests.
	//
	// All sessions of one user together have a quarter, or MaxPerSession if that is more; and all who are not signed in and have
	// one address, or are in one IPv6 network of 64 bits, a half; each 16 at least.
	MaxPerSession int
}

// Defaults of [Route].
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultHeaderTimeout  = 30 * time.Second
	DefaultIdleTimeout    = time.Minute
	DefaultMaxBody        = 10 << 20
	DefaultMaxRequests    = 512
	DefaultMaxStreams     = 10_000
)

// methods are what may have a rule.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// Check reports everything that is wrong with the route by itself, joined, each with the name of its field. [New] refuses two
// things more, which only the service can know: an audience of our own, and a check of sessions that is not stricter. self are
// addresses, as host:port, on which we listen.
func (r Route) Check(self []string) error {
	_, err := r.complete(self)
	return err
}

// complete returns the route with its defaults, and everything that is wrong with it.
func (r Route) complete(self []string) (Route, error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := CheckPath(r.Path); err != nil {
		wrong("Path: %w", err)
	}
	upstream, err := CheckUpstream(r.Upstream, self)
	if err != nil {
		wrong("Upstream: %w", err)
	}
	r.Auth = orDefault(r.Auth, Required)
	r.Token = orDefault(r.Token, Audience)
	if !slices.Contains([]Auth{Required, Optional, None}, r.Auth) {
		wrong("Auth: %q is none: use required, optional or none", r.Auth)
	}
	if !slices.Contains([]Token{Audience, Forward, NoToken}, r.Token) {
		wrong("Token: %q is none: use audience, forward or none", r.Token)
	}
	for method, rule := range r.Methods {
		switch {
		case !slices.Contains(methods, method):
			wrong("Methods: %q is no method that is served: use %s, in capitals", method, strings.Join(methods, ", "))
		case !slices.Contains([]Auth{Required, Optional, None}, rule.Auth):
			wrong("Methods: %s: %q is none: use required, optional or none", method, rule.Auth)
		case rule.Auth == None && rule.Credentials != session.CookieOrBearer:
			wrong("Methods: %s: none looks at no credential", method)
		}
	}
	if r.Audience != "" && r.Token != Audience {
		wrong("Audience: has no effect with Token %s: remove it", r.Token)
	}
	if len(r.Scopes) > 0 && r.Token != Audience {
		wrong("Scopes: have no effect with Token %s: remove them", r.Token)
	}
	if len(r.Audience) > 255 {
		wrong("Audience: is longer than 255 bytes")
	}
	for _, scope := range r.Scopes {
		if !scopeToken.MatchString(scope) {
			wrong("Scopes: %q is no scope-token (RFC 6749, section 3.3): no blanks, quotes or backslashes", scope)
		}
	}
	if r.Audience == "" && upstream != nil {
		r.Audience = upstream.Scheme + "://" + upstream.Host
	}
	for _, name := range r.StripHeaders {
		if !fieldName.MatchString(name) {
			wrong("StripHeaders: %q is no name of a header", name)
		} else if http.CanonicalHeaderKey(name) == "Cookie" || http.CanonicalHeaderKey(name) == "Host" {
			wrong("StripHeaders: %s cannot be removed", name)
		}
	}
	for _, name := range r.PassHeaders {
		if err := r.checkPass(name); err != nil {
			wrong("PassHeaders: %w", err)
		}
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"ConnectTimeout", &r.ConnectTimeout, DefaultConnectTimeout}, {"HeaderTimeout", &r.HeaderTimeout, DefaultHeaderTimeout},
		{"IdleTimeout", &r.IdleTimeout, DefaultIdleTimeout},
	} {
		if *d.value < 0 {
			wrong("%s: %s is negative", d.name, *d.value)
		}
		*d.value = orDefault(*d.value, d.usual)
	}
	r.MaxBody = orDefault(r.MaxBody, DefaultMaxBody)
	r.MaxRequests = orDefault(r.MaxRequests, DefaultMaxRequests)
	r.MaxStreams = orDefault(r.MaxStreams, DefaultMaxStreams)
	if r.MaxBody < -1 || r.MaxRequests < 0 || r.MaxStreams < 0 || r.MaxPerSession < 0 {
		wrong("MaxBody, MaxRequests, MaxStreams, MaxPerSession: must not be negative")
	}
	return r, errors.Join(errs...)
}

func orDefault[T comparable](v, usual T) T {
	var zero T
	if v == zero {
		return usual
	}
	return v
}

// scopeToken is a scope as tokens bear it, several of them separated by blanks.
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)

var fieldName = regexp.MustCompile("^[A-Za-z0-9-]{1,100}$")

// checkPass reports why a header may not be let through.
func (r Route) checkPass(name string) error {
	if !fieldName.MatchString(name) {
		return fmt.Errorf("%q is no name of letters, digits and hyphens: programs take others for one another", name)
	}
	switch key := http.CanonicalHeaderKey(name); {
	case key == "Authorization" && (r.Auth != None || r.Token != NoToken || len(r.Methods) > 0):
		return errors.New("Authorization may pass only where Auth and Token are none: otherwise it is ours to set")
	case key == "Authorization":
		return nil
	case key == "Cookie", key == "Host", key == "Connection", key == "Upgrade", key == "Content-Length", hopByHop[key]:
		return fmt.Errorf("%s cannot be let through", name)
	case key == "Forwarded", strings.HasPrefix(key, "X-Forwarded"), key == "X-Request-Id", strings.HasPrefix(key, "X-Tokenjar-"):
		return fmt.Errorf("%s is ours to set", name)
	}
	return nil
}

// CheckPath reports why a text is no path prefix of a [Route].
func CheckPath(p string) error {
	canonical, err := pathrule.Canonical(p)
	if err != nil || canonical != p || strings.ContainsAny(p, "%;{}*") {
		return fmt.Errorf("%q is no plain prefix: begin with a slash; no escapes, parameters, //, dots as segments or wildcards", p)
	}
	if p != strings.ToLower(p) { // requests that differ from it by case alone are refused
		return fmt.Errorf("%q must be in lower case", p)
	}
	for _, other := range pathrule.OtherReadings(p) {
		if !covers(p, other) {
			return fmt.Errorf("%q is %q to some programs: let no segment end in a dot", p, other)
		}
	}
	return nil
}

// CheckUpstream returns the address of a service, or why it is none. self are addresses that lead to us.
func CheckUpstream(text string, self []string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || u.Opaque != "":
		return nil, errors.New("is no address: write http://host:port, or https://host") // not shown: may hold a password
	case u.User != nil:
		return nil, errors.New("must not have a user name or password in it: remove what stands before the @")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q: the scheme must be http or https", text)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#"):
		return nil, fmt.Errorf("%q must not have a query or a fragment", text)
	}
	if base := u.EscapedPath(); base != "" {
		if canonical, err := pathrule.Canonical(base); err != nil || canonical != base {
			return nil, fmt.Errorf("%q: the path must be a plain one", text)
		}
	}
	host := strings.ToLower(u.Hostname())
	if host == "" {
		return nil, fmt.Errorf("%q names no host", text)
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || port == "0" {
		return nil, fmt.Errorf("%q has no port after the colon", text)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := checkAddress(addr); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
	} else if onlyDigits.MatchString(host) { // 2852039166, 0xa9.0xfe.0xa9.0xfe: addresses to some resolvers
		return nil, fmt.Errorf("%q: write the address as four numbers from 0 to 255, or the name of the host", text)
	}
	port := orDefault(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	for _, own := range self {
		if sameAddress(own, host, port) {
			return nil, fmt.Errorf("%q is where we listen ourselves: requests would go round for ever", text)
		}
	}
	return u, nil
}

var onlyDigits = regexp.MustCompile(`(?i)^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?$`)

// errLinkLocal is of an address that only this link has, where clouds serve their machines' credentials.
var errLinkLocal = errors.New("link-local, multicast and unspecified addresses are no services")

func checkAddress(addr netip.Addr) error {
	addr = addr.Unmap()
	if addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() || addr.Zone() != "" || addr == metadataIPv6 {
		return errLinkLocal
	}
	return nil
}

// metadataIPv6 is where one cloud serves its machines' credentials, outside the link-local range.
var metadataIPv6 = netip.MustParseAddr("fd00:ec2::254")

// sameAddress reports whether a host and port are those of an address that is listened on. Names are not looked up.
func sameAddress(listen, host, port string) bool {
	i := strings.LastIndexByte(listen, ':')
	if i < 0 || listen[i+1:] != port {
		return false
	}
	own := strings.ToLower(strings.Trim(listen[:i], "[]"))
	loopback := func(h string) bool {
		addr, err := netip.ParseAddr(h)
		return h == "localhost" || strings.HasSuffix(h, ".localhost") || err == nil && addr.Unmap().IsLoopback()
	}
	unspecified := func(h string) bool {
		addr, err := netip.ParseAddr(h)
		return h == "" || err == nil && addr.Unmap().IsUnspecified()
	}
	switch {
	case own == host, loopback(own) && loopback(host):
		return true
	case unspecified(own):
		return loopback(host)
	}
	return false
}

// covers reports whether a canonical path lies under a prefix, in whole segments.
func covers(prefix, path string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
