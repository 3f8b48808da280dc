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
//   - [ErrSessionEnded], [ErrSessionReplaced] or [ErrSessionReused]: it has been revoked, here or on another node, its time is
//     over, or its user is gone or no longer active
//   - [ErrTokenExpired]: what the claims of its user are built from has changed (a role). The user is still signed in, and
//     what is opened anew has the new claims
//   - [ErrStoreUnavailable]: this node has not learned of revocations for more than [MaxStaleness], so that nobody is let in
//     either, unless stale sessions are allowed
//
// A revocation ends it at once on the node that revoked, and within a second on others; the end of a session's time within
// two seconds. [Service.Run] has to run. The row of the session is read when the access token of id runs out and when the
// session would then be over, so an open stream does not keep a session from going idle. Where the users live outside the
// store, who is no longer active is found out as at a refresh: once in the life of an access token.
//
// Call cancel when what was bound is over.
func (s *Service) Bind(ctx context.Context, id Identity) (_ context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	b := &binding{sessionID: id.SessionID, userID: id.UserID, claimsGen: id.claimsGen, end: end, due: id.ExpiresAt}
	s.bound.add(b)
	// It may have ended between the judgement and now.
	if err := s.Ended(id.SessionID); err != nil {
		s.bound.end(id.SessionID, err)
	} else if s.claims.stale(func() string { return id.UserID }, id.claimsGen) {
		s.bound.remove(b)
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
	due               time.Time // when the row is to be looked at, by this node's clock
}

// boundContexts are those that have neither ended nor been given back.
type boundContexts struct {
	count atomic.Int64

	mu        sync.Mutex
	bySession bindings
	byUser    bindings
	looked    time.Time // when somebody last looked for those that are due
}

// bindings are sets of them by a text.
type bindings map[string]map[*binding]struct{}

func (set bindings) add(key string, b *binding) {
	of := set[key]
	if of == nil {
		of = make(map[*binding]struct{})
		set[key] = of
	}
	of[b] = struct{}{}
}

func (set bindings) remove(key string, b *binding) {
	delete(set[key], b)
	if len(set[key]) == 0 {
		delete(set, key)
	}
}

func (c *boundContexts) add(b *binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bySession == nil {
		c.bySession, c.byUser = make(bindings), make(bindings)
	}
	c.bySession.add(b.sessionID, b)
	c.byUser.add(b.userID, b)
	c.count.Add(1)
}

func (c *boundContexts) remove(b *binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(b)
}

// finish ends one of them. It is called with the lock held.
func (c *boundContexts) finish(b *binding, cause error) {
	c.forget(b)
	b.end(cause)
}

func (c *boundContexts) forget(b *binding) {
	if _, known := c.bySession[b.sessionID][b]; !known {
		return
	}
	c.bySession.remove(b.sessionID, b)
	c.byUser.remove(b.userID, b)
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
		c.finish(b, cause)
	}
}

// endOlder ends what is bound to sessions of a user with claims of an older generation.
func (c *boundContexts) endOlder(userID string, generation int64) {
	if c.count.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range c.byUser[userID] {
		if b.claimsGen < generation {
			c.finish(b, ErrTokenExpired)
		}
	}
}

func (c *boundContexts) endAll(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.bySession {
		for b := range of {
			c.finish(b, cause)
		}
	}
}

// due returns one binding of each session whose row is to be looked at. When the clock has been set back, nobody knows which
// those are: all.
func (c *boundContexts) due(now time.Time) (list []*binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := now.Before(c.looked)
	c.looked = now
	for _, of := range c.bySession {
		for b := range of {
			if all {
				b.due = now
			}
			if !now.Before(b.due) {
				list = append(list, b)
				break
			}
		}
	}
	return list
}

// postpone says when the row of a session is to be looked at again.
func (c *boundContexts) postpone(sessionID string, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range c.bySession[sessionID] {
		b.due = due
	}
}

// checkBound ends what is bound to sessions whose time is over, and everything while nobody can tell which sessions have
// ended elsewhere. A row that cannot be read is read again the next time.
func (s *Service) checkBound(ctx context.Context) error {
	if s.bound.count.Load() == 0 {
		return nil
	}
	if s.cfg.SessionCheck != CheckStateless {
		if err := s.checkFresh(ctx); err != nil {
			s.bound.endAll(ErrStoreUnavailable)
			return nil
		}
	}
	now := s.now().Round(0)                             // time that has passed while the machine slept counts
	ctx, cancel := context.WithTimeout(ctx, boundEvery) // a store that hangs must not keep the above from being asked
	defer cancel()
	for _, b := range s.bound.due(now) {
		if ctx.Err() != nil {
			return nil // there are many: the others have the next turn
		}
		row, user, err := s.liveSession(ctx, b.sessionID, b.userID)
		switch {
		case errors.Is(err, ErrSessionEnded), errors.Is(err, ErrSessionReused):
			s.bound.end(b.sessionID, err)
			continue
		case err != nil:
			return err // it would be the same for all others
		}
		s.bound.endOlder(b.userID, user.ClaimsGen)
		// By this node's clock, which may be off the store's.
		left := min(row.IdleExpiresAt.Sub(row.ReadAt), row.ExpiresAt.Sub(row.ReadAt))
		if s.ownUsers { // no row tells of what becomes of them
			left = min(left, s.cfg.AccessLifetime)
		}
		s.bound.postpone(b.sessionID, now.Add(left))
	}
	return nil
}
