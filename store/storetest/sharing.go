package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// elsewhereAgain is a third client.
func elsewhereAgain(r *tokenjar.Rotation) { r.UserAgent, r.IP = "a third agent", "203.0.113.9" }

func testSharing(t *testing.T, open opener) {
	e := start(t, open)
	e.sub("T-06 an answer that goes to another client is noted, once in each generation", func(e *env) {
		s := e.login(e.user())
		shows(1, rotated)(e, s)
		for _, step := range []struct {
			name   string
			change func(*tokenjar.Rotation)
			shared bool
		}{
			{"the same client", func(*tokenjar.Rotation) {}, false},
			{"another address of the same network", func(r *tokenjar.Rotation) { r.IP = "192.0.2.200" }, false},
			{"another client", elsewhere, true},
			{"the same again", elsewhere, false},
			{"a third client", elsewhereAgain, false},
		} {
			r := s.show(1)
			step.change(&r)
			v := e.want(replay, r)
			equal(e, step.name, v.Shared, step.shared)
		}
		row := e.read(s)
		equal(e, "shared", fmt.Sprint(row.SharedGen, row.SharedAt, row.SharedIP, row.SharedUserAgent),
			fmt.Sprint(2, e.clock.now(), "198.51.100.7", "another agent"))
		e.want(rotated, s.show(2))
		equal(e, "what was noted stays", e.read(s).SharedGen, 2)
		r := s.show(2)
		elsewhereAgain(&r)
		equal(e, "the next generation is noted anew", e.want(replay, r).Shared, true)
		equal(e, "user agent", e.read(s).SharedUserAgent, "a third agent")
	})
	e.sub("T-06 a client beyond the most replays is noted as well", func(e *env) {
		s := e.login(e.user())
		steps(shows(1, rotated), times(tokenjar.MaxReplays+5, shows(1, replay)))(e, s)
		r := s.show(1)
		elsewhere(&r)
		equal(e, "shared", e.want(replay, r).Shared, true)
	})
	e.sub("T-06 a late retry of another client is noted", func(e *env) {
		s := e.login(e.user())
		shows(1, rotated)(e, s)
		e.clock.advance(farTooLate)
		r := s.show(1)
		elsewhere(&r)
		equal(e, "shared", e.want(lateRetry, r).Shared, true)
	})
	e.sub("T-06 what was given from memory is noted where that is still news", func(e *env) {
		user := e.user()
		s, over, other := e.login(user), e.login(user), e.login(user)
		for _, each := range []session{s, over, other} {
			e.want(rotated, each.show(1))
		}
		revoked(tokenjar.ReasonLogout)(e, over)
		note := func(s session, gen int64) tokenjar.Shared {
			return tokenjar.Shared{SessionID: s.id, Generation: gen, IP: "198.51.100.7", UserAgent: "another agent"}
		}
		mark := func(want int, notes ...tokenjar.Shared) {
			e.Helper()
			got, err := e.MarkShared(e.Context(), notes)
			must(e, err)
			equal(e, "noted", len(got), want)
			for i := range got {
				equal(e, "note", got[i], notes[0])
			}
		}
		before := e.read(over)
		mark(0)
		mark(0, note(s, 1), note(s, 3), note(over, 2), note(session{id: newID()}, 2))
		equal(e, "row of the session that is over", e.read(over), before)
		equal(e, "row of another generation", e.read(s).SharedGen, 0)
		e.clock.advance(time.Second)
		mark(1, note(s, 2), note(s, 2))
		mark(0, note(s, 2))
		row := e.read(s)
		equal(e, "shared", fmt.Sprint(row.SharedGen, row.SharedAt, row.SharedIP, row.SharedUserAgent),
			fmt.Sprint(2, e.clock.now(), "198.51.100.7", "another agent"))
		equal(e, "another session", e.read(other).SharedGen, 0)
		r := s.show(1)
		elsewhere(&r)
		equal(e, "noted again by the store", e.want(replay, r).Shared, false)
	})
}

func testClaims(t *testing.T, open opener) {
	e := start(t, open)
	changes := func(e *env, since time.Time) string {
		e.Helper()
		news, err := e.News(e.Context(), since)
		must(e, err)
		text := ""
		for _, c := range news.ClaimsChanges {
			text += fmt.Sprintf("%s %d %d;", c.UserID, c.Generation, c.At.Sub(noon).Milliseconds())
		}
		return text
	}
	e.sub("S-06 a change of roles raises the generation of claims, and ends no session", func(e *env) {
		user := e.user()
		s := e.login(user)
		e.clock.advance(time.Second)
		must(e, e.SetUserRoles(e.Context(), user, tokenjar.Roles{Staff: true}))
		u := userOf(e, user)
		equal(e, "roles", fmt.Sprint(u.Staff, u.Superuser, u.ClaimsGen, u.AuthEpoch), "true false 1 0")
		equal(e, "changes", changes(e, noon), user+" 1 1000;")
		must(e, e.SetUserRoles(e.Context(), user, tokenjar.Roles{Staff: true}))
		e.clock.advance(time.Second)
		equal(e, "nothing changed", changes(e, noon), user+" 1 1000;")
		must(e, e.SetUserRoles(e.Context(), user, tokenjar.Roles{Superuser: true}))
		u = userOf(e, user)
		equal(e, "roles", fmt.Sprint(u.Staff, u.Superuser, u.ClaimsGen), "false true 2")
		equal(e, "changes since then, that time included", changes(e, e.clock.now()), user+" 2 2000;")
		equal(e, "changes after it", changes(e, e.clock.now().Add(time.Millisecond)), "")
		e.want(rotated, s.show(1))
		wantError(e, e.SetUserRoles(e.Context(), newID(), tokenjar.Roles{}), tokenjar.ErrNotFound)
	})
	e.sub("S-06 users of another store: the highest generation stays", func(e *env) {
		e.clock.set(noon.Add(time.Hour))
		const hour = 3600_000
		must(e, e.RaiseClaims(e.Context(), "somebody", 5))
		e.clock.advance(time.Second)
		for _, gen := range []int64{4, 5, 0, -1} {
			must(e, e.RaiseClaims(e.Context(), "somebody", gen))
		}
		equal(e, "changes", changes(e, noon.Add(time.Hour)), fmt.Sprintf("somebody 5 %d;", hour))
		must(e, e.RaiseClaims(e.Context(), "somebody", 6))
		must(e, e.RaiseClaims(e.Context(), "nobody", 0))
		equal(e, "changes", changes(e, noon.Add(time.Hour)), fmt.Sprintf("somebody 6 %d;", hour+1000))
	})
	e.sub("S-06 a change is kept as long as an older token may live", func(e *env) {
		e.clock.set(noon.Add(2 * time.Hour))
		at := e.clock.now()
		must(e, e.RaiseClaims(e.Context(), "late", 1))
		for _, row := range []struct {
			after time.Duration
			kept  bool
		}{{time.Minute, true}, {time.Minute + time.Millisecond, false}} {
			e.clock.set(at.Add(row.after))
			_, _, err := e.PruneSessions(e.Context(), time.Minute, 10)
			must(e, err)
			equal(e, fmt.Sprintf("kept after %s", row.after), changes(e, at) != "", row.kept)
		}
	})
	e.sub("a user is made with any generation", func(e *env) {
		id := newID()
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: id, Username: id, ClaimsGen: 9}))
		must(e, e.SetUserRoles(e.Context(), id, tokenjar.Roles{Staff: true}))
		equal(e, "generation", userOf(e, id).ClaimsGen, 10)
	})
}
