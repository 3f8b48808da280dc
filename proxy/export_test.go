package proxy

import (
	"cmp"
	"time"
)

// Timing are the limits of streams and bodies that a test waits out. Those that are zero are longer than any
// test has patience.
type Timing struct{ Linger, Closing, Piece, Body, Stop time.Duration }

// SetTiming changes the limits of streams and bodies, before the first request.
func (p *Proxy) SetTiming(t Timing) {
	p.timing = timing{
		linger: cmp.Or(t.Linger, time.Hour), closing: cmp.Or(t.Closing, time.Hour), piece: cmp.Or(t.Piece, time.Hour),
		body: cmp.Or(t.Body, time.Hour), stop: cmp.Or(t.Stop, time.Hour),
	}
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

// Counted returns the sum of what those have who have streams of a route; who is signed in counts as a session and as a user.
// It falls when a stream's place is free for everybody, which is later than the stream's end in Stats.
func (p *Proxy) Counted(path string) (n int) {
	streams := p.find(path).streams
	for i := range streams.shards {
		s := &streams.shards[i]
		s.mu.Lock()
		for _, has := range s.held {
			n += has
		}
		s.mu.Unlock()
	}
	return n
}
