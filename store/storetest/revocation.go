package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

func testRevocation(t *testing.T, open opener) {
	e := start(t, open)
	e.sub("S-10 only own sessions, and those not ended yet, are ended", func(e *env) {
		user := e.user()
		a, b, gone := e.login(user), e.login(user), e.login(user)
		foreign := e.login(e.user())
		_, err := e.RevokeSessions(e.Context(), user, []string{gone.id}, tokenjar.ReasonLogout)
		must(e, err)
		e.clock.advance(time.Minute)
		ended, err := e.RevokeSessions(e.Context(), user,
			[]string{a.id, foreign.id, gone.id, newID(), "", "' OR 1=1 --", "%", a.id}, tokenjar.ReasonEndedByUser)
		must(e, err)
		equal(e, "ended", strings.Join(ended, " "), a.id)
		equal(e, "reason", e.read(a).RevokeReason, tokenjar.ReasonEndedByUser)
		equal(e, "revoked at", e.read(a).RevokedAt, e.clock.now())
		equal(e, "first reason stays", e.read(gone).RevokeReason, tokenjar.ReasonLogout)
		equal(e, "other session is live", live(e, b), true)
		equal(e, "foreign session is live", live(e, foreign), true)
	})
	e.sub("no user named: whosever they are", func(e *env) {
		a, b := e.login(e.user()), e.login(e.user())
		ended, err := e.RevokeSessions(e.Context(), "", []string{a.id, b.id}, tokenjar.ReasonLogout)
		must(e, err)
		equal(e, "ended", sorted(ended), sorted([]string{a.id, b.id}))
		ended, err = e.RevokeSessions(e.Context(), "", nil, tokenjar.ReasonLogout)
		must(e, err)
		equal(e, "ended by an empty list", len(ended), 0)
	})
	e.sub("a list longer than any statement", func(e *env) {
		user := e.user()
		list := make([]string, 0, 40_000)
		for range 40_000 / 1000 {
			list = append(list, e.login(user).id)
			for range 999 {
				list = append(list, "unknown")
			}
		}
		ended, err := e.RevokeSessions(e.Context(), user, list, tokenjar.ReasonLogout)
		must(e, err)
		equal(e, "ended", len(ended), 40)
		equal(e, "list", ids(e, user), "")
	})
	e.sub("S-14 all sessions of a user but one", func(e *env) {
		user := e.user()
		a, b, c := e.login(user), e.login(user), e.login(user)
		foreign := e.login(e.user())
		ended, err := e.RevokeUserSessions(e.Context(), user, b.id, tokenjar.ReasonPasswordChanged)
		must(e, err)
		equal(e, "ended", sorted(ended), sorted([]string{a.id, c.id}))
		equal(e, "list", ids(e, user), b.id)
		ended, err = e.RevokeUserSessions(e.Context(), user, "", tokenjar.ReasonLogout)
		must(e, err)
		equal(e, "ended", strings.Join(ended, " "), b.id)
		equal(e, "first reason stays", e.read(a).RevokeReason, tokenjar.ReasonPasswordChanged)
		equal(e, "foreign session is live", live(e, foreign), true)
	})
	e.sub("T-18 a session that is over is revoked as well, so that no clock brings it back", func(e *env) {
		defer e.clock.set(noon)
		s := e.login(e.user())
		e.clock.set(e.read(s).IdleExpiresAt)
		ended, err := e.RevokeUserSessions(e.Context(), s.user, "", tokenjar.ReasonLogout)
		must(e, err)
		equal(e, "ended", strings.Join(ended, " "), s.id)
		e.clock.set(noon)
		e.want(tokenjar.OutcomeEnded, s.show(1))
	})
	e.sub("S-02 revocations since a time, that time included, by whatever way", func(e *env) {
		e.clock.set(noon.Add(1000 * time.Hour)) // after all others
		begin := e.clock.now()
		user := e.user()
		a, b, c, d, f := e.login(user), e.login(user), e.login(user), e.login(user), e.login(e.user())
		check := func(since time.Time, want ...string) {
			e.Helper()
			news, err := e.News(e.Context(), since)
			must(e, err)
			equal(e, "store's clock", news.At, e.clock.now())
			var got []string
			for _, r := range news.Revocations {
				row := e.read(session{id: r.SessionID})
				equal(e, "revocation", r, tokenjar.Revocation{SessionID: row.ID, Reason: row.RevokeReason, At: row.RevokedAt})
				got = append(got, r.SessionID)
			}
			equal(e, "revocations", sorted(got), sorted(want))
		}
		check(begin)
		_, err := e.RevokeSessions(e.Context(), user, []string{a.id}, tokenjar.ReasonLogout)
		must(e, err)
		e.clock.advance(time.Second)
		e.want(tokenjar.OutcomeReused, b.show(5))
		e.clock.advance(time.Second)
		_, _, err = e.tryLogin(user, func(n *tokenjar.NewSession) { n.Replaces = []string{c.id} })
		must(e, err)
		e.clock.advance(time.Second)
		_, err = e.SetUserActive(e.Context(), f.user, false)
		must(e, err)
		check(begin, a.id, b.id, c.id, f.id)
		check(begin.Add(time.Millisecond), b.id, c.id, f.id)
		check(begin.Add(time.Second), b.id, c.id, f.id)
		check(begin.Add(2*time.Second), c.id, f.id)
		check(begin.Add(24 * time.Hour))
		if news, err := e.News(e.Context(), time.Time{}); err != nil || len(news.Revocations) < 4 {
			e.Fatalf("revocations since the zero time: got %d and %v, want all", len(news.Revocations), err)
		}
		equal(e, "other session is live", live(e, d), true)
	})
}

func testPruning(t *testing.T, open opener) {
	const keep = time.Hour
	exists := func(e *env, s session) bool {
		e.Helper()
		_, err := e.Session(e.Context(), s.id)
		if err != nil {
			wantError(e, err, tokenjar.ErrNotFound)
		}
		return err == nil
	}
	prune := func(e *env, keep time.Duration, limit int) int {
		e.Helper()
		n, more, err := e.PruneSessions(e.Context(), keep, limit)
		must(e, err)
		if more && limit <= 0 {
			e.Error("a call that may look at nothing is worth repeating")
		}
		return n
	}
	t.Run("a session that is over goes when it has been for longer than keep", func(t *testing.T) {
		e := start(t, open)
		s := e.login(e.user())
		end := e.read(s).IdleExpiresAt
		for _, at := range []time.Time{noon, end, end.Add(keep - time.Millisecond), end.Add(keep)} {
			e.clock.set(at)
			equal(e, "pruned", prune(e, keep, 10), 0)
		}
		e.clock.set(end.Add(keep + time.Millisecond))
		equal(e, "pruned", prune(e, keep, 10), 1)
		equal(e, "exists", exists(e, s), false)
		e.want(tokenjar.OutcomeEnded, s.show(1))
	})
	t.Run("a revoked session stays for keep after it was revoked, though it was over long before", func(t *testing.T) {
		e := start(t, open)
		s, over := e.login(e.user()), e.login(e.user())
		e.clock.set(e.read(s).ExpiresAt.Add(24 * time.Hour))
		at := e.clock.now()
		_, err := e.RevokeSessions(e.Context(), "", []string{s.id}, tokenjar.ReasonLogout)
		must(e, err)
		equal(e, "pruned", prune(e, keep, 10), 1)
		equal(e, "the one that was over exists", exists(e, over), false)
		e.clock.set(at.Add(keep))
		equal(e, "pruned", prune(e, keep, 10), 0)
		equal(e, "reason", e.read(s).RevokeReason, tokenjar.ReasonLogout)
		e.clock.set(at.Add(keep + time.Millisecond))
		equal(e, "pruned", prune(e, keep, 10), 1)
	})
	t.Run("a revoked session may go before its own end, and stays dead", func(t *testing.T) {
		e := start(t, open)
		s := e.login(e.user())
		e.want(tokenjar.OutcomeReused, s.show(4))
		e.clock.advance(keep + time.Millisecond)
		equal(e, "pruned", prune(e, keep, 10), 1)
		e.want(tokenjar.OutcomeEnded, s.show(1))
	})
	t.Run("live sessions stay, whatever is asked", func(t *testing.T) {
		e := start(t, open)
		s := e.login(e.user())
		e.clock.advance(23 * time.Hour)
		equal(e, "pruned", prune(e, 0, 10), 0)
		equal(e, "pruned", prune(e, -48*time.Hour, 10), 0)
		e.want(rotated, s.show(1))
		e.clock.advance(23 * time.Hour)
		equal(e, "pruned", prune(e, 0, 10), 0)
		equal(e, "live", live(e, s), true)
	})
	t.Run("calls that go on while there is more delete all that is over", func(t *testing.T) {
		e := start(t, open)
		user := e.user()
		var used, over []session
		for range 20 { // in the first places of any order by age
			used = append(used, e.login(user))
		}
		e.clock.advance(time.Minute)
		for i := range 10 {
			over = append(over, e.login(user))
			if i%3 == 0 {
				_, err := e.RevokeSessions(e.Context(), user, []string{over[i].id}, tokenjar.ReasonLogout)
				must(e, err)
			}
		}
		e.clock.advance(timing.Idle - time.Hour)
		for _, s := range used {
			e.want(rotated, s.show(1))
		}
		e.clock.advance(2*time.Hour + keep)
		deleted, calls := 0, 0
		for more := true; more; calls++ {
			if calls > 30 {
				e.Fatal("there is more for ever")
			}
			var n int
			var err error
			n, more, err = e.PruneSessions(e.Context(), keep, 3)
			must(e, err)
			if deleted += n; n > 3 {
				e.Fatalf("one call deleted %d sessions, want 3 at most", n)
			}
		}
		equal(e, "deleted", deleted, len(over))
		for _, s := range used {
			equal(e, "live", live(e, s), true)
		}
	})
	t.Run("limit is kept, and what is left goes next time", func(t *testing.T) {
		e := start(t, open)
		user := e.user()
		for i := range 9 {
			if s := e.login(user); i%2 == 0 {
				_, err := e.RevokeSessions(e.Context(), user, []string{s.id}, tokenjar.ReasonLogout)
				must(e, err)
			}
		}
		e.clock.advance(1000 * time.Hour)
		equal(e, "pruned", prune(e, keep, 0), 0)
		equal(e, "pruned", prune(e, keep, -1), 0)
		equal(e, "pruned", prune(e, keep, 4), 4)
		equal(e, "pruned", prune(e, keep, 4), 4)
		equal(e, "pruned", prune(e, keep, 4), 1)
		equal(e, "pruned", prune(e, keep, 4), 0)
	})
}
