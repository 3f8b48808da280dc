package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Claims are built from the user at sign-in and at each refresh. When what they are built from changes (a role), the
// user's ClaimsGen moves up, and access tokens of an older generation (claim "cgen") count as expired: whoever holds one is
// renewed with claims as of now, and nobody is signed out. Nodes learn of it as they do of revocations.

// raisedClaims are the generations that access tokens of users must have, as far as this node knows. Few users' roles have
// just changed, mostly nobody's, so that is asked first and without a lock.
type raisedClaims struct {
	count atomic.Int64

	mu     sync.RWMutex
	byUser map[string]raisedClaim
}

type raisedClaim struct {
	generation int64
	until      time.Time // by this node's clock; no older token lives then
}

// stale reports whether a token of a generation has claims that have changed since.
func (c *raisedClaims) stale(userID func() string, generation int64) bool {
	if c.count.Load() == 0 {
		return false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return generation < c.byUser[userID()].generation
}

// add makes a change known: whoever asks after it has returned is told.
func (c *raisedClaims) add(userID string, generation int64, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byUser == nil {
		c.byUser = make(map[string]raisedClaim)
	}
	old := c.byUser[userID]
	if generation < old.generation || generation <= 0 {
		return
	}
	if old.until.After(until) {
		until = old.until
	}
	c.byUser[strings.Clone(userID)] = raisedClaim{generation: generation, until: until}
	c.count.Store(int64(len(c.byUser)))
}

// forget drops what no living token needs.
func (c *raisedClaims) forget(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for userID, raised := range c.byUser {
		if now.After(raised.until) {
			delete(c.byUser, userID)
		}
	}
	c.count.Store(int64(len(c.byUser)))
}

// learnClaims makes access tokens of a user with older claims count as expired on this node.
func (s *Service) learnClaims(userID string, generation int64) {
	s.claims.add(userID, generation, s.now().Add(s.keys.Load().longestAccess+revocationOverlap))
	s.bound.endOlder(userID, generation)
}

// ClaimsChanged says that what the claims of a user are built from has changed, and that [User.ClaimsGen] is now this
// generation, which is higher than before. Access tokens with older claims count as expired: on this node when it returns
// nil, on others within a second. The user is renewed, and nobody is signed out.
//
// It is for programs with users of their own; call it after the change is committed, so that who is renewed from then on
// gets the new claims. Calling it again with the same generation does no harm.
func (s *Service) ClaimsChanged(ctx context.Context, userID string, generation int64) error {
	if userID == "" || generation <= 0 {
		return errors.New("claims changed: a user and a generation above 0 are needed")
	}
	if err := s.store.RaiseClaims(ctx, userID, generation); err != nil {
		return fmt.Errorf("claims changed: %w", err)
	}
	s.learnClaims(userID, generation)
	return nil
}

// SetUserRoles changes the roles of a user of the store. Access tokens issued before count as expired, as
// [Service.ClaimsChanged] says.
//
// It returns [ErrNotFound] when the store has no such user, and an error when the users live outside the store: change
// them there, and call [Service.ClaimsChanged]. After any other error the roles may have been changed, and then other nodes
// know it within a second, but this one may accept older access tokens until it has learned of it as they do. Calling it
// again with the same roles does no harm, and completes it.
func (s *Service) SetUserRoles(ctx context.Context, id string, r Roles) error {
	admin, ok := s.users.(UserAdmin)
	if !ok {
		return errors.New("set user roles: the users live outside the store")
	}
	before, err := s.users.User(ctx, id)
	if err == nil {
		err = admin.SetUserRoles(ctx, id, r)
	}
	if err != nil {
		return fmt.Errorf("set user roles: %w", err)
	}
	if before.Staff != r.Staff || before.Superuser != r.Superuser {
		s.event(ctx, AuditEvent{Name: "user.roles_changed", UserID: id, Detail: map[string]string{
			"staff": fmt.Sprint(r.Staff), "superuser": fmt.Sprint(r.Superuser)}})
	}
	after, err := s.users.User(ctx, id)
	if err != nil {
		return fmt.Errorf("set user roles: %w", err)
	}
	if after.ClaimsGen > 0 { // also when an earlier try had changed them and was not answered
		s.learnClaims(id, after.ClaimsGen)
	}
	return nil
}
