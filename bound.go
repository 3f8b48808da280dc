package tokenjar

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A WebSocket or an event stream is judged once, at its beginning, and may last for days. So it is bound to the session that
// opened it: it ends when the session does, whoever ended it and however, and it goes on when the session is rotated.

// boundEvery is how often the ends of bound sessions are looked for that nobody tells of: their time is over, or this node
// does not learn of revocations any more.
const boundEvery = time.Second

// Bind returns a context that ends with the session of id. Its cause ([context.Cause]) says why:
//
//   - [ErrSessionEnded], [ErrSessionReplaced] or [ErrSessionReused]: it has been revoked, here or on another node, or its
//     time is over
//   - [ErrTokenExpired]: what the claims of its user are built from has changed (a role). The user is still signed in, and
//     what is opened anew has the new claims
//   - [ErrStoreUnavailable]: this node has not learned of revocations for more than [MaxStaleness], so that nobody is let in
//     either, unless stale sessions are allowed
//
// A revocation ends it at once on the node that revoked, and within a second on others; the end of a session's time within
// two seconds. [Service.Run] has to run. The row of the session is read when the access token of id runs out and when the
// session would then be over, so an open stream does not keep a session from going idle.
//
// Call cancel when what was bound is over.
func (s *Service) Bind(ctx context.Context, id Identity) (_ context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	b := &binding{sessionID: id.SessionID, userID: id.UserID, claimsGen: id.claimsGen, end: end}
	b.due.Store(id.ExpiresAt.UnixNano())
	s.bound.add(b)
	// It may have ended between the judgement and now.
	if err := s.Ended(id.SessionID); err != nil {
		end(err)
	} else if s.claims.outdated(func() string { return id.UserID }, id.claimsGen) {
		end(ErrTokenExpired)
	}
	return ctx, func() {
		s.bound.remove(b)
		end(context.Canceled)
	}
}

// A binding is one context that [Service.Bind] has returned.
type binding struct {
	sessionID, userID string
	claimsGen         int64
	end               context.CancelCauseFunc
	due               atomic.Int64 // when the row is to be looked at, in Unix nanoseconds of this node's clock
}

// boundContexts are those that have not been given back.
type boundContexts struct {
	mu        sync.Mutex
	bySession map[string]map[*binding]struct{}
	count     atomic.Int64
}

func (c *boundContexts) add(b *binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bySession == nil {
		c.bySession = make(map[string]map[*binding]struct{})
	}
	of := c.bySession[b.sessionID]
	if of == nil {
		of = make(map[*binding]struct{})
		c.bySession[b.sessionID] = of
	}
	of[b] = struct{}{}
	c.count.Add(1)
}

func (c *boundContexts) remove(b *binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.bySession[b.sessionID]
	if _, known := of[b]; !known {
		return
	}
	delete(of, b)
	if len(of) == 0 {
		delete(c.bySession, b.sessionID)
	}
	c.count.Add(-1)
}

// end ends what is bound to a session.
func (c *boundContexts) end(sessionID string, cause error) {
	if c.count.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range c.bySession[sessionID] {
		b.end(cause)
	}
}

// endOlder ends what is bound to sessions of a user with claims of an older generation.
func (c *boundContexts) endOlder(userID string, generation int64) {
	for _, b := range c.all() {
		if b.userID == userID && b.claimsGen < generation {
			b.end(ErrTokenExpired)
		}
	}
}

func (c *boundContexts) all() (list []*binding) {
	if c.count.Load() == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.bySession {
		for b := range of {
			list = append(list, b)
		}
	}
	return list
}

// checkBound ends what is bound to sessions whose time is over, and everything while nobody can tell which sessions have
// ended elsewhere. A row that cannot be read is read again the next time.
func (s *Service) checkBound(ctx context.Context) error {
	all := s.bound.all()
	if len(all) == 0 {
		return nil
	}
	now := s.now()
	if s.cfg.SessionCheck != CheckStateless && s.revoked.failing.Load() && !s.upToDate(now) {
		for _, b := range all {
			b.end(ErrStoreUnavailable)
		}
		return nil
	}
	for _, b := range all {
		if now.UnixNano() < b.due.Load() {
			continue
		}
		row, err := s.store.Session(ctx, b.sessionID)
		switch {
		case errors.Is(err, ErrNotFound):
			b.end(ErrSessionEnded)
		case err != nil:
			return err // it would be the same for all others
		case !row.RevokedAt.IsZero():
			b.end(endedFor(row.RevokeReason))
		case !row.Live():
			b.end(ErrSessionEnded)
		default: // by this node's clock, which may be off the store's
			left := min(row.IdleExpiresAt.Sub(row.ReadAt), row.ExpiresAt.Sub(row.ReadAt))
			b.due.Store(now.Add(left).UnixNano())
		}
	}
	return nil
}
