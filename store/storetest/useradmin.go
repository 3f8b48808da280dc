package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// userWith adds an active user of that password hash and returns the id.
func (e *env) userWith(hash tokenjar.PasswordHash) string {
	e.Helper()
	id := newID()
	must(e, e.CreateUser(e.Context(), tokenjar.User{ID: id, Username: id, PasswordHash: hash, Active: true}))
	return id
}

func testUserPages(t *testing.T, open opener) {
	e := start(t, open)
	pages := func(after string, limit int) (names []string) {
		e.Helper()
		list, err := e.Users(e.Context(), after, limit)
		must(e, err)
		for _, u := range list {
			read, err := e.User(e.Context(), u.ID)
			must(e, err)
			equal(e, "user on the page", u, read)
			names = append(names, u.ID)
		}
		return names
	}
	equal(e, "users of an empty store", len(pages("", 10)), 0)
	for _, id := range []string{"b", "a", "B", "ä", "a1", "'", "%"} {
		must(e, e.CreateUser(e.Context(), tokenjar.User{
			ID: id, Username: "user-" + fmt.Sprintf("%x", id), Email: fmt.Sprintf("%x@example.org", id), PasswordHash: "hash",
			AuthEpoch: 3, LastLogin: noon,
		}))
	}
	for _, row := range []struct {
		after string
		limit int
		want  string
	}{
		{"", 100, "% ' B a a1 b ä"}, // by bytes
		{"", 3, "% ' B"}, {"B", 3, "a a1 b"}, {"b", 3, "ä"}, {"ä", 3, ""},
		{"a0", 1, "a1"}, {"zz", 10, "ä"}, // after an id that nobody has
		{"", 0, "% ' B a a1 b ä"}, {"a", -1, "a1 b ä"}, {"", 1001, "% ' B a a1 b ä"},
	} {
		equal(e, fmt.Sprintf("page of %d after %q", row.limit, row.after), strings.Join(pages(row.after, row.limit), " "), row.want)
	}
	_, err := e.DeleteUser(e.Context(), "a1")
	must(e, err)
	equal(e, "page after the id of a deleted user", strings.Join(pages("a1", 10), " "), "b ä")

	const many = 1005
	for i := range many {
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: fmt.Sprintf("many-%04d", i), Username: fmt.Sprintf("many-%04d", i)}))
	}
	for _, limit := range []int{0, -5, 1001, 1 << 40} {
		list, err := e.Users(e.Context(), "many", limit)
		must(e, err)
		equal(e, fmt.Sprintf("users on a page of %d", limit), len(list), 1000)
	}
	list, err := e.Users(e.Context(), "many-0999", 0)
	must(e, err)
	equal(e, "users after the first thousand", len(list), many-1000+1) // and ä
}

func testSetPassword(t *testing.T, open opener) {
	e := start(t, open)
	change := func(p tokenjar.PasswordChange) []string {
		e.Helper()
		ended, err := e.SetPassword(e.Context(), p)
		must(e, err)
		return ended
	}
	e.sub("S-03 all sessions but the kept one end, and it goes on with the new epoch", func(e *env) {
		user := e.userWith("old")
		kept, other, third := e.login(user), e.login(user), e.login(user)
		foreign := e.login(e.user())
		e.want(rotated, kept.show(1))
		must(e, e.RenameSession(e.Context(), user, kept.id, "phone"))
		want := e.read(kept)
		e.clock.advance(time.Minute)
		ended := change(tokenjar.PasswordChange{UserID: user, OldHash: "old", NewHash: "new", Keep: kept.id})
		equal(e, "ended", sorted(ended), sorted([]string{other.id, third.id}))
		want.AuthEpoch, want.AuthTime, want.ReadAt = 1, e.clock.now(), e.clock.now()
		equal(e, "row of the kept session", e.read(kept), want)
		u := userOf(e, user)
		equal(e, "hash", string(u.PasswordHash), "new")
		equal(e, "epoch", u.AuthEpoch, 1)
		equal(e, "active", u.Active, true)
		row := e.read(other)
		equal(e, "reason", row.RevokeReason, tokenjar.ReasonPasswordChanged)
		equal(e, "revoked at", row.RevokedAt, e.clock.now())
		equal(e, "foreign session is live", live(e, foreign), true)

		e.want(staleUser, kept.show(2)) // the user as read before
		r := kept.show(1)
		r.AuthEpoch = 1
		e.want(tokenjar.OutcomeLateRetry, r) // a lost answer may be asked for as before
		r = kept.show(2)
		r.AuthEpoch = 1
		e.want(rotated, r)
		e.want(tokenjar.OutcomeEnded, other.show(1))
		_, _, err := e.tryLogin(user)
		wantError(e, err, tokenjar.ErrInvalidCredentials) // the hash was checked before the change
		e.login(user, func(n *tokenjar.NewSession) { n.AuthEpoch = 1 })
	})
	e.sub("S-03 the same session is kept time after time", func(e *env) {
		user := e.user()
		s := e.login(user)
		for epoch := int64(1); epoch <= 3; epoch++ {
			equal(e, "ended", len(change(tokenjar.PasswordChange{UserID: user, NewHash: "new", Keep: s.id})), 0)
			equal(e, "epoch", e.read(s).AuthEpoch, epoch)
		}
	})
	e.sub("S-03 nobody is kept: all sessions end", func(e *env) {
		user := e.user()
		a, b := e.login(user), e.login(user)
		equal(e, "ended", sorted(change(tokenjar.PasswordChange{UserID: user, NewHash: "new"})), sorted([]string{a.id, b.id}))
		equal(e, "live sessions", ids(e, user), "")
	})
	e.sub("S-03 another user's session to be kept: nothing of theirs is touched", func(e *env) {
		user := e.user()
		own, foreign := e.login(user), e.login(e.user())
		before := e.read(foreign)
		ended := change(tokenjar.PasswordChange{UserID: user, NewHash: "new", Keep: foreign.id})
		equal(e, "ended", strings.Join(ended, " "), own.id)
		equal(e, "foreign session", e.read(foreign), before)
	})
	e.sub("S-03 what is not a live session of the user is not kept, nor brought back", func(e *env) {
		user := e.user()
		gone := e.login(user)
		_, err := e.RevokeSessions(e.Context(), user, []string{gone.id}, tokenjar.ReasonLogout)
		must(e, err)
		before := e.read(gone)
		for epoch, id := range []string{gone.id, newID(), "' OR 1=1 --"} {
			other := e.login(user, func(n *tokenjar.NewSession) { n.AuthEpoch = int64(epoch) })
			ended := change(tokenjar.PasswordChange{UserID: user, NewHash: "new", Keep: id})
			equal(e, "ended", strings.Join(ended, " "), other.id)
		}
		equal(e, "revoked session", e.read(gone), before)
	})
	e.sub("S-03 a session of another epoch than the one so far is not kept", func(e *env) {
		for _, epoch := range []int64{-1, 1, 2} {
			user := e.user()
			s := e.login(user, func(n *tokenjar.NewSession) { n.AuthEpoch, n.OwnUserStore = epoch, true })
			ended := change(tokenjar.PasswordChange{UserID: user, NewHash: "new", Keep: s.id})
			equal(e, "ended", strings.Join(ended, " "), s.id)
			equal(e, "epoch", e.read(s).AuthEpoch, epoch)
		}
	})
	e.sub("S-03 a session that is over is revoked instead of kept, so that no clock brings it back", func(e *env) {
		defer e.clock.set(e.clock.now())
		back := e.clock.now()
		user := e.user()
		s := e.login(user)
		e.clock.set(e.read(s).IdleExpiresAt)
		equal(e, "ended", strings.Join(change(tokenjar.PasswordChange{UserID: user, NewHash: "new", Keep: s.id}), " "), s.id)
		e.clock.set(back)
		r := s.show(1)
		r.AuthEpoch = 1
		e.want(tokenjar.OutcomeEnded, r)
		equal(e, "reason", e.read(s).RevokeReason, tokenjar.ReasonPasswordChanged)
	})
	e.sub("a change that was made before is reported as done, and ends no session that came after it", func(e *env) {
		user := e.userWith("old")
		kept := e.login(user)
		p := tokenjar.PasswordChange{UserID: user, OldHash: "old", NewHash: "new", Keep: kept.id}
		change(p)
		after := e.login(user, func(n *tokenjar.NewSession) { n.AuthEpoch = 1 })
		before := userOf(e, user)
		for _, keep := range []string{kept.id, ""} {
			p.Keep = keep
			equal(e, "ended", len(change(p)), 0)
		}
		equal(e, "user", userOf(e, user), before)
		equal(e, "kept session is live", live(e, kept), true)
		equal(e, "later session is live", live(e, after), true)

		change(tokenjar.PasswordChange{UserID: user, OldHash: "new", NewHash: "newer", Keep: kept.id})
		_, err := e.SetPassword(e.Context(), p) // its own answer is too old to be given
		wantError(e, err, tokenjar.ErrConflict)
		equal(e, "hash", string(userOf(e, user).PasswordHash), "newer")
	})
	e.sub("nobody's password is taken for one that was set", func(e *env) {
		user := e.userWith("")
		_, err := e.SetPassword(e.Context(), tokenjar.PasswordChange{UserID: user, OldHash: "old"})
		wantError(e, err, tokenjar.ErrConflict)
	})
	e.sub("hash that was replaced meanwhile: conflict, and nothing changes", func(e *env) {
		user := e.userWith("now")
		s := e.login(user)
		before, row := userOf(e, user), e.read(s)
		for _, old := range []tokenjar.PasswordHash{"before", "NOW", "now "} {
			ended, err := e.SetPassword(e.Context(), tokenjar.PasswordChange{UserID: user, OldHash: old, NewHash: "new", Keep: s.id})
			wantError(e, err, tokenjar.ErrConflict)
			equal(e, "ended", len(ended), 0)
		}
		equal(e, "user", userOf(e, user), before)
		equal(e, "session", e.read(s), row)
	})
	e.sub("disabled account gets a password and stays disabled", func(e *env) {
		user := e.user()
		_, err := e.SetUserActive(e.Context(), user, false)
		must(e, err)
		change(tokenjar.PasswordChange{UserID: user, NewHash: "new"})
		equal(e, "active", userOf(e, user).Active, false)
		equal(e, "hash", string(userOf(e, user).PasswordHash), "new")
	})
	e.sub("unknown user is not found", func(e *env) {
		s := e.login(e.user())
		for _, old := range []tokenjar.PasswordHash{"", "old"} {
			_, err := e.SetPassword(e.Context(), tokenjar.PasswordChange{UserID: newID(), OldHash: old, NewHash: "new", Keep: s.id})
			wantError(e, err, tokenjar.ErrNotFound)
		}
		equal(e, "session is live", live(e, s), true)
	})
}

func testDeleteUser(t *testing.T, open opener) {
	e := start(t, open)
	e.sub("S-05 sessions end, name and address become free, and who takes them inherits nothing", func(e *env) {
		old := tokenjar.User{
			ID: newID(), Username: "Anna", Email: "anna@example.org", PasswordHash: "hash", Active: true, Staff: true, AuthEpoch: 4,
		}
		must(e, e.CreateUser(e.Context(), old))
		s := e.login(old.ID, func(n *tokenjar.NewSession) { n.AuthEpoch = 4 })
		other := e.login(old.ID, func(n *tokenjar.NewSession) { n.AuthEpoch = 4 })
		foreign := e.login(e.user())
		ended, err := e.DeleteUser(e.Context(), old.ID)
		must(e, err)
		equal(e, "ended", sorted(ended), sorted([]string{s.id, other.id}))
		equal(e, "reason", e.read(s).RevokeReason, tokenjar.ReasonUserDisabled)
		equal(e, "foreign session is live", live(e, foreign), true)
		_, err = e.User(e.Context(), old.ID)
		wantError(e, err, tokenjar.ErrNotFound)
		for _, id := range []tokenjar.Identifier{{Username: "Anna"}, {Email: "anna@example.org"}} {
			_, err = e.FindUser(e.Context(), id)
			wantError(e, err, tokenjar.ErrNotFound)
		}
		_, _, err = e.tryLogin(old.ID, func(n *tokenjar.NewSession) { n.AuthEpoch = 4 })
		wantError(e, err, tokenjar.ErrInvalidCredentials)

		again := tokenjar.User{ID: newID(), Username: "anna", Email: "ANNA@example.org", Active: true, AuthEpoch: 4}
		must(e, e.CreateUser(e.Context(), again))
		again.CreatedAt = e.clock.now()
		equal(e, "user of that name", userOf(e, again.ID), again)
		equal(e, "sessions of the new user", ids(e, again.ID), "")
		r := s.show(1)
		r.AuthEpoch = 4
		e.want(tokenjar.OutcomeEnded, r)
		r.UserID = again.ID
		e.want(tokenjar.OutcomeEnded, r)
	})
	e.sub("S-05 the id of a deleted account is never given again", func(e *env) {
		id := e.user()
		_, err := e.DeleteUser(e.Context(), id)
		must(e, err)
		for _, name := range []string{id, "another-name"} {
			wantError(e, e.CreateUser(e.Context(), tokenjar.User{ID: id, Username: name, Active: true}), tokenjar.ErrConflict)
		}
		_, err = e.FindUser(e.Context(), tokenjar.Identifier{Username: "another-name"})
		wantError(e, err, tokenjar.ErrNotFound)
	})
	e.sub("user without an address is deleted, and addresses of others stay taken", func(e *env) {
		id := e.user()
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: newID(), Username: "keeper", Email: "keeper@example.org"}))
		_, err := e.DeleteUser(e.Context(), id)
		must(e, err)
		err = e.CreateUser(e.Context(), tokenjar.User{ID: newID(), Username: "taker", Email: "keeper@example.org"})
		wantError(e, err, tokenjar.ErrConflict)
	})
	e.sub("one that was deleted before is reported as deleted, and nothing more happens", func(e *env) {
		id := e.user()
		s := e.login(id)
		_, err := e.DeleteUser(e.Context(), id)
		must(e, err)
		row := e.read(s)
		for range 2 {
			e.clock.advance(time.Minute)
			ended, err := e.DeleteUser(e.Context(), id)
			must(e, err)
			equal(e, "ended", len(ended), 0)
		}
		row.ReadAt = e.clock.now()
		equal(e, "session", e.read(s), row)
		_, err = e.User(e.Context(), id)
		wantError(e, err, tokenjar.ErrNotFound)
	})
	e.sub("unknown user is not found", func(e *env) {
		for _, id := range []string{newID(), ""} {
			ended, err := e.DeleteUser(e.Context(), id)
			wantError(e, err, tokenjar.ErrNotFound)
			equal(e, "ended", len(ended), 0)
		}
	})
}
