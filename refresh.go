package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Refresh, from the token that was shown to the answer:
//
//  1. decode: a forgery costs no store access
//  2. one flight for one token: who asks while another asks, or within the grace after it, gets that same answer
//  3. the user as of now
//  4. one atomic store call, judged by Session.Judge
//  5. tokens for the row as it is now
//  6. a last look at this node's revocations, by everybody who takes the answer: a sign-out that has answered wins

// flightTimeout bounds a rotation, which goes on when its first caller has left: others may be waiting for it, and its
// answer must be there when the first one asks again.
const flightTimeout = 5 * time.Second

// RefreshRequest asks for the successor of a refresh token.
type RefreshRequest struct {
	Token   string
	Renewal bool // on the way to a handler, not on /token/refresh: served however often one token is shown
	Passive bool // do not move the idle limit
	Client  Client
}

// Refresh spends a refresh token and returns its successor with a fresh access token, whose claims are built from the
// user as of now.
//
// The same token shown again within the grace gets the same successor again; once in three rotations this holds later
// as well, if nobody has used the successor. Any other second use is reuse and ends the session (RFC 9700, section
// 4.14.2). When many callers show one token at once, all get one answer.
//
// It returns [ErrTokenInvalid], [ErrWrongTokenType], [ErrTokenExpired], [ErrSessionEnded], [ErrSessionReused],
// [*ReplayError] and [ErrStoreUnavailable]. With the last two nothing has ended and the token may be shown again.
func (s *Service) Refresh(ctx context.Context, in RefreshRequest) (Grant, error) {
	t, err := s.DecodeRefresh(in.Token)
	if err != nil {
		return Grant{}, err
	}
	in.Client = in.Client.clean()
	o, first := s.outcomes.join(t.id, s.now())
	if first {
		go s.fly(context.WithoutCancel(ctx), o, t, in)
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		return Grant{}, fmt.Errorf("refresh: %w: %w", ErrStoreUnavailable, ctx.Err())
	}
	if why, revoked := s.revoked.reason(t.SessionID); revoked {
		return Grant{}, endedFor(why)
	}
	if o.err != nil {
		return Grant{}, o.err
	}
	replays := o.replays.Load()
	if !first {
		replays = o.replays.Add(1)
		s.event(ctx, "refresh.grace_replay", "user_id", t.UserID, "session_id", t.SessionID, "client_ip", in.Client.IP)
	}
	if replays > MaxReplays && !in.Renewal {
		return Grant{}, &ReplayError{RetryAfter: s.timing.Grace}
	}
	return o.grant, nil
}

// fly runs the rotation that all callers of one token share.
func (s *Service) fly(ctx context.Context, o *outcome, t RefreshToken, in RefreshRequest) {
	ctx, cancel := context.WithTimeout(ctx, flightTimeout)
	defer cancel()
	verdict, grant, err := s.rotate(ctx, t, in)
	o.grant, o.err = grant, err
	o.replays.Store(int64(verdict.Session.ReplayCount))
	keep := time.Duration(0)
	if err == nil {
		keep = s.timing.Grace - verdict.Session.ReadAt.Sub(verdict.Session.answeredAt())
	}
	s.outcomes.land(o, s.now(), keep)
}

// answeredAt is when the grace in force began.
func (s *Session) answeredAt() time.Time {
	if s.LateRetryGen == s.Generation && s.LateRetryAt.After(s.RotatedAt) {
		return s.LateRetryAt
	}
	return s.RotatedAt
}

func (s *Service) rotate(ctx context.Context, t RefreshToken, in RefreshRequest) (Verdict, Grant, error) {
	user, err := s.users.User(ctx, t.UserID)
	gone := errors.Is(err, ErrNotFound)
	if err != nil && !gone {
		return Verdict{}, Grant{}, fmt.Errorf("find user: %w", err)
	}
	r := Rotation{
		SessionID: t.SessionID, UserID: t.UserID,
		AuthEpoch: user.AuthEpoch, UserGone: gone || !user.Active,
		Passive: in.Passive, Timing: s.timing,
		UserAgent: in.Client.UserAgent, IP: in.Client.IP,
	}
	r.Presented, r.Successor = s.refresh.hashes(t)
	verdict, err := s.store.Rotate(ctx, r)
	if err != nil {
		return Verdict{}, Grant{}, fmt.Errorf("rotate: %w", err)
	}
	sess := verdict.Session
	if verdict.Revoked {
		s.learn(sess.RevokeReason, sess.ID)
		s.event(ctx, "session.revoked", "user_id", t.UserID, "session_id", t.SessionID,
			"reason", string(sess.RevokeReason), "client_ip", in.Client.IP, "user_agent", in.Client.UserAgent,
			"last_client_ip", sess.IP, "last_user_agent", sess.UserAgent)
	} else {
		s.event(ctx, "refresh."+string(verdict.Outcome), "user_id", t.UserID, "session_id", t.SessionID,
			"client_ip", in.Client.IP)
	}
	switch {
	case verdict.Outcome == OutcomeReused:
		return verdict, Grant{}, ErrSessionReused
	case !verdict.Outcome.Successful():
		return verdict, Grant{}, endedFor(sess.RevokeReason)
	}
	jti := s.refresh.successor(t)
	if hashID(jti) != sess.CurrentHash {
		// A store that says "successful" about another token is at fault; an id of our own making must not get out.
		return verdict, Grant{}, fmt.Errorf("rotate: %w: the row is not the successor's", ErrStoreUnavailable)
	}
	grant, err := s.grant(ctx, user, sess, jti)
	return verdict, grant, err
}

// outcomes keeps the answer of each rotation of this process for the grace, by the token that was shown. A sign-out need
// not clear it: whoever takes an answer looks at the revocations first.
type outcomes struct {
	mu   sync.Mutex
	byID map[string]*outcome
}

type outcome struct {
	id    string
	done  chan struct{} // closed when the fields below are there
	until time.Time     // by this node's clock, which may be set; a timer of its own removes the outcome in any case

	grant   Grant
	err     error
	replays atomic.Int64
}

// join returns the flight of a token. The first to ask for it must fly it.
func (o *outcomes) join(id string, now time.Time) (*outcome, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if found, ok := o.byID[id]; ok && (found.until.IsZero() || now.Before(found.until)) {
		return found, false
	}
	if o.byID == nil {
		o.byID = make(map[string]*outcome)
	}
	flight := &outcome{id: id, done: make(chan struct{})}
	o.byID[id] = flight
	return flight, true
}

// land publishes an outcome and keeps it for a while; nothing is kept of a failure.
func (o *outcomes) land(flight *outcome, now time.Time, keep time.Duration) {
	o.mu.Lock()
	flight.until = now.Add(keep)
	o.mu.Unlock()
	if keep > 0 {
		time.AfterFunc(keep, func() { o.remove(flight) })
	} else {
		o.remove(flight)
	}
	close(flight.done)
}

func (o *outcomes) remove(flight *outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID[flight.id] == flight {
		delete(o.byID, flight.id)
	}
}
