package jwks

import "net/netip"

// Settle waits until no fetch is under way.
func Settle(r *Remote) {
	for {
		r.mu.Lock()
		f := r.flight
		r.mu.Unlock()
		if f == nil {
			return
		}
		<-f.done
	}
}

// Waiting returns how many callers wait for a fetch.
func Waiting(r *Remote) int { return int(r.waiting.Load()) }

// MaxWaiting is how many may.
const MaxWaiting = maxWaiting

// CheckAddress asks the rule as the dialer does.
func CheckAddress(address string, loopbackOnly bool, allowed ...netip.Prefix) error {
	return addressRule{allowed: allowed, loopbackOnly: loopbackOnly}.control("tcp", address, nil)
}
