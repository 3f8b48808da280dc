package csrf

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Origins is rule 1: which origins may send requests that change something. It is immutable and safe for concurrent
// use.
type Origins struct {
	trusted map[string]struct{}
}

// NewOrigins returns a rule that accepts, beside the own origin given to [Origins.Check], exactly the trusted ones.
//
// Each must be written as browsers serialise it (RFC 6454, section 6.2): "https://app.example.com" or
// "http://localhost:5173"; lower case, IDN hosts as xn-- labels, no default port, path, user, wildcard or trailing
// dot. "null" cannot be trusted, because every sandboxed frame sends it (section 7.3). All mistakes are reported
// together. A trusted http origin trusts whoever can change that traffic.
func NewOrigins(trusted []string) (*Origins, error) {
	o := &Origins{trusted: make(map[string]struct{}, len(trusted))}
	var errs []error
	for i, s := range trusted {
		if err := checkSerialized(s); err != nil {
			errs = append(errs, fmt.Errorf("trusted origin %d: %q: %w", i+1, s, err))
			continue
		}
		o.trusted[s] = struct{}{}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return o, nil
}

// Check is rule 1 for a request that may change something. own is the serialised origin under which the browser
// knows us: that of the configured public URL, from [SerializeOrigin], never one built from the Host header or the
// connection, which a proxy in front may have changed.
//
// An Origin in the trusted list passes, whatever Sec-Fetch-Site says. Sec-Fetch-Site same-origin passes with our own
// Origin or none, and our own Origin passes without Sec-Fetch-Site. A request with neither passes too: see
// [HasBrowserSignal]. An empty Origin counts as none. Everything else is refused with an *[Error] of [OriginRule]:
// another, a malformed or a null Origin, same-site, cross-site, none and unknown values, contradictions, and either
// header sent twice.
func (o *Origins) Check(h http.Header, own string) error {
	origins, sites := h["Origin"], h["Sec-Fetch-Site"]
	if len(origins) > 1 || len(sites) > 1 {
		return refuseOrigin(ReasonDuplicateHeader)
	}
	if len(origins) == 0 || origins[0] == "" {
		if len(sites) == 0 {
			// Neither header. Browsers have sent Origin with unsafe requests since 2020, so this is a program, which
			// carries no ambient cookies, or an old browser, which rule 2 protects.
			return nil
		}
		return judgeSite(sites[0])
	}
	return o.judgeOrigin(origins[0], own, sites)
}

// CheckHandshake is rule 1 for a WebSocket handshake (RFC 6455, section 4.1), which is a GET that can change things
// and which cannot carry the header of rule 2. It is [Origins.Check], except that an Origin is needed: without one
// the handshake is refused as [ReasonMissing].
func (o *Origins) CheckHandshake(h http.Header, own string) error {
	if origins := h["Origin"]; len(origins) == 0 || len(origins) == 1 && origins[0] == "" {
		return refuseOrigin(ReasonMissing)
	}
	return o.Check(h, own)
}

func (o *Origins) judgeOrigin(origin, own string, sites []string) error {
	if _, ok := o.trusted[origin]; ok {
		return nil
	}
	same := len(sites) == 1 && sites[0] == "same-origin"
	switch {
	case origin == own:
		if len(sites) == 0 || same {
			return nil
		}
		return refuseOrigin(ReasonContradiction)
	case origin == "null":
		return refuseOrigin(ReasonNullOrigin)
	case same:
		return refuseOrigin(ReasonContradiction)
	default:
		return refuseOrigin(ReasonForeignOrigin)
	}
}

func judgeSite(site string) error {
	switch site {
	case "same-origin":
		return nil
	case "same-site":
		return refuseOrigin(ReasonSameSite)
	case "cross-site":
		return refuseOrigin(ReasonCrossSite)
	case "none":
		return refuseOrigin(ReasonNoInitiator)
	default:
		return refuseOrigin(ReasonUnknownValue)
	}
}

// HasBrowserSignal reports whether the request says where it comes from: an Origin that is not empty, or
// Sec-Fetch-Site with any value. Without one, passing rule 1 proves nothing, so the caller asks for rule 2 wherever
// a session cookie verifies, login included.
func HasBrowserSignal(h http.Header) bool {
	for _, v := range h["Origin"] {
		if v != "" {
			return true
		}
	}
	return len(h["Sec-Fetch-Site"]) > 0
}

// SerializeOrigin returns the origin of an http or https URL as browsers send it (RFC 6454, section 6.2): scheme and
// host in lower case, the port only when it is not the scheme's default. Path, query and fragment are left out.
//
// It refuses what has no such origin or what browsers would spell otherwise: other schemes, user information, an
// empty host, a trailing dot, host names that are not ASCII, and IP addresses or ports in an unusual form. u is not nil,
// and is not changed. The error says what to write instead; it is for whoever configures the program.
func SerializeOrigin(u *url.URL) (string, error) {
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return "", errors.New("the scheme must be http or https")
	}
	if u.User != nil {
		return "", errors.New("remove the user information before @")
	}
	if u.Opaque != "" || u.Host == "" {
		return "", errors.New("the host is missing: write scheme://host")
	}
	host, err := canonicalHost(strings.ToLower(u.Hostname()))
	if err != nil {
		return "", err
	}
	origin := scheme + "://" + host
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return "", errors.New("remove the colon without a port")
		}
		return origin, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	if scheme == "http" && n == 80 || scheme == "https" && n == 443 {
		return origin, nil
	}
	return origin + ":" + port, nil
}

// checkSerialized reports why s is not the one spelling of an origin that browsers send.
func checkSerialized(s string) error {
	switch {
	case s == "":
		return errors.New("empty")
	case s == "null":
		return errors.New("null cannot be trusted: any sandboxed frame sends it")
	case strings.Contains(s, "*"):
		return errors.New("wildcards are not supported: list each origin")
	}
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("not an origin: write scheme://host or scheme://host:port")
	}
	origin, err := SerializeOrigin(u)
	if err != nil {
		return err
	}
	if origin != s {
		return fmt.Errorf("write it as browsers send it: %q", origin)
	}
	return nil
}

// canonicalHost returns the host of an origin in the form of the WHATWG URL standard, or why it has none that we can
// vouch for. host is in lower case and, for IPv6, without brackets.
func canonicalHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" {
			return "", fmt.Errorf("host %q is not an IPv6 address", host)
		}
		return "[" + whatwgIPv6(addr) + "]", nil
	}
	if strings.HasSuffix(host, ".") {
		return "", errors.New("remove the trailing dot of the host")
	}
	if host == "" || len(host) > 253 {
		return "", errors.New("the host is missing or too long")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return "", fmt.Errorf("host %q has an empty or overlong label", host)
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return "", fmt.Errorf("host %q is not a plain host name (write IDN hosts as xn-- labels)", host)
			}
		}
	}
	// A last label of digits or 0x… makes browsers read an IPv4 address, in forms such as 127.1 as well.
	if last := labels[len(labels)-1]; strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789") == "" {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.String() != host {
			return "", fmt.Errorf("host %q is not an IPv4 address in four decimal numbers", host)
		}
	}
	return host, nil
}

// whatwgIPv6 spells an IPv6 address as browsers do, which differs from netip for IPv4-mapped addresses only:
// [::ffff:7f00:1], not [::ffff:127.0.0.1].
func whatwgIPv6(addr netip.Addr) string {
	if !addr.Is4In6() {
		return addr.String()
	}
	b := addr.As16()
	return fmt.Sprintf("::ffff:%x:%x", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15]))
}
