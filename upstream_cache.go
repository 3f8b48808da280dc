package tokenjar

import (
	"strings"
	"sync"
	"time"
)

// An upstreamCache keeps the newest token of each session for half its life. A page asks many times a minute, and a
// signature costs more than all else that is done to such a request.
//
// Each shard has two maps. What is new goes into the young one; when that is full, or half a minute old, it becomes the old
// one, and what was old is forgotten. So memory is bounded and given back, and no request ever waits for a search.
type upstreamCache struct {
	shards [16]upstreamShard
}

type upstreamShard struct {
	mu         sync.Mutex
	young, old map[string]upstreamToken // by session
	size       int                      // of young, in bytes
	turned     time.Time                // when young began
}

// An upstreamToken is one as it was made. It is found again only by its session; the rest says whether it still holds.
type upstreamToken struct {
	text        string
	source      uint64 // hash of the access token it was made from, which is another one after a rotation
	epoch       uint64 // of the key ring
	made, until int64  // Unix nanoseconds
}

const (
	maxUpstreamBytes  = 2 << 20 // in the young map of a shard: in all, 64 MiB for an audience
	upstreamTurn      = UpstreamLifetime / 2
	upstreamEntrySize = 160 // what a map and the allocator add, about
)

func (c *upstreamCache) shard(sessionID string) *upstreamShard {
	h := 0
	for i := max(len(sessionID)-4, 0); i < len(sessionID); i++ { // its end is random
		h = h*31 + int(sessionID[i])
	}
	return &c.shards[h&(len(c.shards)-1)]
}

func (c *upstreamCache) find(sessionID string, source, epoch uint64, now time.Time) (string, bool) {
	s := c.shard(sessionID)
	s.mu.Lock()
	t, ok := s.young[sessionID]
	if !ok {
		t, ok = s.old[sessionID]
	}
	s.mu.Unlock()
	at := now.UnixNano()
	if !ok || t.source != source || t.epoch != epoch || at < t.made || at >= t.until {
		return "", false
	}
	return t.text, true
}

func (c *upstreamCache) keep(sessionID string, t upstreamToken, now time.Time) {
	s := c.shard(sessionID)
	size := func(t upstreamToken) int { return len(t.text) + len(sessionID) + upstreamEntrySize }
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size+size(t) > maxUpstreamBytes {
		s.turn(now)
	}
	s.turnIfDue(now)
	if before, ok := s.young[sessionID]; ok {
		s.size -= size(before)
	}
	delete(s.old, sessionID)
	s.young[strings.Clone(sessionID)] = t // the text it is part of is longer
	s.size += size(t)
}

// turnIfDue forgets what is half a minute old, also after the clock was set back.
func (s *upstreamShard) turnIfDue(now time.Time) {
	if age := now.Sub(s.turned); s.young == nil || age >= upstreamTurn || age < 0 {
		s.turn(now)
	}
}

func (s *upstreamShard) turn(now time.Time) {
	s.old, s.young, s.size, s.turned = s.young, make(map[string]upstreamToken), 0, now
}

func (c *upstreamCache) drop(sessionID string) {
	s := c.shard(sessionID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.young[sessionID]; ok {
		s.size -= len(before.text) + len(sessionID) + upstreamEntrySize
		delete(s.young, sessionID)
	}
	delete(s.old, sessionID)
}

// expire forgets what is over where no request does.
func (c *upstreamCache) expire(now time.Time) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		if len(s.young)+len(s.old) > 0 {
			s.turnIfDue(now)
		}
		s.mu.Unlock()
	}
}

// upstreamIssuers are those of a service.
type upstreamIssuers struct {
	mu   sync.RWMutex
	list []*UpstreamIssuer
}

func (l *upstreamIssuers) add(u *UpstreamIssuer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, u)
}

// drop forgets the tokens of a session that has ended.
func (l *upstreamIssuers) drop(sessionID string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, u := range l.list {
		u.cache.drop(sessionID)
	}
}

// expire forgets the tokens that are over.
func (l *upstreamIssuers) expire(now time.Time) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, u := range l.list {
		u.cache.expire(now)
	}
}
