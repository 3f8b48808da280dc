package jwks

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// What a zero Config means, and how far it may go.
const (
	defaultMaxAge   = 10 * time.Minute
	defaultCooldown = 30 * time.Second
	defaultMaxStale = 24 * time.Hour
	defaultTimeout  = 5 * time.Second

	minInterval = time.Second         // below, a clock of whole seconds would ask the issuer all the time
	maxLife     = 30 * 24 * time.Hour // keys that nobody has asked for longer are nobody's
	maxCooldown = time.Hour           // so long may a new key be refused
	maxTimeout  = time.Minute         // a fetch that takes longer is an outage
)

// Config says whose keys a [Remote] fetches, and how patiently. URL is required.
type Config struct {
	// URL is where the issuer publishes its JWK Set: the jwks_uri of its metadata (RFC 8414 section 2), written down by
	// whoever trusts that issuer, never taken from a token. It must be absolute and https, without user information and
	// without fragment. http is for a loopback host ("localhost" or an address) that AllowPrivate lists.
	URL string

	// Algorithms are those a key may be for (RFC 8725 section 3.1). HS256 is refused: its key could not be published.
	// Default ES256, ES384, EdDSA and RS256.
	//
	// Naming only what the issuer uses is better. Where several fit the RSA keys of an issuer that publishes them without
	// alg, those keys are ignored; see [token.ParseForeignKeySet].
	Algorithms []token.Algorithm

	// MaxAge is how long a fetched set counts as fresh, and so how long a key that the issuer has withdrawn may still
	// verify while the issuer can be reached. The first token after it starts a fetch beside it. Default 10 minutes, at
	// least a second, at most 30 days.
	MaxAge time.Duration

	// Cooldown is the least time between two fetches for the sake of tokens that name unknown keys, and the longest
	// between two tries while fetching fails. Default 30 seconds, at least a second, at most an hour.
	Cooldown time.Duration

	// MaxStale is how long beyond MaxAge the last good set goes on verifying while no other can be had. Default 24 hours,
	// at most 30 days. Negative means not at all.
	MaxStale time.Duration

	// Timeout bounds one fetch, from the name's resolution to the last byte. Default 5 seconds, at most a minute.
	Timeout time.Duration

	// AllowPrivate are addresses that may be connected to although they are not public, as in 127.0.0.1/32 or the network
	// an internal issuer is in. Default none: loopback, private, link-local (where clouds keep credentials), carrier-grade
	// NAT, multicast, documentation and reserved addresses are refused, whatever name leads to them.
	AllowPrivate []netip.Prefix

	// RootCAs are the authorities whose certificates are taken. Nil means the system's.
	RootCAs *x509.CertPool

	// Transport replaces ours, and takes over what ours sees to: it decides which addresses are connected to, whatever
	// AllowPrivate says, which proxies are used and which certificates are taken. It must end with the request's context.
	// What holds here whatever it does: the rules for URL, one request that follows no redirect, the limit on the answer.
	// Nil means ours: the addresses above, no proxy, HTTP/1.1 over TLS 1.2 or better, one connection for each fetch.
	Transport http.RoundTripper

	// Now is the clock; nil means time.Now. It decides which keys are fresh; Timeout is real time.
	Now func() time.Time

	// Logger hears when fetching begins to fail, when it works again, and when the keys have changed. Default
	// slog.Default().
	Logger *slog.Logger
}

// check returns the configuration with its defaults, and its URL read.
func (c Config) check() (Config, *url.URL, error) {
	if len(c.Algorithms) == 0 {
		c.Algorithms = []token.Algorithm{token.ES256, token.ES384, token.EdDSA, token.RS256}
	}
	c.Algorithms = slices.Clone(c.Algorithms)
	for _, alg := range c.Algorithms {
		switch alg {
		case token.ES256, token.ES384, token.EdDSA, token.RS256, token.RS384, token.RS512, token.PS256:
		default:
			return c, nil, fmt.Errorf("jwks: Algorithms: %q is unknown, or not for published keys", alg)
		}
	}
	for _, d := range []struct {
		name        string
		value       *time.Duration
		def, lo, hi time.Duration
	}{
		{"MaxAge", &c.MaxAge, defaultMaxAge, minInterval, maxLife},
		{"Cooldown", &c.Cooldown, defaultCooldown, minInterval, maxCooldown},
		{"MaxStale", &c.MaxStale, defaultMaxStale, math.MinInt64, maxLife},
		{"Timeout", &c.Timeout, defaultTimeout, time.Millisecond, maxTimeout},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < d.lo || *d.value > d.hi {
			return c, nil, fmt.Errorf("jwks: %s of %s is too short or too long", d.name, *d.value)
		}
	}
	c.MaxStale = max(c.MaxStale, 0)
	c.AllowPrivate = slices.Clone(c.AllowPrivate)
	for _, p := range c.AllowPrivate {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return c, nil, fmt.Errorf("jwks: AllowPrivate: %s is no network: write 10.1.0.0/16, or 10.1.2.3/32 for one address", p)
		}
	}
	if c.Transport != nil && c.RootCAs != nil {
		return c, nil, errors.New("jwks: RootCAs is for our own Transport")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	u, err := checkURL(c.URL, c.AllowPrivate, c.Transport == nil)
	return c, u, err
}

// checkURL reads the address. Its errors do not repeat it: an address may hold a secret.
func checkURL(raw string, allowed []netip.Prefix, ours bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		return nil, errors.New("jwks: URL is missing or cannot be read")
	}
	host := u.Hostname()
	addr, addrErr := netip.ParseAddr(host)
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Opaque != "" || host == "":
		return nil, errors.New("jwks: URL is not of the form https://host/path")
	case u.User != nil:
		return nil, errors.New("jwks: URL has user information")
	case strings.Contains(raw, "#"):
		return nil, errors.New("jwks: URL has a fragment")
	case u.Scheme == "http" && !(addrErr == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")):
		return nil, errors.New("jwks: URL is not https, and its host is not loopback")
	case u.Scheme == "http" && !slices.ContainsFunc(allowed, isLoopback):
		return nil, errors.New("jwks: URL is not https, and AllowPrivate lists no loopback address")
	}
	if ours && addrErr == nil {
		if err := (addressRule{allowed: allowed}).check(addr); err != nil {
			return nil, fmt.Errorf("jwks: URL: %w", err)
		}
	}
	return u, nil
}

func isLoopback(p netip.Prefix) bool {
	return p.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) || p.Contains(netip.IPv6Loopback())
}
