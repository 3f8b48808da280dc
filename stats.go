package tokenjar

import "time"

// Stats is what a [Service] counts and measures of itself.
type Stats struct {
	Revocations   int           // sessions known to have ended, in memory
	Staleness     time.Duration // since this node last learned of revocations
	ClockSkew     time.Duration // of this node's clock against the store's: positive when it is ahead
	HashesRunning int           // passwords being checked
	HashesWaiting int           // passwords waiting for a slot
	AuditPending  int           // events not yet in the store
	AuditDropped  int64         // events that stand in the log alone
	CacheHits     int64         // access tokens found verified
	CacheMisses   int64
	KeyCreated    time.Time // of the signing key
}

// Stats returns the figures of this moment.
func (s *Service) Stats() Stats {
	var st Stats
	st.Revocations, st.Staleness = s.revoked.count(), s.staleness()
	st.ClockSkew = s.skew()
	st.CacheHits, st.CacheMisses = s.verified.Counts()
	s.audit.mu.Lock()
	st.AuditPending, st.AuditDropped = len(s.audit.pending), s.audit.dropped
	s.audit.mu.Unlock()
	st.KeyCreated = s.keys.Load().created
	st.HashesRunning, st.HashesWaiting = s.passwords.Load()
	return st
}
