package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A SessionCheck is how far a request's session is checked beyond its signature.
type SessionCheck string

// The checks.
const (
	CheckCached    SessionCheck = "cached"    // against the revocations this node knows, in memory
	CheckDatabase  SessionCheck = "database"  // against the session's row, with a read on each request
	CheckStateless SessionCheck = "stateless" // not at all: a session that has ended works until its access token does
)

// MaxStaleness is how long a node accepts access tokens without having learned of revocations.
const MaxStaleness = 30 * time.Second

// freshFor is how old the news of revocations may be while a request trusts them: the bound within which a node learns of
// what has ended elsewhere. They are older where polls fail, and where the process or its machine has stood still.
const freshFor = time.Second

// catchUpTimeout is how long a request waits for news of revocations, when the clock says that they are old although the
// last poll succeeded.
const catchUpTimeout = time.Second

// CheckSession asks what [Service.Authenticate] cannot tell without a store, as far as [Config.SessionCheck] wants it to
// be known for each request. Of a request that is renewed it need not be asked: the store judges the renewal.
//
//   - [CheckCached]: whether this node has learned of revocations within [MaxStaleness], unless stale sessions are allowed
//   - [CheckDatabase]: whether the session is live and its user active, of the same epoch
//   - [CheckStateless]: nothing
//
// It returns [ErrTokenRevoked], [ErrTokenExpired] when the row of the user says that the claims have changed, or
// [ErrStoreUnavailable].
func (s *Service) CheckSession(ctx context.Context, id Identity) error {
	return s.CheckSessionBy(ctx, id, s.cfg.SessionCheck)
}

// Stricter reports whether one check finds out more than another.
func (c SessionCheck) Stricter(than SessionCheck) bool {
	order := []SessionCheck{CheckStateless, CheckCached, CheckDatabase}
	return slices.Index(order, c) > slices.Index(order, than)
}

// CheckSessionBy does what [Service.CheckSession] does by a check that may be stricter than that of the configuration. A
// check that is less strict, or unknown, changes nothing.
func (s *Service) CheckSessionBy(ctx context.Context, id Identity, check SessionCheck) error {
	// A program begins to serve and to run beside each other, so the first requests may come before Run does. There is something
	// to say when what New learned is no longer news.
	if !s.running.Load() && !s.revoked.within(freshFor, s.now()) {
		s.warnNotRunning.Do(func() {
			s.log.Warn("nobody runs Service.Run: sessions that end on other nodes go on here, keys are never changed, and " +
				"nothing is cleaned up")
		})
	}
	if !check.Stricter(s.cfg.SessionCheck) {
		check = s.cfg.SessionCheck
	}
	switch check {
	case CheckDatabase:
		_, user, err := s.liveSession(ctx, id.SessionID, id.UserID)
		if errors.Is(err, ErrSessionEnded) || errors.Is(err, ErrSessionReused) {
			return ErrTokenRevoked
		}
		if err == nil && id.claimsGen < user.ClaimsGen {
			return ErrTokenExpired
		}
		return err
	case CheckCached:
		if err := s.checkFresh(ctx); err != nil {
			return err
		}
		// Authenticate has asked the same, but not of what was learned just now, and not with CheckStateless.
		if s.Ended(id.SessionID) != nil {
			return ErrTokenRevoked
		}
		if s.claims.stale(func() string { return id.UserID }, id.claimsGen) {
			return ErrTokenExpired
		}
	}
	return nil
}

// checkFresh refuses while nobody can tell which sessions have ended elsewhere. When the process has stood still, or the
// clock has jumped, the news are fetched at once: nobody is let in by old ones, nor refused because of the moment until the
// next poll.
func (s *Service) checkFresh(ctx context.Context) error {
	if s.upToDate(s.now()) {
		return nil
	}
	running := s.running.Load()
	if running && !s.revoked.failing.Load() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), catchUpTimeout)
		err := s.pollIf(ctx, func() bool { return !s.upToDate(s.now()) })
		cancel()
		if err == nil {
			return nil
		}
		s.revoked.failing.Store(true) // nobody else waits until a poll succeeds
	}
	switch {
	case s.upToDate(s.now()):
		return nil
	case !running:
		return fmt.Errorf("%w: revocations are not learned of, because Service.Run is not running", ErrStoreUnavailable)
	}
	return fmt.Errorf("%w: Service.Run has learned of no revocations for more than %s", ErrStoreUnavailable, MaxStaleness)
}

// upToDate reports whether a request may trust what is known of revocations: because it is new, or because nothing newer
// can be had and it is not stale, or may be.
func (s *Service) upToDate(now time.Time) bool {
	if s.revoked.within(freshFor, now) {
		return true
	}
	unable := s.revoked.failing.Load() || !s.running.Load()
	return unable && (s.cfg.AllowStaleSessions || s.revoked.within(MaxStaleness, now))
}

// staleness is how long ago this node last learned of revocations.
func (s *Service) staleness() time.Duration {
	return max(s.now().Sub(*s.revoked.polled.Load()), 0)
}
