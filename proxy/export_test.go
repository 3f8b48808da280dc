package proxy

import "time"

// SetTiming shortens the limits of streams and bodies, before the first request.
func (p *Proxy) SetTiming(linger, closing, piece, body time.Duration) {
	p.timing = timing{linger, closing, piece, body}
}
