package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// Refresh, from the token that was shown to the answer:
//
//  1. decode: a forgery costs no store access
//  2. one flight for one token: who asks while another asks, or within the grace after it, gets that same answer; where
//     other nodes may have rotated further meanwhile, only if the row says that they have not. After the grace what is given
//     is for one client, and who asks from elsewhere flies alone
//  3. the user as of now
//  4. one atomic store call, judged by Session.Judge
//  5. tokens for the row as it is now
//  6. a last look at this node's revocations, by everybody who takes the answer: a sign-out that has answered wins

// flightTimeout bounds a rotation, which goes on when its first caller has left: others may be waiting for it, and its
// answer must be there when the first one asks again.
const flightTimeout = 5 * time.Second

// The audit events of a token that is shown again. What the store judges has its outcome's name.
const (
	eventLostRace    = "refresh.lost_race" // shown while the same token was being spent by this process
	eventGraceReplay = "refresh." + string(OutcomeGraceReplay)
	eventEnded       = "refresh." + string(OutcomeEnded) // of a session that is over already
	eventReused      = "refresh." + string(OutcomeReused)
	eventShared      = "refresh.shared_successor" // beside the replay's own
)

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
	if errors.Is(err, ErrTokenExpired) {
		s.SettleExpired(ctx, in.Token)
	}
	if err != nil {
		return Grant{}, err
	}
	in.Client = in.Client.clean()
	if err := s.Ended(t.SessionID); err != nil { // which costs the store nothing, however often it is shown
		name := eventEnded
		if errors.Is(err, ErrSessionReused) {
			name = eventReused
		}
		s.event(ctx, AuditEvent{Name: name, UserID: t.UserID, SessionID: t.SessionID, IP: in.Client.IP, UserAgent: in.Client.UserAgent})
		return Grant{}, err
	}
	o, place, err := s.land(ctx, t, in)
	if err == nil && s.staleClaims(o.grant) {
		// The claims of the user changed after they were read for this answer: the same successor once more, with them as
		// they are now. An answer whose claims are stale again is given: its access token counts as expired.
		s.outcomes.leave(o)
		o, place, err = s.land(ctx, t, in)
	}
	if err != nil {
		return Grant{}, err
	}
	count := o.replays
	if place != flies {
		count += o.shared.Add(1)
		name := eventLostRace
		if place == replays {
			name = eventGraceReplay
		}
		e := AuditEvent{Name: name, UserID: t.UserID, SessionID: t.SessionID, IP: in.Client.IP, UserAgent: in.Client.UserAgent}
		s.event(ctx, withLastClient(e, o.client))
		s.shareLater(ctx, o, t, in.Client)
	}
	if count > MaxReplays && !in.Renewal {
		return Grant{}, &ReplayError{RetryAfter: s.timing.Grace}
	}
	return o.grant, nil
}

// land returns the outcome of a token, its own or another caller's, once it is there and gives a successor. What the store
// keeps open for one client is not shared with a caller from elsewhere, who has to be judged as what he is.
func (s *Service) land(ctx context.Context, t RefreshToken, in RefreshRequest) (*outcome, place, error) {
	o, place := s.outcomes.join(t.id, s.now())
	if place == replays {
		current, err := s.stillNewest(ctx, o)
		if err != nil {
			return nil, place, err
		}
		if !current {
			s.outcomes.leave(o)
			o, place = s.outcomes.join(t.id, s.now())
		}
	}
	if place == flies {
		go s.fly(ctx, o, t, in)
	}
	err := s.arrive(ctx, o, t)
	if err == nil && place == waits && o.forOne && elsewhere(o.asker.IP, o.asker.UserAgent, in.Client.IP, in.Client.UserAgent) {
		o, place = s.outcomes.depart(t.id), flies
		go s.fly(ctx, o, t, in)
		err = s.arrive(ctx, o, t)
	}
	if err != nil {
		return nil, place, err
	}
	return o, place, nil
}

// arrive waits for an outcome, and returns its error, or that of a session that has ended meanwhile.
func (s *Service) arrive(ctx context.Context, o *outcome, t RefreshToken) error {
	select {
	case <-o.done:
	case <-ctx.Done():
		return fmt.Errorf("refresh: %w: %w", ErrStoreUnavailable, ctx.Err())
	}
	if err := s.Ended(t.SessionID); err != nil {
		return err
	}
	return o.err
}

// staleClaims reports whether this node knows that the user's claims have changed since the grant's access token was built.
func (s *Service) staleClaims(g Grant) bool {
	return s.claims.stale(func() string { return g.User.ID }, g.User.ClaimsGen)
}

// stillNewest reports whether a kept answer is still that of the session's last rotation. This process knows of its own;
// where other nodes rotate as well, the row is read.
func (s *Service) stillNewest(ctx context.Context, o *outcome) (bool, error) {
	if _, several := s.store.(Watcher); !several {
		return true, nil
	}
	row, err := s.store.Session(ctx, o.sessionID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find session: %w", err)
	}
	return row.Live() && row.Generation == o.generation, nil
}

// fly runs the rotation that all callers of one token share, and keeps its outcome for what is left of the grace, or of
// the access token in it.
func (s *Service) fly(ctx context.Context, o *outcome, t RefreshToken, in RefreshRequest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
	defer cancel()
	began := s.now()
	verdict, grant, err := s.rotateSafely(ctx, t, in)
	o.sessionID, o.generation = t.SessionID, grant.Generation
	o.grant, o.err, o.replays = grant, err, int64(verdict.Session.ReplayCount)
	o.client, o.asker = Client{IP: verdict.Session.IP, UserAgent: verdict.Session.UserAgent}, in.Client
	o.marked.Store(verdict.Session.SharedGen == grant.Generation)
	keep := time.Duration(0)
	if err == nil {
		keep = min(s.graceLeft(verdict.Session), grant.AccessExpires.Sub(began))
	}
	o.forOne = keep <= 0
	s.outcomes.land(o, began, keep) // from then on: a process that was frozen in between does not lengthen the grace
}

// graceLeft is what was left of a session's grace when it was read. What is kept open for an answer that has not begun is
// not counted: that is for one client alone, and the store judges it each time.
func (s *Service) graceLeft(sess Session) time.Duration {
	return s.timing.Grace - sess.ReadAt.Sub(sess.answeredAt())
}

// rotateSafely turns a panic in a program's claims hook or user store into an error. No request's goroutine is around
// this one, so it would end the process, and with it everybody's service.
func (s *Service) rotateSafely(ctx context.Context, t RefreshToken, in RefreshRequest) (v Verdict, g Grant, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "panic in refresh", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			v, g, err = Verdict{}, Grant{}, errors.New("refresh: panic")
		}
	}()
	return s.rotate(ctx, t, in)
}

// SettleExpired makes the end of a session that is over final, when an expired refresh token of it is shown, so that a
// clock that steps back does not bring it to life again. A token that is merely old ends nothing. A store that does not
// answer is logged: the token is refused in any case.
func (s *Service) SettleExpired(ctx context.Context, raw string) {
	t, err := s.DecodeRefresh(raw)
	if !errors.Is(err, ErrTokenExpired) || s.Ended(t.SessionID) != nil {
		return
	}
	sess, err := s.store.Session(ctx, t.SessionID)
	if errors.Is(err, ErrNotFound) || err == nil && (!sess.RevokedAt.IsZero() || !sess.overAt(sess.ReadAt)) {
		return
	}
	if err == nil {
		err = s.endSessions(ctx, t.UserID, []string{t.SessionID}, ReasonExpired)
	}
	if err != nil {
		s.log.WarnContext(ctx, "an expired session could not be ended", "session_id", t.SessionID, "err", err)
	}
}

// rotate spends the token by the user as of now. When the session's own password change comes between reading the user
// and judging the token, both are done again.
func (s *Service) rotate(ctx context.Context, t RefreshToken, in RefreshRequest) (Verdict, Grant, error) {
	for range 3 {
		verdict, grant, err := s.tryRotate(ctx, t, in)
		if verdict.Outcome != OutcomeStaleUser {
			return verdict, grant, err
		}
	}
	return Verdict{}, Grant{}, fmt.Errorf("rotate: %w: the user keeps changing", ErrStoreUnavailable)
}

func (s *Service) tryRotate(ctx context.Context, t RefreshToken, in RefreshRequest) (Verdict, Grant, error) {
	asOf := s.now()
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
	r.Presented, r.Successor = t.hashes()
	var extra token.Claims
	if !r.UserGone {
		// What a program adds is asked for and measured first: a token that cannot be issued must not be spent for.
		if extra, err = s.extraClaims(ctx, user, t.SessionID); err != nil {
			return Verdict{}, Grant{}, err
		}
	}
	verdict, err := s.store.Rotate(ctx, r)
	if err != nil {
		return Verdict{}, Grant{}, fmt.Errorf("rotate: %w", err)
	}
	if verdict.Outcome == OutcomeStaleUser {
		return verdict, Grant{}, nil
	}
	sess := verdict.Session
	event := AuditEvent{Name: "refresh." + string(verdict.Outcome), UserID: t.UserID, SessionID: t.SessionID,
		IP: in.Client.IP, UserAgent: in.Client.UserAgent}
	if !sess.RevokedAt.IsZero() {
		s.learn(sess.RevokeReason, sess.ID) // whoever ended it
	}
	last := Client{IP: sess.IP, UserAgent: sess.UserAgent}
	switch {
	case verdict.Revoked:
		event.Name, event.Reason = "session.revoked", string(sess.RevokeReason)
		event = withLastClient(event, last)
	case verdict.Outcome != OutcomeRotated:
		event = withLastClient(event, last)
	}
	s.event(ctx, event)
	if verdict.Shared {
		event.Name = eventShared
		s.event(ctx, event)
	}
	switch {
	case verdict.Outcome == OutcomeReused:
		return verdict, Grant{}, ErrSessionReused
	case !verdict.Outcome.Successful():
		return verdict, Grant{}, endedFor(sess.RevokeReason)
	}
	jti := t.successor()
	if hashID(jti) != sess.CurrentHash {
		// A store that says "successful" about another token is at fault; an id of our own making must not get out.
		return verdict, Grant{}, fmt.Errorf("rotate: %w: the row is not the successor's", ErrStoreUnavailable)
	}
	grant, err := s.grant(user, extra, sess, t.line, jti, asOf)
	return verdict, grant, err
}

// withLastClient adds to an event who made the session's last rotation.
func withLastClient(e AuditEvent, last Client) AuditEvent {
	e.Detail = map[string]string{"last_client_ip": last.IP, "last_user_agent": last.UserAgent}
	return e
}

// outcomes keeps, for each session, the answer of its last rotation by this process, for the grace. The answer of the
// rotation before it goes when the next one lands: a token two generations old is reuse, grace or not.
type outcomes struct {
	mu     sync.Mutex
	byID   map[string]*outcome // by the token that was shown
	newest map[string]*newest  // by session
}

// newest is what this process knows of a session's generation. It is remembered a little longer than the answer, so
// that a slow handler's answer does not set cookies that have been replaced.
type newest struct {
	generation int64
	kept       *outcome // nil once its grace is over
	timer      *time.Timer
	landings   int // tells a timer that it was stopped too late
}

type outcome struct {
	id    string
	done  chan struct{} // closed when the fields below are there
	until time.Time     // by this node's clock, which may be set; a timer removes the outcome in any case

	sessionID  string
	generation int64
	grant      Grant
	err        error
	client     Client       // of the rotation
	asker      Client       // who flew
	forOne     bool         // the grace is over: the store gave it to the asker, and judges everybody else
	replays    int64        // as the store counted them
	shared     atomic.Int64 // answered from here beside those
	marked     atomic.Bool  // it is noted that another client has this answer as well
}

// A place is where a caller stands with the flight of its token.
type place int

const (
	flies   place = iota // the first: it must fly it
	waits                // for one that is under way
	replays              // of one that has landed
)

// join returns the flight of a token, and where the caller stands with it.
func (o *outcomes) join(id string, now time.Time) (*outcome, place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if found, ok := o.byID[id]; ok {
		switch {
		case found.until.IsZero():
			return found, waits
		case now.Before(found.until):
			return found, replays
		}
	}
	return o.begin(id), flies
}

// depart begins a flight of a token although another one may be under way, which whoever waits for it still gets.
func (o *outcomes) depart(id string) *outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begin(id)
}

func (o *outcomes) begin(id string) *outcome {
	if o.byID == nil {
		o.byID, o.newest = make(map[string]*outcome), make(map[string]*newest)
	}
	flight := &outcome{id: id, done: make(chan struct{})}
	o.byID[id] = flight
	return flight
}

// leave forgets a kept answer that another node has overtaken.
func (o *outcomes) leave(flight *outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(flight)
	if n := o.newest[flight.sessionID]; n != nil && n.kept == flight {
		n.kept = nil
	}
}

// land publishes an outcome and keeps it for a while from a time on; nothing is kept of a failure.
func (o *outcomes) land(flight *outcome, began time.Time, keep time.Duration) {
	defer close(flight.done)
	o.mu.Lock()
	defer o.mu.Unlock()
	flight.until = began.Add(keep)
	if flight.err != nil {
		o.forget(flight)
		return
	}
	n := o.newest[flight.sessionID]
	if n == nil {
		n = &newest{}
		o.newest[flight.sessionID] = n
	}
	if n.generation > flight.generation {
		o.forget(flight)
		return
	}
	if n.kept != nil && n.kept != flight {
		o.forget(n.kept)
	}
	if n.timer != nil {
		n.timer.Stop()
	}
	n.generation, n.kept = flight.generation, flight
	n.landings++
	if keep <= 0 {
		o.forget(flight)
		n.kept = nil
		keep = slowAnswer
	}
	n.timer = o.expire(flight.sessionID, n, keep)
}

// expire drops a session's answer after a while, and a little later what is known of its generation.
func (o *outcomes) expire(sessionID string, n *newest, after time.Duration) *time.Timer {
	landing := n.landings
	return time.AfterFunc(after, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		switch {
		case n.landings != landing:
		case n.kept != nil:
			o.forget(n.kept)
			n.kept = nil
			n.timer = o.expire(sessionID, n, slowAnswer)
		case o.newest[sessionID] == n:
			delete(o.newest, sessionID)
		}
	})
}

func (o *outcomes) forget(flight *outcome) {
	if o.byID[flight.id] == flight {
		delete(o.byID, flight.id)
	}
}

// drop forgets what is kept of a session that has ended.
func (o *outcomes) drop(sessionID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.newest[sessionID]; n != nil {
		n.landings++
		n.timer.Stop()
		if n.kept != nil {
			o.forget(n.kept)
		}
		delete(o.newest, sessionID)
	}
}

// superseded reports whether this process has rotated a session beyond a generation.
func (o *outcomes) superseded(sessionID string, generation int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.newest[sessionID]
	return n != nil && n.generation > generation
}
