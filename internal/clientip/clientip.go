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
		if prefix.Bits() == 0 {
			bad = append(bad, s+" (everybody)")
			continue
		}
		r.trusted = append(r.trusted, netip.PrefixFrom(prefix.Addr().Unmap(), unmappedBits(prefix)).Masked())
	}
	if bad != nil {
		return nil, fmt.Errorf("%s is no network of proxies: write 10.0.0.0/8 or 192.0.2.7", strings.Join(bad, ", "))
	}
	return r, nil
}

func unmappedBits(p netip.Prefix) int {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return p.Bits() - 96
	}
	return p.Bits()
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
// and without a zone.
func (r *Resolver) ClientIP(req *http.Request) string {
	addr, ok := peer(req)
	if !ok {
		return req.RemoteAddr
	}
	chain := strings.Join(req.Header["X-Forwarded-For"], ",")
	for r.isTrusted(addr) && chain != "" {
		rest, last, more := cutLast(chain)
		next, err := netip.ParseAddr(strings.TrimSpace(last))
		if err != nil {
			break // the proxy nearest to whoever wrote this is all that is known
		}
		addr, chain = next.Unmap().WithZone(""), rest
		if !more {
			break
		}
	}
	return addr.String()
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
	return p.Addr().Unmap().WithZone(""), true
}

func cutLast(s string) (before, last string, more bool) {
	if i := strings.LastIndexByte(s, ','); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}
