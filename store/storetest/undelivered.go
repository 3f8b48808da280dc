package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// undelivered notes that the answer that gives token n has not begun.
func undelivered(n int64) step {
	return func(e *env, s session) {
		must(e, e.MarkUndelivered(e.Context(), []tokenjar.Undelivered{{SessionID: s.id, Generation: n}}))
	}
}

const halfGrace = grace / 2

// What becomes of the token before the newest while the answer with the newest one has not begun.
var undeliveredStories = []story{
	{name: "it may be shown again, and nothing is used up for it", steps: []step{shows(1, rotated), after(halfGrace), undelivered(2), after(grace), shows(1, replay), after(oneMilli), shows(1, lateRetry)}, gen: 2},
	{name: "from each note on there is a grace, until a minute after the rotation", steps: []step{shows(1, rotated), times(11, steps(after(halfGrace), undelivered(2), shows(1, replay))), after(halfGrace), shows(1, replay), undelivered(2), after(oneMilli), shows(1, lateRetry)}, gen: 2},
	{name: "what is noted later than that is of no use", steps: []step{shows(1, rotated), after(time.Minute + oneMilli), undelivered(2), shows(1, lateRetry), after(grace + oneMilli), undelivered(2), shows(1, replay), after(time.Minute), undelivered(2), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "also when it was given late", steps: []step{shows(1, rotated), after(farTooLate), shows(1, lateRetry), after(halfGrace), undelivered(2), after(grace), shows(1, replay), undelivered(2), after(grace), shows(1, replay), after(oneMilli), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "twice in three rotations", steps: []step{shows(1, rotated), after(halfGrace), undelivered(2), after(grace), shows(1, replay), shows(2, rotated), after(halfGrace), undelivered(3), after(grace), shows(2, replay), shows(3, rotated)}, gen: 4},
	{name: "T-06 not by another client", steps: []step{shows(1, rotated), after(halfGrace), undelivered(2), after(grace), shows(1, lateRetry, elsewhere), after(grace + oneMilli), undelivered(2), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-06 what another client was given late is kept open for that one alone", steps: []step{shows(1, rotated), after(time.Minute), shows(1, lateRetry, elsewhere), after(halfGrace), undelivered(2), after(grace), shows(1, replay, elsewhere), undelivered(2), after(grace), shows(1, replay, elsewhere), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-06 also when the answer had been given to a third client before", steps: []step{shows(1, rotated), shows(1, replay, elsewhereAgain), after(time.Minute), shows(1, lateRetry, elsewhere), after(halfGrace), undelivered(2), after(grace), shows(1, replay, elsewhere), shows(1, reused, elsewhereAgain)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-06 who shows it at the moment of the late retry of another is not that one", steps: []step{shows(1, rotated), after(time.Minute), shows(1, lateRetry), shows(1, replay, elsewhere), after(halfGrace), undelivered(2), after(grace), shows(1, replay), shows(1, reused, elsewhere)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "a late retry counts in its own generation only", steps: []step{shows(1, rotated), after(time.Minute), shows(1, lateRetry, elsewhere), shows(2, rotated), after(halfGrace), undelivered(3), after(grace), shows(2, replay), shows(2, reused, elsewhere)}, gen: 3, reason: tokenjar.ReasonReuse},
	{name: "T-06 within the grace by another client, as ever", steps: []step{shows(1, rotated), undelivered(2), after(grace), shows(1, replay, elsewhere)}, gen: 2},
	{name: "T-01 nothing is noted once the newest was used", steps: []step{shows(1, rotated), after(halfGrace), seen(2), undelivered(2), after(grace), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-01 after the first use a grace from the last note runs out", steps: []step{shows(1, rotated), after(halfGrace), undelivered(2), seen(2), undelivered(2), after(grace), shows(1, replay), after(oneMilli), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-01 an older one is a copy all the same", steps: []step{shows(1, rotated), shows(2, rotated), undelivered(3), shows(1, reused)}, gen: 3, reason: tokenjar.ReasonReuse},
	{name: "the note is of one generation only", steps: []step{shows(1, rotated), after(grace), undelivered(1), undelivered(3), after(oneMilli), shows(1, lateRetry), undelivered(2), shows(2, rotated), after(grace + oneMilli), shows(2, reused)}, gen: 3, reason: tokenjar.ReasonReuse},
	{name: "not without a grace", steps: []step{shows(1, rotated, noGrace), undelivered(2), shows(1, reused, noGrace)}, gen: 2, reason: tokenjar.ReasonReuse},
	{name: "T-10 not after logout", steps: []step{shows(1, rotated), undelivered(2), revoked(tokenjar.ReasonLogout), undelivered(2), shows(1, ended), shows(2, ended)}, gen: 2, reason: tokenjar.ReasonLogout},
	{name: "T-13 not beyond the end of the session", steps: []step{shows(1, rotated), after(halfGrace), to(idleEnd), after(-oneMilli), undelivered(2), after(oneMilli), shows(1, ended)}, gen: 2},
	{name: "T-18 a clock that steps back does not lengthen it", steps: []step{shows(1, rotated), after(30 * time.Second), undelivered(2), seen(2), after(-time.Second), shows(1, replay), after(-oneMilli), shows(1, reused)}, gen: 2, reason: tokenjar.ReasonReuse},
}

func testUndelivered(t *testing.T, open opener) {
	e := start(t, open)
	for _, story := range undeliveredStories {
		e.sub(story.name, story.run)
	}
	e.sub("a note changes what it says and nothing else, and no other row", func(e *env) {
		user := e.user()
		s, used, over, idle := e.login(user), e.login(user), e.login(user), e.login(user)
		for _, each := range []session{s, used, over, idle} {
			e.want(rotated, each.show(1))
		}
		seen(2)(e, used)
		revoked(tokenjar.ReasonLogout)(e, over)
		e.clock.advance(time.Second)
		must(e, e.MarkUndelivered(e.Context(), nil))
		want, others := e.read(s), fmt.Sprint(e.read(used), e.read(over), e.read(idle))
		note := func(s session, gen int64) tokenjar.Undelivered {
			return tokenjar.Undelivered{SessionID: s.id, Generation: gen}
		}
		must(e, e.MarkUndelivered(e.Context(), []tokenjar.Undelivered{
			note(used, 2), note(over, 2), note(idle, 1), note(idle, 3), note(session{id: newID()}, 2), note(s, 2), note(s, 2),
		}))
		want.UndeliveredGen, want.UndeliveredAt = 2, e.clock.now()
		equal(e, "row", e.read(s), want)
		equal(e, "other rows", fmt.Sprint(e.read(used), e.read(over), e.read(idle)), others)
		to(idleEnd)(e, s)
		must(e, e.MarkUndelivered(e.Context(), []tokenjar.Undelivered{note(s, 2)}))
		want.ReadAt = e.clock.now()
		equal(e, "row of a session that is over", e.read(s), want)
	})
	e.sub("what is given again is the same to the last claim", func(e *env) {
		s := e.login(e.user())
		first := e.want(rotated, s.show(1)).Session
		e.clock.advance(halfGrace)
		undelivered(2)(e, s)
		e.clock.advance(grace)
		again := e.want(replay, s.show(1)).Session
		equal(e, "rotated at", again.RotatedAt, first.RotatedAt)
		equal(e, "idle limit", again.IdleExpiresAt, first.IdleExpiresAt)
		equal(e, "last use", again.LastSeenAt, first.LastSeenAt)
		equal(e, "late retry", again.LateRetryGen, 0)
	})
}
