package jwks

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// Which addresses are connected to. A published key is on a public address, so everything else is refused unless it is
// listed: an address of the program's own network in a configuration, or behind a name that somebody else controls, would
// make this package a way in.
//
// The rule is asked by the dialer for the very address it is about to connect to, after the name was resolved. A name that
// resolves differently from one moment to the next has nothing to gain.

// notPublic are the special IPv4 networks (RFC 6890 and its registry), multicast and the reserved rest.
var notPublic = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/3")

// Of IPv6, only 2000::/3 is public, without what has another meaning: protocol assignments with Teredo, documentation,
// and 6to4, whose addresses stand for IPv4 ones behind a relay.
var (
	publicIPv6    = netip.MustParsePrefix("2000::/3")
	notPublicIPv6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

// nat64 is the prefix under which a network without IPv4 reaches it (RFC 6052): the last four bytes are who is met.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// An addressRule says where connections may go.
type addressRule struct {
	allowed      []netip.Prefix // beyond the public ones
	loopbackOnly bool           // for http: what is not encrypted stays on this machine
}

// control is a net.Dialer's Control: it is asked between the making of a socket and its connecting.
func (r addressRule) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("the address to connect to cannot be read")
	}
	return r.check(target.Addr())
}

func (r addressRule) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if r.loopbackOnly && !addr.IsLoopback() {
		return fmt.Errorf("%s is not loopback, as http has to be", addr)
	}
	met := addr
	if nat64.Contains(addr) {
		last := addr.As16()
		met = netip.AddrFrom4([4]byte(last[12:]))
	}
	if isPublic(met) || contains(r.allowed, addr) || contains(r.allowed, met) {
		return nil
	}
	return fmt.Errorf("%s is not public, and AllowPrivate does not list it", addr)
}

func isPublic(addr netip.Addr) bool {
	if addr.Is4() {
		return !contains(notPublic, addr)
	}
	return publicIPv6.Contains(addr) && !contains(notPublicIPv6, addr)
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
