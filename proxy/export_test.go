package proxy

import "time"

// SetTiming shortens the limits of streams and bodies, before the first request.
func (p *Proxy) SetTiming(linger, closing, piece, body time.Duration) {
	p.timing = timing{linger, closing, piece, body}
}

// Held returns how many sessions, users and addresses are counted.
func (p *Proxy) Held() (n int) {
	seen := map[*service]bool{}
	for _, r := range p.routes {
		if n += r.streams.held(); !seen[r.to] {
			n += r.to.places.held()
			seen[r.to] = true
		}
	}
	return n
}

// Taken returns how many streams of a route have a place.
func (p *Proxy) Taken(path string) int { return len(p.find(path).streams.slots) }
