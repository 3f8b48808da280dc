package tokenjar

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A successor is seen when it, or an access token of its generation, is first accepted. Only until then may a lost
// answer be asked for again after the grace. The note goes to the store off the request's path; a table of what has
// been noted keeps that to one note a generation.

const (
	seenSlots   = 1 << 14
	seenPending = 1 << 12 // notes that may wait for the store; beyond that they are noted at the next request
)

type seenGenerations struct {
	seed  maphash.Seed    // of session ids
	table []atomic.Uint64 // hash of (session, generation), direct-mapped: a collision costs one more note

	mu      sync.Mutex
	pending []Seen
}

func (g *seenGenerations) init(seed maphash.Seed) {
	g.seed = seed
	g.table = make([]atomic.Uint64, seenSlots)
}

func (g *seenGenerations) slot(session uint64, generation int64) (*atomic.Uint64, uint64) {
	h := session + uint64(generation)*0x9e3779b97f4a7c15
	if h == 0 {
		h = 1
	}
	return &g.table[h%seenSlots], h
}

// note says that a token of a generation has been accepted. The first generation has no predecessor to care for. session
// is the hash of the id.
func (g *seenGenerations) note(session uint64, sessionID string, generation int64) {
	if generation <= 1 {
		return
	}
	slot, h := g.slot(session, generation)
	if slot.Load() == h {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pending) < seenPending {
		g.pending = append(g.pending, Seen{SessionID: strings.Clone(sessionID), Generation: generation})
		slot.Store(h)
	}
}

// take returns the pending notes and empties the list.
func (g *seenGenerations) take() []Seen {
	g.mu.Lock()
	defer g.mu.Unlock()
	pending := g.pending
	g.pending = nil
	return pending
}

// shares are the answers that went to other clients as well, as they wait for the store.
type shares struct {
	mu      sync.Mutex
	pending []share
}

type share struct {
	note  Shared
	event AuditEvent
}

// shareLater notes, once for each kept answer, that another client than the one that rotated has got it. The store says
// whether that is news, and only then is there an event.
func (s *Service) shareLater(ctx context.Context, o *outcome, t RefreshToken, c Client) {
	if o.marked.Load() || !elsewhere(o.client.IP, o.client.UserAgent, c.IP, c.UserAgent) {
		return
	}
	e := AuditEvent{Name: eventShared, UserID: t.UserID, SessionID: t.SessionID, IP: c.IP, UserAgent: c.UserAgent,
		RequestID: RequestIDFromContext(ctx)}
	g := &s.shares
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pending) < seenPending && o.marked.CompareAndSwap(false, true) {
		note := Shared{SessionID: t.SessionID, Generation: o.generation, IP: c.IP, UserAgent: c.UserAgent}
		g.pending = append(g.pending, share{note, withLastClient(e, o.client)})
	}
}

// flushShared writes the notes that wait. When that fails they wait on.
func (s *Service) flushShared(ctx context.Context) error {
	g := &s.shares
	g.mu.Lock()
	pending := g.pending
	g.pending = nil
	g.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	notes := make([]Shared, len(pending))
	for i, p := range pending {
		notes[i] = p.note
	}
	noted, err := s.store.MarkShared(ctx, notes)
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.pending = append(pending, g.pending...)
		if lost := len(g.pending) - seenPending; lost > 0 { // each of them is in the log as a replay
			g.pending = g.pending[lost:]
		}
		return err
	}
	for _, p := range pending {
		if i := slices.Index(noted, p.note); i >= 0 {
			noted = slices.Delete(noted, i, i+1)
			s.event(ctx, p.event)
		}
	}
	return nil
}

// flushSeen writes the pending notes. When that fails they are made again at the next request of their sessions.
func (s *Service) flushSeen(ctx context.Context) error {
	pending := s.seen.take()
	if len(pending) == 0 {
		return nil
	}
	err := s.store.MarkSeen(ctx, pending)
	if err != nil {
		for _, p := range pending {
			slot, h := s.seen.slot(maphash.String(s.seen.seed, p.SessionID), p.Generation)
			slot.CompareAndSwap(h, 0)
		}
	}
	return err
}
