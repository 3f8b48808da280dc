package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// A step is one line of a story about one session.
type step func(e *env, s session)

func after(d time.Duration) step { return func(e *env, _ session) { e.clock.advance(d) } }

// shows spends token n and wants an outcome; change makes another rotation of it.
func shows(n int64, o tokenjar.Outcome, change ...func(*tokenjar.Rotation)) step {
	return func(e *env, s session) {
		e.Helper()
		r := s.show(n)
		for _, f := range change {
			f(&r)
		}
		if v := e.spend(r); v.Outcome != o {
			e.Fatalf("token %d: got %s, want %s", n, v.Outcome, o)
		}
	}
}

func seen(n int64) step {
	return func(e *env, s session) {
		must(e, e.MarkSeen(e.Context(), []tokenjar.Seen{{SessionID: s.id, Generation: n}}))
	}
}

func revoked(why tokenjar.Reason) step {
	return func(e *env, s session) {
		ended, err := e.RevokeSessions(e.Context(), s.user, []string{s.id}, why)
		must(e, err)
		equal(e, "sessions ended", len(ended), 1)
	}
}

// to sets the clock to a moment of the session's row.
func to(f func(tokenjar.Session) time.Time) step {
	return func(e *env, s session) { e.clock.set(f(e.read(s))) }
}

func idleEnd(row tokenjar.Session) time.Time     { return row.IdleExpiresAt }
func absoluteEnd(row tokenjar.Session) time.Time { return row.ExpiresAt }

func steps(list ...step) step {
	return func(e *env, s session) {
		for _, f := range list {
			f(e, s)
		}
	}
}

func times(n int, f step) step {
	return func(e *env, s session) {
		for range n {
			f(e, s)
		}
	}
}

// staysActive rotates the first tokens, one after another.
func staysActive(last int64, gap time.Duration) step {
	return func(e *env, s session) {
		for n := int64(1); n <= last; n++ {
			e.clock.advance(gap)
			e.want(tokenjar.OutcomeRotated, s.show(n))
		}
	}
}

func gone(r *tokenjar.Rotation)       { r.UserGone = true }
func otherEpoch(r *tokenjar.Rotation) { r.AuthEpoch++ }
func staleEpoch(r *tokenjar.Rotation) { r.AuthEpoch-- }
func passive(r *tokenjar.Rotation)    { r.Passive = true }
func otherUser(r *tokenjar.Rotation)  { r.UserID = "somebody else" }
func noGrace(r *tokenjar.Rotation)    { r.Timing.Grace = 0 }
func elsewhere(r *tokenjar.Rotation)  { r.UserAgent, r.IP = "another agent", "198.51.100.7" }
func guessed(r *tokenjar.Rotation)    { r.Presented, r.Successor = session{}.hash(1), session{}.hash(2) }

const (
	rotated    = tokenjar.OutcomeRotated
	replay     = tokenjar.OutcomeGraceReplay
	lateRetry  = tokenjar.OutcomeLateRetry
	ended      = tokenjar.OutcomeEnded
	reused     = tokenjar.OutcomeReused
	staleUser  = tokenjar.OutcomeStaleUser
	oneMilli   = time.Millisecond
	grace      = 10 * time.Second // timing.Grace
	farTooLate = 6 * time.Hour    // within the idle limit
)

// A story is what happens to one session.
type story struct {
	name     string
	remember bool
	steps    []step
	gen      int64           // of the row in the end
	reason   tokenjar.Reason // for which it is revoked in the end
}

func (story story) run(e *env) {
	e.clock.set(noon)
	s := e.login(e.user(), func(n *tokenjar.NewSession) { n.Remember = story.remember })
	for _, f := range story.steps {
		f(e, s)
	}
	row := e.read(s)
	equal(e, "generation", row.Generation, story.gen)
	equal(e, "reason", row.RevokeReason, story.reason)
	equal(e, "revoked", !row.RevokedAt.IsZero(), story.reason != "")
}

// The rotation table of the design (section 5), row by row, and the order in which it is gone through.
var stories = []story{
	// newest
	{name: "newest token is rotated", steps: []step{shows(1, rotated)}, gen: 2},
	{name: "each newest token is rotated in its turn", steps: []step{staysActive(20, time.Hour)}, gen: 21},
	{name: "newest token is rotated although it was seen", steps: []step{seen(1), shows(1, rotated), seen(2), shows(2, rotated)}, gen: 3},
	{name: "newest token is rotated from another agent and address", steps: []step{shows(1, rotated, elsewhere)}, gen: 2},

	// predecessor within the grace
	{name: "T-05 lost answer is given again at once", steps: []step{shows(1, rotated), shows(1, replay)}, gen: 2},
	{name: "T-05 lost answer is given again at the end of the grace", steps: []step{shows(1, rotated), seen(2), after(grace), shows(1, replay)}, gen: 2},
	{name: "T-01 seen successor, 1 ms after the grace: reuse", steps: []step{shows(1, rotated), seen(2), after(grace + oneMilli), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-01 seen successor, 1 s after the grace: reuse", steps: []step{shows(1, rotated), seen(2), after(grace + time.Second), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-01 reuse ends the honest token as well, and says so", steps: []step{shows(1, rotated), seen(2), after(farTooLate), shows(1, reused), shows(2, reused), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-06 predecessor from elsewhere within the grace makes no branch", steps: []step{shows(1, rotated), shows(1, replay, elsewhere), shows(2, rotated)}, gen: 3},
	{name: "T-07 predecessor within the grace, 100 times", steps: []step{shows(1, rotated), times(100, shows(1, replay))}, gen: 2},
	{name: "replays do not prolong the grace", steps: []step{shows(1, rotated), seen(2), times(9, steps(after(time.Second), shows(1, replay))), after(time.Second + oneMilli), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "no grace: every predecessor is reuse", steps: []step{shows(1, rotated, noGrace), shows(1, reused, noGrace)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "no grace: an unseen successor is no excuse", steps: []step{shows(1, rotated, noGrace), after(farTooLate), shows(1, reused, noGrace)}, gen: 2, reason: tokenjar.ReasonReuse},

	// predecessor after the grace, successor not seen
	{name: "T-05 unseen successor, 1 ms after the grace: late retry", steps: []step{shows(1, rotated), after(grace + oneMilli), shows(1, lateRetry)}, gen: 2},
	{name: "T-05 late retry begins a grace of its own", steps: []step{shows(1, rotated), after(farTooLate), shows(1, lateRetry), after(grace), shows(1, replay), after(oneMilli), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-05 late retry is granted once in one generation", steps: []step{shows(1, rotated), after(farTooLate), shows(1, lateRetry), after(farTooLate), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-05 late retry, then the chain goes on", steps: []step{shows(1, rotated), after(farTooLate), shows(1, lateRetry), shows(2, rotated), seen(3), shows(3, rotated)}, gen: 4},
	{name: "T-06 shadowing ends at the next generation", steps: []step{shows(1, rotated), after(farTooLate), shows(1, lateRetry), shows(2, rotated), after(farTooLate), shows(2, reused)}, gen: 3, reason: tokenjar.ReasonReuse},
	{name: "T-06 shadowing ends at the generation after it", steps: []step{shows(1, rotated), after(farTooLate), shows(1, lateRetry), shows(2, rotated), shows(3, rotated), after(farTooLate), shows(3, reused)}, gen: 4, reason: tokenjar.ReasonReuse},
	{name: "T-06 the third generation may be retried again", steps: []step{shows(1, rotated), after(farTooLate), shows(1, lateRetry), shows(2, rotated), shows(3, rotated), shows(4, rotated), after(farTooLate), shows(4, lateRetry)}, gen: 5},
	{name: "successor that was rotated itself leaves no late retry", steps: []step{shows(1, rotated), shows(2, rotated), after(farTooLate), shows(1, reused)}, gen: 3, reason: tokenjar.ReasonReuse},
	{name: "seen of another generation is passed over", steps: []step{shows(1, rotated), seen(1), seen(3), after(farTooLate), shows(1, lateRetry)}, gen: 2},
	{name: "seen is of one generation only", steps: []step{shows(1, rotated), seen(2), shows(2, rotated), after(farTooLate), shows(2, lateRetry)}, gen: 3},

	// older, or never issued
	{name: "T-09 grandparent while the parent is in its grace: reuse", steps: []step{shows(1, rotated), shows(2, rotated), shows(1, reused)}, gen: 3, reason: tokenjar.ReasonReuse},
	{name: "R4 only the immediate predecessor is replayed", steps: []step{staysActive(4, time.Hour), shows(4, replay), shows(3, reused)}, gen: 5, reason: tokenjar.ReasonReuse},
	{name: "token that no generation had: reuse", steps: []step{shows(1, reused, guessed)}, gen: 1, reason: tokenjar.ReasonReuse},
	{name: "token of the future: reuse", steps: []step{shows(3, reused)}, gen: 1, reason: tokenjar.ReasonReuse},
	{name: "the token before the first: late retry is for rotations only", steps: []step{after(farTooLate), shows(0, reused)}, gen: 1, reason: tokenjar.ReasonReuse},

	// over
	{name: "T-13 idle limit, 1 ms before", steps: []step{to(idleEnd), after(-oneMilli), shows(1, rotated)}, gen: 2},
	{name: "T-13 idle limit, exactly", steps: []step{to(idleEnd), shows(1, ended)}, gen: 1},
	{name: "T-13 idle limit, 1 s before and after", steps: []step{to(idleEnd), after(-time.Second), shows(1, rotated), to(idleEnd), after(time.Second), shows(2, ended)}, gen: 2},
	{name: "T-13 idle limit of a remembered session", remember: true, steps: []step{after(timing.Idle + time.Hour), shows(1, rotated), to(idleEnd), after(-oneMilli), shows(2, rotated), to(idleEnd), shows(3, ended)}, gen: 3},
	{name: "T-13 absolute limit, whatever the activity", steps: []step{staysActive(31, 23*time.Hour), to(absoluteEnd), after(-oneMilli), shows(32, rotated), after(oneMilli), shows(33, ended)}, gen: 33},
	{name: "T-13 absolute limit, exactly", remember: true, steps: []step{after(19 * 24 * time.Hour), shows(1, rotated), to(absoluteEnd), shows(2, ended)}, gen: 2},
	{name: "over before revoked: reuse is not reported of a session that is over", steps: []step{revoked(tokenjar.ReasonReuse), to(idleEnd), shows(1, ended)}, gen: 1, reason: tokenjar.ReasonReuse},
	{name: "over before user: nothing is revoked of a session that is over", steps: []step{to(idleEnd), shows(1, ended, gone)}, gen: 1},
	{name: "over before token: an old token of a session that is over ends nothing", steps: []step{shows(1, rotated), shows(2, rotated), to(idleEnd), shows(1, ended)}, gen: 3},
	{name: "passive rotation does not move the idle limit", steps: []step{after(23 * time.Hour), shows(1, rotated, passive), after(time.Hour), shows(2, ended)}, gen: 2},

	// revoked
	{name: "T-10 logout ends the newest token", steps: []step{revoked(tokenjar.ReasonLogout), shows(1, ended)}, gen: 1, reason: tokenjar.ReasonLogout},
	{name: "T-10 logout ends a predecessor in its grace", steps: []step{shows(1, rotated), revoked(tokenjar.ReasonLogout), shows(1, ended), shows(2, ended)}, gen: 2, reason: tokenjar.ReasonLogout},
	{name: "T-10 reuse after logout is not reported as reuse", steps: []step{shows(1, rotated), shows(2, rotated), revoked(tokenjar.ReasonLogout), shows(1, ended)}, gen: 3, reason: tokenjar.ReasonLogout},
	{name: "T-10 password change", steps: []step{revoked(tokenjar.ReasonPasswordChanged), shows(1, ended)}, gen: 1, reason: tokenjar.ReasonPasswordChanged},
	{name: "T-10 revoked for reuse is reported to every token", steps: []step{shows(1, rotated), revoked(tokenjar.ReasonReuse), shows(2, reused), shows(1, reused), shows(7, reused, guessed)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "revoked before user: the first reason stays", steps: []step{revoked(tokenjar.ReasonLogout), shows(1, ended, gone), shows(1, ended, otherEpoch)}, gen: 1, reason: tokenjar.ReasonLogout},

	// user
	{name: "T-10 user gone or disabled", steps: []step{shows(1, ended, gone), shows(1, ended)}, gen: 1, reason: tokenjar.ReasonUserDisabled},
	{name: "T-10 user of another epoch", steps: []step{shows(1, ended, otherEpoch), shows(1, ended)}, gen: 1, reason: tokenjar.ReasonPasswordChanged},
	{name: "gone before epoch", steps: []step{shows(1, ended, gone, otherEpoch)}, gen: 1, reason: tokenjar.ReasonUserDisabled},
	{name: "user before token: an old token of a user who is gone is no reuse", steps: []step{shows(1, rotated), shows(2, rotated), shows(1, ended, gone)}, gen: 3, reason: tokenjar.ReasonUserDisabled},
	{name: "epoch before token", steps: []step{shows(1, rotated), shows(2, rotated), shows(1, ended, otherEpoch)}, gen: 3, reason: tokenjar.ReasonPasswordChanged},
	{name: "S-03 user read before the password change that kept this session: nothing is written", steps: []step{shows(1, rotated), shows(2, staleUser, staleEpoch), shows(1, staleUser, staleEpoch), shows(2, rotated)}, gen: 3},
	{name: "S-03 stale user before token: not even reuse is judged", steps: []step{shows(1, staleUser, staleEpoch, guessed), shows(1, rotated)}, gen: 2},
	{name: "gone before stale user", steps: []step{shows(1, ended, gone, staleEpoch)}, gen: 1, reason: tokenjar.ReasonUserDisabled},
	{name: "over before stale user", steps: []step{to(idleEnd), shows(1, ended, staleEpoch)}, gen: 1},
	{name: "revoked before stale user", steps: []step{revoked(tokenjar.ReasonReuse), shows(1, reused, staleEpoch)}, gen: 1, reason: tokenjar.ReasonReuse},
	{name: "another user's token touches nothing", steps: []step{shows(1, ended, otherUser), shows(1, ended, otherUser, guessed), shows(1, ended, otherUser, gone), shows(1, rotated)}, gen: 2},

	// the clock
	{name: "T-18 clock back by a second at most: still within the grace", steps: []step{shows(1, rotated), seen(2), after(-time.Second), shows(1, replay)}, gen: 2},
	{name: "T-18 clock back by more: the grace is over", steps: []step{shows(1, rotated), seen(2), after(-time.Second - oneMilli), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-18 clock back by hours: a spent token is not unspent", steps: []step{shows(1, rotated), after(-farTooLate), shows(1, lateRetry), after(-farTooLate), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-18 clock past the end and back: single use all the same", steps: []step{shows(1, rotated), seen(2), after(60 * 24 * time.Hour), shows(2, ended), shows(1, ended), after(-60*24*time.Hour + grace + time.Second), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-18 clock back after a revocation: still revoked", steps: []step{revoked(tokenjar.ReasonLogout), after(-farTooLate), shows(1, ended)}, gen: 1, reason: tokenjar.ReasonLogout},
}

func testRotationTable(t *testing.T, open opener) {
	e := start(t, open)
	for _, story := range stories {
		e.sub(story.name, story.run)
	}
}

func testRotation(t *testing.T, open opener) {
	e := start(t, open)
	e.sub("S-11 unknown session is ended, and none is made of it", func(e *env) {
		s := session{id: newID(), user: e.user()}
		e.want(ended, s.show(1))
		_, err := e.Session(e.Context(), s.id)
		wantError(e, err, tokenjar.ErrNotFound)
	})
	e.sub("rotation sets what it says and nothing else", func(e *env) {
		s := e.login(e.user())
		must(e, e.RenameSession(e.Context(), s.user, s.id, "phone"))
		want := e.read(s)
		e.clock.advance(time.Hour)
		r := s.show(1)
		elsewhere(&r)
		e.want(rotated, r)
		now := e.clock.now()
		want.Generation, want.CurrentHash, want.RotatedAt, want.LastSeenAt, want.ReadAt = 2, s.hash(2), now, now, now
		want.UserAgent, want.IP = r.UserAgent, r.IP
		want.IdleExpiresAt = now.Add(timing.Idle).Truncate(time.Second)
		equal(e, "row", e.read(s), want)
	})
	e.sub("passive rotation leaves the idle limit and the last use", func(e *env) {
		s := e.login(e.user())
		before := e.read(s)
		e.clock.advance(time.Hour)
		r := s.show(1)
		r.Passive = true
		row := e.want(rotated, r).Session
		equal(e, "idle limit", row.IdleExpiresAt, before.IdleExpiresAt)
		equal(e, "last seen", row.LastSeenAt, before.LastSeenAt)
		equal(e, "rotated at", row.RotatedAt, e.clock.now())
	})
	e.sub("idle limit never passes the absolute one", func(e *env) {
		for remember, uses := range map[bool][]time.Duration{
			true:  {15 * 24 * time.Hour},
			false: slices.Repeat([]time.Duration{23 * time.Hour}, 31), // so that it never goes idle
		} {
			s := e.login(e.user(), func(n *tokenjar.NewSession) { n.Remember = remember })
			var row tokenjar.Session
			for n, after := range uses {
				e.clock.advance(after)
				row = e.want(rotated, s.show(int64(n+1))).Session
			}
			equal(e, "idle limit", row.IdleExpiresAt, row.ExpiresAt)
			equal(e, "absolute limit", row.ExpiresAt, row.CreatedAt.Add(timing.Absolute).Truncate(time.Second))
		}
	})
	e.sub("T-06 replay from elsewhere leaves agent and address as they were", func(e *env) {
		s := e.login(e.user())
		before := e.want(rotated, s.show(1)).Session
		r := s.show(1)
		elsewhere(&r)
		row := e.want(replay, r).Session
		equal(e, "agent", row.UserAgent, before.UserAgent)
		equal(e, "address", row.IP, before.IP)
		equal(e, "last seen", row.LastSeenAt, before.LastSeenAt)
	})
	e.sub("T-07 replays are counted to one more than the limit, and from nought after a rotation", func(e *env) {
		s := e.login(e.user())
		e.want(rotated, s.show(1))
		for n := 1; n <= tokenjar.MaxReplays+10; n++ {
			row := e.want(replay, s.show(1)).Session
			equal(e, "replays", row.ReplayCount, min(n, tokenjar.MaxReplays+1))
		}
		must(e, e.MarkSeen(e.Context(), []tokenjar.Seen{{SessionID: s.id, Generation: 2}}))
		row := e.want(rotated, s.show(2)).Session
		equal(e, "replays", row.ReplayCount, 0)
		equal(e, "seen", row.SuccessorSeen, false)
	})
	e.sub("late retry is noted with its generation and time", func(e *env) {
		s := e.login(e.user())
		e.want(rotated, s.show(1))
		e.clock.advance(farTooLate)
		row := e.want(lateRetry, s.show(1)).Session
		equal(e, "generation of the late retry", row.LateRetryGen, 2)
		equal(e, "time of the late retry", row.LateRetryAt, e.clock.now())
		e.clock.advance(time.Minute)
		row = e.want(rotated, s.show(2)).Session
		equal(e, "generation of the late retry, after a rotation", row.LateRetryGen, 2)
	})
	e.sub("R7 reuse ends one session, not the user", func(e *env) {
		user := e.user()
		s, other := e.login(user), e.login(user)
		v := e.want(reused, s.show(9))
		equal(e, "revoked by this verdict", v.Revoked, true)
		equal(e, "revoked at", v.Session.RevokedAt, e.clock.now())
		v = e.want(reused, s.show(1))
		equal(e, "revoked by the second verdict", v.Revoked, false)
		e.want(rotated, other.show(1))
	})
}
