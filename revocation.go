package tokenjar

import (
	"context"
	"sync"
	"time"
)

// Revocations are known in memory, so that a request costs no store access: those of this node at once, those of other
// processes when the store is polled. An entry is needed only as long as an access token of its session may live.

// revocationOverlap is how far back each poll looks beyond the last one: a transaction that committed late carries an
// earlier time.
const revocationOverlap = 30 * time.Second

type revocations struct {
	mu      sync.RWMutex
	entries map[string]revocation // by session id

	pollMu  sync.Mutex
	since   time.Time // the store's clock at the last poll
	version int64     // of the data, where the store tells it
}

type revocation struct {
	why   Reason
	until time.Time // by this node's clock
}

// reason returns why a session was revoked, if it was.
func (r *revocations) reason(sessionID string) (Reason, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	entry, ok := r.entries[sessionID]
	return entry.why, ok
}

func (r *revocations) add(sessionID string, why Reason, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == nil {
		r.entries = make(map[string]revocation)
	}
	if old, known := r.entries[sessionID]; known && old.until.After(until) {
		until = old.until
	}
	r.entries[sessionID] = revocation{why: why, until: until}
}

// forget drops entries that no living token needs.
func (r *revocations) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, entry := range r.entries {
		if now.After(entry.until) {
			delete(r.entries, id)
		}
	}
}

// Ended returns nil for a session that has not been revoked as far as this node knows; otherwise [ErrSessionEnded],
// [ErrSessionReplaced] or [ErrSessionReused]. It asks no store.
func (s *Service) Ended(sessionID string) error {
	if why, revoked := s.revoked.reason(sessionID); revoked {
		return endedFor(why)
	}
	return nil
}

// Outdated reports whether a grant has been overtaken as far as this node knows: its session has been revoked, or
// rotated further. An answer that begins only now must not put its cookies over newer ones.
func (s *Service) Outdated(g Grant) bool {
	return s.Ended(g.SessionID) != nil || s.outcomes.superseded(g.SessionID, g.Generation)
}

// learn makes revocations effective on this node: from here on no token of these sessions is accepted and no answer of
// a refresh in flight is given.
func (s *Service) learn(why Reason, sessionIDs ...string) {
	until := s.now().Add(max(s.keys.Load().longestAccess, s.timing.Grace, slowAnswer) + revocationOverlap)
	for _, id := range sessionIDs {
		s.revoked.add(id, why, until)
		s.outcomes.drop(id)
	}
}

// loadRevocations fetches at start all revocations that a living access token could still be up against.
func (s *Service) loadRevocations(ctx context.Context) error {
	_, now, err := s.store.Revocations(ctx, s.now().Add(24*time.Hour)) // the store's clock, and nothing else
	if err != nil {
		return err
	}
	s.revoked.since = now.Add(-s.keys.Load().longestAccess)
	s.revoked.version = -1 // never one of a store's
	return s.pollRevocations(ctx)
}

// A versionedStore tells cheaply whether its data may have changed since it was last asked.
type versionedStore interface {
	DataVersion(ctx context.Context) (int64, error)
}

// pollRevocations fetches what was revoked since the last poll, with an overlap.
func (s *Service) pollRevocations(ctx context.Context) error {
	s.revoked.pollMu.Lock()
	defer s.revoked.pollMu.Unlock()
	var version int64
	if v, ok := s.store.(versionedStore); ok {
		var err error
		if version, err = v.DataVersion(ctx); err != nil {
			return err
		}
		if version == s.revoked.version {
			return nil
		}
	}
	found, now, err := s.store.Revocations(ctx, s.revoked.since.Add(-revocationOverlap))
	if err == nil && now.Before(s.revoked.since) { // the store's clock has stepped back
		found, now, err = s.store.Revocations(ctx, now.Add(-s.keys.Load().longestAccess-revocationOverlap))
	}
	if err != nil {
		return err
	}
	for _, r := range found {
		if _, known := s.revoked.reason(r.SessionID); !known {
			s.learn(r.Reason, r.SessionID)
		}
	}
	s.revoked.since, s.revoked.version = now, version
	return nil
}
