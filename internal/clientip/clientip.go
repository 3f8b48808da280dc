// Package clientip finds out which address a request comes from, and what the proxy in front says about its scheme.
//
// The peer of the connection is the only address that cannot be forged. A proxy that is trusted, by its address, is
// believed about who its own peer was, and so on along X-Forwarded-For, from right to left: each proxy appends, so the
// right end is the nearest. The first address that is no trusted proxy is the client; everything left of it was written
// by that client, or by whoever it likes to quote. Without trusted proxies no header is looked at.
package clientip

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// A Resolver knows the trusted proxies. The zero Resolver trusts none. It is safe for concurrent use.
type Resolver struct {
	trusted []netip.Prefix
}

// New returns a resolver that trusts the proxies in these networks, given as CIDR ("10.0.0.0/8") or single addresses.
// All mistakes are reported in one error.
func New(networks []string) (*Resolver, error) {
	r := &Resolver{}
	var bad []string
	for _, s := range networks {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			addr, addrErr := netip.ParseAddr(s)
			if addrErr != nil || addr.Zone() != "" {
				bad = append(bad, s)
				continue
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Addr().Is4In6() { // judged as the IPv4 network it is
			if prefix.Bits() < 96 {
				bad = append(bad, s)
				continue
			}
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		if prefix.Bits() == 0 {
			bad = append(bad, s+" (everybody)")
			continue
		}
		r.trusted = append(r.trusted, prefix.Masked())
	}
	if bad != nil {
		return nil, fmt.Errorf("%s is no network of proxies: write 10.0.0.0/8 or 192.0.2.7", strings.Join(bad, ", "))
	}
	return r, nil
}

// isTrusted reports whether an address is that of a trusted proxy.
func (r *Resolver) isTrusted(addr netip.Addr) bool {
	for _, p := range r.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// ClientIP returns the address a request comes from, in its canonical form: IPv4 also where it came mapped into IPv6,
// and without a zone. Where it cannot be known (see [Resolver.Resolve]) that is the nearest one to it that is: of a proxy,
// as a rule, so that all clients behind it count as one.
func (r *Resolver) ClientIP(req *http.Request) string {
	ip, _ := r.Resolve(req)
	return ip
}

// Resolve returns the address of [Resolver.ClientIP], and whether it is that of a client, as far as can be seen. It is not when
//
//   - the peer of the connection has no address, such as that of a Unix socket;
//   - a trusted proxy does not say for whom it asks, or not in X-Forwarded-For, or something that is no address
//     ("unknown", RFC 7239, section 6.2, and its "_hidden" names among it);
//   - the peer is near (loopback, private, link-local or shared address space) and no trusted proxy, yet sends
//     X-Forwarded-For or Forwarded: a proxy, as it seems, that trusted_proxies should name.
//
// Then limits by address act on all clients together, which an operator must hear of. A client in our own network can
// bring the last case about by sending the header; it is counted by its own address all the same.
func (r *Resolver) Resolve(req *http.Request) (ip string, known bool) {
	addr, ok := peer(req)
	if !ok {
		return req.RemoteAddr, false
	}
	forwarded := req.Header["X-Forwarded-For"]
	if !r.isTrusted(addr) {
		says := len(forwarded) > 0 || len(req.Header["Forwarded"]) > 0
		return addr.String(), !(says && isNear(addr))
	}
	chain, more := strings.Join(forwarded, ","), true
	for r.isTrusted(addr) {
		if chain == "" || !more {
			return addr.String(), false
		}
		var last string
		chain, last, more = cutLast(chain)
		next, ok := parseHop(strings.Trim(last, " \t"))
		if !ok {
			return addr.String(), false // the proxy nearest to whoever wrote this is all that is known
		}
		addr = next
	}
	return addr.String(), true
}

// parseHop reads one element of X-Forwarded-For. Some proxies add the port, and brackets around IPv6.
func parseHop(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return canonical(addr), true
	}
	if strings.HasSuffix(s, "]") {
		s += ":0"
	}
	p, err := netip.ParseAddrPort(s)
	return canonical(p.Addr()), err == nil
}

func canonical(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// sharedSpace is where carriers and clouds put what is theirs (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// isNear reports whether an address is one that only a neighbour can have.
func isNear(addr netip.Addr) bool {
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || sharedSpace.Contains(addr)
}

// SaysHTTP reports whether a trusted proxy says that the browser's connection to it was plain http.
func (r *Resolver) SaysHTTP(req *http.Request) bool {
	fields := req.Header["X-Forwarded-Proto"]
	if addr, ok := peer(req); len(fields) == 0 || !ok || !r.isTrusted(addr) {
		return false
	}
	_, last, _ := cutLast(fields[len(fields)-1])
	return strings.EqualFold(strings.TrimSpace(last), "http")
}

func peer(req *http.Request) (netip.Addr, bool) {
	p, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	return canonical(p.Addr()), true
}

func cutLast(s string) (before, last string, more bool) {
	if i := strings.LastIndexByte(s, ','); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}
