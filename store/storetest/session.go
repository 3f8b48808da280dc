package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

func testSessions(t *testing.T, open opener) {
	e := start(t, open)
	e.sub("session begins as NewSession.Open says, and is read back equal, in UTC", func(e *env) {
		// A clock in another zone and with nanoseconds: neither may show.
		e.clock.set(noon.Add(123_456 * time.Nanosecond).In(time.FixedZone("east", 5*3600)))
		defer e.clock.set(noon)
		s := session{id: newID(), user: e.user()}
		n := tokenjar.NewSession{
			ID: s.id, UserID: s.user, Remember: true, First: s.hash(1), Timing: timing,
			UserAgent: "Mozilla/5.0 (\"quoted\"; 'quoted'; \x00 ü)", IP: "2001:db8::1",
		}
		got, ended, err := e.CreateSession(e.Context(), n)
		must(e, err)
		equal(e, "sessions ended", len(ended), 0)
		equal(e, "session", got, n.Open(noon))
		equal(e, "row", e.read(s), got)
		for _, at := range []time.Time{got.IdleExpiresAt, got.ExpiresAt} {
			equal(e, "part of a second in a limit", at.Nanosecond(), 0)
		}
		for _, at := range []time.Time{got.CreatedAt, got.IdleExpiresAt, got.ExpiresAt, got.ReadAt, e.read(s).CreatedAt} {
			equal(e, "zone", at.Location(), time.UTC)
		}
		equal(e, "zero time", e.read(s).RevokedAt.IsZero() && e.read(s).LateRetryAt.IsZero(), true)
	})
	e.sub("unknown session is not found", func(e *env) {
		for _, id := range []string{newID(), "", "'; DROP TABLE sessions; --", strings.Repeat("x", 100_000)} {
			_, err := e.Session(e.Context(), id)
			wantError(e, err, tokenjar.ErrNotFound)
		}
	})
	e.sub("session id is taken: conflict, and the first one stays", func(e *env) {
		s := e.login(e.user())
		before := e.read(s)
		other := e.login(e.user())
		_, _, err := e.tryLogin(other.user, func(n *tokenjar.NewSession) {
			n.ID, n.Replaces, n.MaxPerUser = s.id, []string{other.id}, 1
		})
		wantError(e, err, tokenjar.ErrConflict)
		equal(e, "row", e.read(s), before)
		equal(e, "session to be replaced is live", live(e, other), true)
	})
	e.sub("user gone, disabled or of another epoch: nothing is opened and nothing ends", func(e *env) {
		disabled := e.user()
		_, err := e.SetUserActive(e.Context(), disabled, false)
		must(e, err)
		old := e.login(e.user())
		for name, change := range map[string]func(*tokenjar.NewSession){
			"gone":        func(n *tokenjar.NewSession) { n.UserID = newID() },
			"disabled":    func(n *tokenjar.NewSession) { n.UserID, n.AuthEpoch = disabled, 1 },
			"later epoch": func(n *tokenjar.NewSession) { n.AuthEpoch = 1 },
		} {
			s, ended, err := e.tryLogin(old.user, change, func(n *tokenjar.NewSession) {
				n.Replaces, n.MaxPerUser = []string{old.id}, 1
			})
			wantError(e, err, tokenjar.ErrInvalidCredentials)
			equal(e, name+": sessions ended", len(ended), 0)
			_, err = e.Session(e.Context(), s.id)
			wantError(e, err, tokenjar.ErrNotFound)
			equal(e, name+": old session is live", live(e, old), true)
		}
	})
	e.sub("epoch moved between password check and login: nothing is opened", func(e *env) {
		user := e.user()
		_, err := e.SetUserActive(e.Context(), user, false)
		must(e, err)
		_, err = e.SetUserActive(e.Context(), user, true)
		must(e, err)
		_, _, err = e.tryLogin(user)
		wantError(e, err, tokenjar.ErrInvalidCredentials)
		e.login(user, func(n *tokenjar.NewSession) { n.AuthEpoch = 1 })
	})
	e.sub("users that live elsewhere are not looked for", func(e *env) {
		s := e.login("somebody of another system", func(n *tokenjar.NewSession) { n.OwnUserStore = true; n.AuthEpoch = 7 })
		equal(e, "epoch", e.read(s).AuthEpoch, 7)
	})
	e.sub("list has a user's live sessions, the most recently used first", func(e *env) {
		user := e.user()
		a, b, c, d := e.login(user), e.login(user), e.login(user), e.login(user)
		e.login(e.user())
		e.clock.advance(time.Hour)
		e.want(rotated, a.show(1))
		e.clock.advance(time.Hour)
		e.want(rotated, c.show(1))
		_, err := e.RevokeSessions(e.Context(), user, []string{d.id}, tokenjar.ReasonLogout)
		must(e, err)
		equal(e, "list", ids(e, user), c.id+" "+a.id+" "+b.id)
		e.clock.set(noon.Add(timing.Idle))
		equal(e, "list when b is over", ids(e, user), c.id+" "+a.id)
		list, err := e.UserSessions(e.Context(), user)
		must(e, err)
		equal(e, "session in the list", list[0], e.read(c))
		equal(e, "read at", list[1].ReadAt, e.clock.now())
		equal(e, "list of an unknown user", ids(e, newID()), "")
	})
	e.sub("session is named by its user while it lives", func(e *env) {
		s, other := e.login(e.user()), e.user()
		must(e, e.RenameSession(e.Context(), s.user, s.id, "télé 📺"))
		equal(e, "name", e.read(s).Name, "télé 📺")
		must(e, e.RenameSession(e.Context(), s.user, s.id, ""))
		equal(e, "name", e.read(s).Name, "")
		wantError(e, e.RenameSession(e.Context(), other, s.id, "mine"), tokenjar.ErrNotFound)
		wantError(e, e.RenameSession(e.Context(), "", s.id, "mine"), tokenjar.ErrNotFound)
		wantError(e, e.RenameSession(e.Context(), s.user, newID(), "mine"), tokenjar.ErrNotFound)
		e.clock.set(e.read(s).IdleExpiresAt)
		wantError(e, e.RenameSession(e.Context(), s.user, s.id, "over"), tokenjar.ErrNotFound)
		e.clock.set(noon)
		_, err := e.RevokeSessions(e.Context(), s.user, []string{s.id}, tokenjar.ReasonLogout)
		must(e, err)
		wantError(e, e.RenameSession(e.Context(), s.user, s.id, "ended"), tokenjar.ErrNotFound)
		equal(e, "name", e.read(s).Name, "")
	})
	e.sub("marks of older generations and unknown sessions are passed over", func(e *env) {
		s, other := e.login(e.user()), e.login(e.user())
		e.want(rotated, s.show(1))
		must(e, e.MarkSeen(e.Context(), nil))
		must(e, e.MarkSeen(e.Context(), []tokenjar.Seen{
			{SessionID: newID(), Generation: 1}, {SessionID: s.id, Generation: 1}, {SessionID: s.id, Generation: 3},
			{SessionID: other.id, Generation: 1},
		}))
		equal(e, "seen", e.read(s).SuccessorSeen, false)
		equal(e, "seen, in the same call", e.read(other).SuccessorSeen, true)
		must(e, e.MarkSeen(e.Context(), []tokenjar.Seen{{SessionID: s.id, Generation: 2}, {SessionID: s.id, Generation: 2}}))
		equal(e, "seen", e.read(s).SuccessorSeen, true)
	})
}

func testLimits(t *testing.T, open opener) {
	e := start(t, open)
	limit := func(most int) func(*tokenjar.NewSession) {
		return func(n *tokenjar.NewSession) { n.MaxPerUser = most }
	}
	e.sub("S-13 the least recently used sessions make room", func(e *env) {
		user := e.user()
		a, b, c := e.login(user), e.login(user), e.login(user)
		stranger := e.login(e.user())
		e.clock.advance(time.Minute)
		e.want(rotated, a.show(1))
		s, ended, err := e.tryLogin(user, limit(2))
		must(e, err)
		equal(e, "ended", sorted(ended), sorted([]string{b.id, c.id}))
		equal(e, "list", ids(e, user), s.id+" "+a.id)
		equal(e, "reason", e.read(b).RevokeReason, tokenjar.ReasonSessionLimit)
		equal(e, "revoked at", e.read(b).RevokedAt, e.clock.now())
		equal(e, "another user's session is live", live(e, stranger), true)
	})
	e.sub("S-13 limit of one ends all others", func(e *env) {
		user := e.user()
		a, b := e.login(user), e.login(user)
		s, ended, err := e.tryLogin(user, limit(1))
		must(e, err)
		equal(e, "ended", sorted(ended), sorted([]string{a.id, b.id}))
		equal(e, "list", ids(e, user), s.id)
	})
	e.sub("limit that is not reached, or zero, ends nothing", func(e *env) {
		user := e.user()
		e.login(user)
		for _, most := range []int{2 + 1, 0, -1} {
			_, ended, err := e.tryLogin(user, limit(most))
			must(e, err)
			equal(e, "ended", len(ended), 0)
		}
	})
	e.sub("sessions that are over do not count", func(e *env) {
		user := e.user()
		old := e.login(user)
		e.clock.advance(timing.Idle)
		kept := e.login(user)
		_, ended, err := e.tryLogin(user, limit(2))
		must(e, err)
		equal(e, "ended", len(ended), 0)
		equal(e, "reason of the one that is over", e.read(old).RevokeReason, "")
		equal(e, "kept is live", live(e, kept), true)
	})
	e.sub("the new session stays although the clock stepped back", func(e *env) {
		e.clock.set(noon)
		user := e.user()
		old := e.login(user)
		e.clock.advance(-time.Hour)
		s, ended, err := e.tryLogin(user, limit(1))
		must(e, err)
		equal(e, "ended", strings.Join(ended, " "), old.id)
		equal(e, "new session is live", live(e, s), true)
	})
	e.sub("the session it replaces ends, whosever it is, and is not counted", func(e *env) {
		user := e.user()
		a, b := e.login(user), e.login(user)
		foreign := e.login(e.user())
		s, ended, err := e.tryLogin(user, limit(2), func(n *tokenjar.NewSession) {
			n.Replaces = []string{b.id, foreign.id, newID(), b.id}
		})
		must(e, err)
		equal(e, "ended", sorted(ended), sorted([]string{b.id, foreign.id}))
		equal(e, "reason", e.read(foreign).RevokeReason, tokenjar.ReasonReplaced)
		equal(e, "list", ids(e, user), strings.Join([]string{s.id, a.id}, " "))
	})
}

// live reports whether a session is live.
func live(e *env, s session) bool {
	e.Helper()
	row := e.read(s)
	return row.Live()
}

// ids returns the ids in a user's list.
func ids(e *env, user string) string {
	e.Helper()
	list, err := e.UserSessions(e.Context(), user)
	must(e, err)
	var text []string
	for _, row := range list {
		if row.UserID != user || !row.Live() {
			e.Fatalf("list of %s has %+v", user, row)
		}
		text = append(text, row.ID)
	}
	return strings.Join(text, " ")
}

func sorted(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(list, " ")
}
