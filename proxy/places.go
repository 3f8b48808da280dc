package proxy

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

// places bound how many requests a service gets at once, or how many streams a route has open. Nobody waits for one: whoever
// does not get it is told to come back.
//
// So that nobody keeps the others out, each has a share of them:
//
//   - a session a quarter, at most 128: as many requests as a browser sends at once over HTTP/2, which ends in front of us
//   - all sessions of a user together a quarter, since signing in again is easy
//   - an address, of those who are not signed in, a half: behind it may be a whole office, or everybody, if nobody has said
//     which proxies to trust
//   - each at least 16, so that small numbers of places do not get in a single page's way
//
// So one account, at one address, never holds more than three quarters of many places. Who has many of either can hold them all.
type places struct {
	slots  slots
	shards [16]shard
}

// A shard counts what some holders have. Who has nothing is not in it.
type shard struct {
	mu   sync.Mutex
	held map[uint64]int
}

// slots are the places of all together.
type slots chan struct{}

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func newPlaces(n int) *places { return &places{slots: make(slots, n)} }

// most is how many there are.
func (p *places) most() int { return cap(p.slots) }

// A share is how many places one may have.
type share struct{ session, user, address int }

const (
	smallShare   = 16
	sessionShare = 128
)

// newShare returns the shares of a number of places. perSession is that of a session if it is not 0; then a user has no less.
func newShare(places, perSession int) share {
	quarter, half := max(places/4, smallShare), max(places/2, smallShare)
	s := share{orDefault(perSession, min(quarter, sessionShare)), max(quarter, perSession), half}
	return share{min(s.session, places), min(s.user, places), min(s.address, places)}
}

// A holder is who a place is for: a session and its user, or else an address. They are known by a hash under a seed of this
// process: two that are taken for one are as good as impossible, and nobody can look for them.
type holder struct {
	keys    [2]uint64
	session bool
}

// seeds keep an address from being taken for a session.
type seeds struct{ session, user, address maphash.Seed }

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed(), maphash.MakeSeed()} }

func (s *seeds) holder(id tokenjar.Identity, client string) holder {
	if id.UserID != "" {
		return holder{[2]uint64{maphash.String(s.session, id.SessionID), maphash.String(s.user, id.UserID)}, true}
	}
	addr, err := netip.ParseAddr(client)
	if err != nil { // whatever the program takes for an address
		return holder{keys: [2]uint64{maphash.String(s.address, client)}}
	}
	if addr = addr.Unmap(); addr.Is4() {
		ip := addr.As4()
		return holder{keys: [2]uint64{maphash.Bytes(s.address, ip[:])}}
	}
	ip := addr.As16()
	return holder{keys: [2]uint64{maphash.Bytes(s.address, ip[:8])}} // a subscriber has a /64 at least (RFC 6177, section 2)
}

var (
	// errBusy says that a service has all it may get.
	errBusy = problem.New(problem.UpstreamUnavailable).WithStatus(503).
		WithDetail("The service behind this route is busy. Try again in a moment.")
	// errShare says that a client has its share. It is 429: others are served, so no proxy should try another node, and no
	// operator be told that the service is away.
	errShare = problem.New(problem.RateLimited).
			WithDetail("As many requests or streams are under way here as one client may have at once. Wait until some are over.")
)

// take takes a place, or returns errBusy if all are taken, or errShare. After nil, give is to be called with the same holder.
//
// The shares are counted first: who has its own never takes a place, not even for a moment, that somebody else finds missing.
func (p *places) take(h holder, most share) error {
	switch counted := p.counted(h, most); {
	case !counted && len(p.slots) == cap(p.slots):
		return errBusy
	case !counted:
		return errShare
	case !p.slots.take():
		p.forget(h)
		return errBusy
	}
	return nil
}

func (p *places) counted(h holder, most share) bool {
	if !h.session {
		return p.count(h.keys[0], most.address)
	}
	if !p.count(h.keys[0], most.session) {
		return false
	}
	if !p.count(h.keys[1], most.user) {
		p.uncount(h.keys[0])
		return false
	}
	return true
}

// give gives a place back.
func (p *places) give(h holder) {
	<-p.slots
	p.forget(h)
}

func (p *places) forget(h holder) {
	p.uncount(h.keys[0])
	if h.session {
		p.uncount(h.keys[1])
	}
}

func (p *places) shard(key uint64) *shard { return &p.shards[key%uint64(len(p.shards))] }

func (p *places) count(key uint64, most int) bool {
	s := p.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.held[key]
	if n >= most {
		return false
	}
	if s.held == nil {
		s.held = map[uint64]int{}
	}
	s.held[key] = n + 1
	return true
}

func (p *places) uncount(key uint64) {
	s := p.shard(key)
	s.mu.Lock()
	if n := s.held[key]; n > 1 {
		s.held[key] = n - 1
	} else {
		delete(s.held, key)
	}
	s.mu.Unlock()
}
