package tokenjar

import (
	"context"
	"encoding/json"
)

// OpenSession opens a session without a password, for tests that are not about signing in: a hash takes its time.
func (s *Service) OpenSession(ctx context.Context, u User, in Credentials) (Grant, error) {
	return s.openSession(ctx, u, s.now(), in, Client{IP: "192.0.2.1", UserAgent: "test"})
}

// PollRevocations is what Run does every moment.
func (s *Service) PollRevocations(ctx context.Context) error { return s.pollNews(ctx) }

// FlushShared is what Run does every moment.
func (s *Service) FlushShared(ctx context.Context) error { return s.flushShared(ctx) }

// PollKeyRing is what Run does every moment.
func (s *Service) PollKeyRing(ctx context.Context) error { return s.pollKeyRing(ctx) }

// Raise is what every decision does.
func (s *Service) Raise(ctx context.Context, e AuditEvent) { s.event(ctx, e) }

// FlushAudit is what Run does every moment.
func (s *Service) FlushAudit(ctx context.Context) error { return s.flushAudit(ctx) }

// SignAccess signs claims as an access token, whatever they are.
func (s *Service) SignAccess(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return s.keys.Load().ring.Sign(typeAccess, payload)
}

// ForgetVerified empties the cache of verified tokens.
func (s *Service) ForgetVerified() { s.verified.Forget() }

// Verified reports whether a token would be found in the cache.
func (s *Service) Verified(raw string) bool { return s.verified.Find(s.keys.Load().epoch, raw).Found() }

// Learn makes revocations effective on this node.
func (s *Service) Learn(why Reason, sessionIDs ...string) { s.learn(why, sessionIDs...) }

// Prune drops what memory needs no longer, as Run does every minute.
func (s *Service) Prune() {
	s.revoked.forget(s.now())
	s.claims.forget(s.now())
	s.verified.Expire(s.now())
	s.upstream.expire(s.now())
}

// Running reports whether Run is at work.
func (s *Service) Running() bool { return s.running.Load() }

// FlushSeen writes the notes of used generations, as Run does every moment.
func (s *Service) FlushSeen(ctx context.Context) error { return s.flushSeen(ctx) }

// NoteUndelivered notes the answers that have not begun, as Run does every moment.
func (s *Service) NoteUndelivered(ctx context.Context) error { return s.noteUndelivered(ctx) }

// UndeliveredSessions returns of how many sessions answers have not begun.
func (s *Service) UndeliveredSessions() int {
	s.undelivered.mu.Lock()
	defer s.undelivered.mu.Unlock()
	return len(s.undelivered.bySession)
}

// ClaimsRaised returns how many users' older claims are known to be stale.
func (s *Service) ClaimsRaised() int64 { return s.claims.count.Load() }

// PruneStore deletes what is long over, as Run does every minute.
func (s *Service) PruneStore(ctx context.Context) (more bool, err error) { return s.prune(ctx) }

// CheckBound is what Run does every second.
func (s *Service) CheckBound(ctx context.Context) error { return s.checkBound(ctx) }

// Bound returns how many contexts are bound to sessions.
func (s *Service) Bound() int { return int(s.bound.count.Load()) }

// BoundKeys returns how much is kept for them.
func (s *Service) BoundKeys() int {
	s.bound.mu.Lock()
	defer s.bound.mu.Unlock()
	return len(s.bound.bySession) + len(s.bound.byUser)
}

// MaxUpstreamHeld is what an issuer of upstream tokens keeps at most, in bytes.
const MaxUpstreamHeld = 2 * 16 * maxUpstreamBytes

// Held returns how many upstream tokens are kept, and their size.
func (u *UpstreamIssuer) Held() (tokens, bytes int) {
	for i := range u.cache.shards {
		s := &u.cache.shards[i]
		s.mu.Lock()
		for _, m := range []map[string]upstreamToken{s.young, s.old} {
			for id, t := range m {
				tokens, bytes = tokens+1, bytes+len(id)+len(t.text)+upstreamEntrySize
			}
		}
		s.mu.Unlock()
	}
	return tokens, bytes
}
