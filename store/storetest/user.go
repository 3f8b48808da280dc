package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

func testUsers(t *testing.T, open opener) {
	e := start(t, open)
	e.sub("user is read back equal, in UTC", func(e *env) {
		east := time.FixedZone("east", 5*3600)
		u := tokenjar.User{
			ID: newID(), Username: "Zoë", Email: "Zoe@Example.org", FirstName: "Zoë", LastName: "O'Hara; --",
			PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", Active: true, EmailVerified: true, Staff: true,
			Superuser: true, AuthEpoch: 3, LastLogin: noon.In(east), CreatedAt: noon.Add(-time.Hour).In(east),
		}
		must(e, e.CreateUser(e.Context(), u))
		u.LastLogin, u.CreatedAt = noon, noon.Add(-time.Hour)
		got, err := e.User(e.Context(), u.ID)
		must(e, err)
		equal(e, "user", got, u)
		for _, id := range []tokenjar.Identifier{
			{Username: "Zoë"}, {Username: "zOË"}, {Username: "Zoe\u0308"}, {Email: "zoe@example.ORG"},
		} {
			got, err := e.FindUser(e.Context(), id)
			must(e, err)
			equal(e, "user found by "+id.Username+id.Email, got, u)
		}
	})
	e.sub("zero times and flags stay zero, and the creation is now", func(e *env) {
		u := tokenjar.User{ID: newID(), Username: "nobody"}
		must(e, e.CreateUser(e.Context(), u))
		got, err := e.User(e.Context(), u.ID)
		must(e, err)
		u.CreatedAt = e.clock.now()
		equal(e, "user", got, u)
	})
	e.sub("name or address that is taken, by key: conflict, and nothing is added", func(e *env) {
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: newID(), Username: "Anna", Email: "anna@example.org"}))
		for _, u := range []tokenjar.User{
			{Username: "anna"}, {Username: "ANNA", Email: "other@example.org"},
			{Username: "Anna2", Email: "ANNA@example.org"},
		} {
			u.ID = newID()
			wantError(e, e.CreateUser(e.Context(), u), tokenjar.ErrConflict)
			_, err := e.User(e.Context(), u.ID)
			wantError(e, err, tokenjar.ErrNotFound)
		}
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: newID(), Username: "Anna2"}))
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: newID(), Username: "Anna3"})) // no address is not one address
	})
	e.sub("S-05 id that is taken: conflict", func(e *env) {
		id := e.user()
		err := e.CreateUser(e.Context(), tokenjar.User{ID: id, Username: "other", Email: "other3@example.org"})
		wantError(e, err, tokenjar.ErrConflict)
		_, err = e.FindUser(e.Context(), tokenjar.Identifier{Username: "other"})
		wantError(e, err, tokenjar.ErrNotFound)
	})
	e.sub("name or address without a key, or no id: invalid", func(e *env) {
		for _, u := range []tokenjar.User{
			{ID: newID(), Username: ""}, {ID: newID(), Username: "a@b"}, {ID: newID(), Username: "valid", Email: "no address"},
			{ID: "", Username: "valid"},
		} {
			err := e.CreateUser(e.Context(), u)
			if _, ok := errors.AsType[*tokenjar.ValidationError](err); !ok {
				e.Fatalf("user %+v: got %v, want a validation error", u, err)
			}
		}
	})
	e.sub("unknown users are not found", func(e *env) {
		for _, id := range []tokenjar.Identifier{
			{}, {Username: "unknown"}, {Email: "unknown@example.org"}, {Username: "a@b"}, {Email: "no address"},
			{Username: strings.Repeat("x", 100_000)}, {Username: "' OR 1=1 --"},
		} {
			_, err := e.FindUser(e.Context(), id)
			wantError(e, err, tokenjar.ErrNotFound)
		}
		_, err := e.User(e.Context(), newID())
		wantError(e, err, tokenjar.ErrNotFound)
		wantError(e, e.RecordLogin(e.Context(), newID(), tokenjar.LoginRecord{At: noon}), tokenjar.ErrNotFound)
		_, err = e.UpdateProfile(e.Context(), newID(), tokenjar.Profile{})
		wantError(e, err, tokenjar.ErrNotFound)
		for _, active := range []bool{true, false} {
			_, err = e.SetUserActive(e.Context(), newID(), active)
			wantError(e, err, tokenjar.ErrNotFound)
		}
	})
	e.sub("both a name and an address name nobody", func(e *env) {
		id := newID()
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: id, Username: "both", Email: "both@example.org"}))
		_, err := e.FindUser(e.Context(), tokenjar.Identifier{Username: "both", Email: "both@example.org"})
		wantError(e, err, tokenjar.ErrNotFound)
	})
	e.sub("login is recorded, and a hash is replaced only while it is the one that was checked", func(e *env) {
		id := newID()
		must(e, e.CreateUser(e.Context(), tokenjar.User{ID: id, Username: "rehash", PasswordHash: "old", AuthEpoch: 4}))
		for _, row := range []struct {
			rec  tokenjar.LoginRecord
			want tokenjar.PasswordHash
		}{
			{tokenjar.LoginRecord{At: noon}, "old"},
			{tokenjar.LoginRecord{At: noon.Add(1), OldHash: "other", NewHash: "lost update"}, "old"},
			{tokenjar.LoginRecord{At: noon.Add(time.Second), OldHash: "old", NewHash: "new"}, "new"},
			{tokenjar.LoginRecord{At: noon.Add(time.Minute), OldHash: "old", NewHash: "newer"}, "new"},
			{tokenjar.LoginRecord{At: noon.Add(time.Hour), OldHash: "new"}, "new"},
		} {
			must(e, e.RecordLogin(e.Context(), id, row.rec))
			got, err := e.User(e.Context(), id)
			must(e, err)
			equal(e, "hash", string(got.PasswordHash), string(row.want))
			equal(e, "last login", got.LastLogin, row.rec.At.Truncate(time.Millisecond))
			equal(e, "epoch", got.AuthEpoch, 4)
		}
	})
	e.sub("profile: only the fields that are set are changed", func(e *env) {
		id := e.user()
		text := func(s string) *string { return &s }
		for _, row := range []struct {
			change      tokenjar.Profile
			first, last string
		}{
			{tokenjar.Profile{FirstName: text("Ada")}, "Ada", ""},
			{tokenjar.Profile{LastName: text("Lovelace")}, "Ada", "Lovelace"},
			{tokenjar.Profile{}, "Ada", "Lovelace"},
			{tokenjar.Profile{FirstName: text(""), LastName: text("King")}, "", "King"},
		} {
			got, err := e.UpdateProfile(e.Context(), id, row.change)
			must(e, err)
			equal(e, "first name", got.FirstName, row.first)
			equal(e, "last name", got.LastName, row.last)
			read, err := e.User(e.Context(), id)
			must(e, err)
			equal(e, "user", read, got)
		}
	})
	e.sub("T-10 disabling moves the epoch and ends all sessions; enabling brings none back", func(e *env) {
		user := e.user()
		a, b := e.login(user), e.login(user)
		foreign := e.login(e.user())
		ended, err := e.SetUserActive(e.Context(), user, false)
		must(e, err)
		equal(e, "ended", sorted(ended), sorted([]string{a.id, b.id}))
		equal(e, "reason", e.read(a).RevokeReason, tokenjar.ReasonUserDisabled)
		equal(e, "foreign session is live", live(e, foreign), true)
		u, err := e.User(e.Context(), user)
		must(e, err)
		equal(e, "active", u.Active, false)
		equal(e, "epoch", u.AuthEpoch, 1)
		ended, err = e.SetUserActive(e.Context(), user, true)
		must(e, err)
		equal(e, "ended by enabling", len(ended), 0)
		u, err = e.User(e.Context(), user)
		must(e, err)
		equal(e, "active", u.Active, true)
		equal(e, "epoch after enabling", u.AuthEpoch, 1)
		e.want(tokenjar.OutcomeEnded, a.show(1))
	})
}

func testKeyRing(t *testing.T, open opener) {
	e := start(t, open)
	check := func(want string, wantVersion int64) {
		e.Helper()
		box, version, err := e.KeyRing(e.Context())
		must(e, err)
		equal(e, "box", string(box), want)
		equal(e, "version", version, wantVersion)
	}
	check("", 0)
	wantError(e, e.SaveKeyRing(e.Context(), []byte("too early"), 1), tokenjar.ErrConflict)
	check("", 0)
	first := []byte("\x00first\xff")
	must(e, e.SaveKeyRing(e.Context(), first, 0))
	first[0] = 'x' // the caller's slice is the caller's
	check("\x00first\xff", 1)
	box, _, err := e.KeyRing(e.Context())
	must(e, err)
	box[0] = 'x'
	check("\x00first\xff", 1)
	wantError(e, e.SaveKeyRing(e.Context(), []byte("again"), 0), tokenjar.ErrConflict)
	wantError(e, e.SaveKeyRing(e.Context(), []byte("future"), 2), tokenjar.ErrConflict)
	must(e, e.SaveKeyRing(e.Context(), []byte("second"), 1))
	wantError(e, e.SaveKeyRing(e.Context(), []byte("late"), 1), tokenjar.ErrConflict)
	check("second", 2)
}

// Every method with a context that is done fails, as a store that cannot tell, and changes nothing.
func testCancelled(t *testing.T, open opener) {
	e := start(t, open)
	user := e.user()
	s, other := e.login(user), e.login(user)
	must(e, e.SaveKeyRing(e.Context(), []byte("box"), 0))
	e.want(rotated, s.show(1))
	over := e.login(user)
	trail := []tokenjar.AuditEvent{{At: e.clock.now(), Name: "login.succeeded", UserID: user}}
	must(e, e.AppendAudit(e.Context(), trail))
	e.clock.advance(2 * timing.Idle)
	s2 := e.login(user)
	before, beforeOther, beforeUser := e.read(s), e.read(other), userOf(e, user)

	ctx := cancelled()
	name := "changed"
	for what, err := range map[string]error{
		"CreateSession": second(e.CreateSession(ctx, tokenjar.NewSession{
			ID: newID(), UserID: user, Timing: timing, MaxPerUser: 1, Replaces: []string{s2.id},
		})),
		"Session":            last(e.Session(ctx, s.id)),
		"Rotate":             last(e.Rotate(ctx, s2.show(1))),
		"Rotate, reuse":      last(e.Rotate(ctx, s2.show(5))),
		"MarkSeen":           e.MarkSeen(ctx, []tokenjar.Seen{{SessionID: s2.id, Generation: 1}}),
		"UserSessions":       last(e.UserSessions(ctx, user)),
		"RenameSession":      e.RenameSession(ctx, user, s2.id, name),
		"RevokeSessions":     last(e.RevokeSessions(ctx, user, []string{s2.id}, tokenjar.ReasonLogout)),
		"RevokeUserSessions": last(e.RevokeUserSessions(ctx, user, "", tokenjar.ReasonLogout)),
		"News":               last(e.News(ctx, noon)),
		"MarkShared":         last(e.MarkShared(ctx, []tokenjar.Shared{{SessionID: s2.id, Generation: 1, IP: "changed"}})),
		"MarkUndelivered":    e.MarkUndelivered(ctx, []tokenjar.Undelivered{{SessionID: s2.id, Generation: 1}}),
		"RaiseClaims":        e.RaiseClaims(ctx, user, 7),
		"SetUserRoles":       e.SetUserRoles(ctx, user, tokenjar.Roles{Staff: true}),
		"PruneSessions":      second(e.PruneSessions(ctx, 0, 10)),
		"KeyRing":            second(e.KeyRing(ctx)),
		"SaveKeyRing":        e.SaveKeyRing(ctx, []byte("changed"), 1),
		"FindUser":           last(e.FindUser(ctx, tokenjar.Identifier{Username: "unknown"})),
		"User":               last(e.User(ctx, newID())),
		"RecordLogin":        e.RecordLogin(ctx, user, tokenjar.LoginRecord{At: noon, NewHash: "changed"}),
		"UpdateProfile":      last(e.UpdateProfile(ctx, user, tokenjar.Profile{FirstName: &name})),
		"CreateUser":         e.CreateUser(ctx, tokenjar.User{ID: newID(), Username: "changed"}),
		"SetUserActive":      last(e.SetUserActive(ctx, user, false)),
		"Users":              last(e.Users(ctx, "", 10)),
		"SetPassword":        last(e.SetPassword(ctx, tokenjar.PasswordChange{UserID: user, NewHash: "changed"})),
		"DeleteUser":         last(e.DeleteUser(ctx, user)),
		"AppendAudit":        e.AppendAudit(ctx, []tokenjar.AuditEvent{{Name: "changed"}}),
		"AuditTrail":         last(e.AuditTrail(ctx, tokenjar.AuditFilter{})),
		"PruneAudit":         last(e.PruneAudit(ctx, 0, 10)),
	} {
		t.Run(what, func(t *testing.T) { wantError(t, err, tokenjar.ErrStoreUnavailable) })
	}
	equal(e, "session", e.read(s), before)
	equal(e, "other session", e.read(other), beforeOther)
	equal(e, "user", userOf(e, user), beforeUser)
	equal(e, "list", ids(e, user), s2.id)
	equal(e, "seen", e.read(s2).SuccessorSeen, false)
	equal(e, "shared", e.read(s2).SharedGen, 0)
	news, err := e.News(e.Context(), time.Time{})
	must(e, err)
	equal(e, "claims changes", len(news.ClaimsChanges), 0)
	equal(e, "name", e.read(s2).Name, "")
	equal(e, "generation", e.read(over).Generation, 1)
	box, version, err := e.KeyRing(e.Context())
	must(e, err)
	equal(e, "key ring", string(box), "box")
	equal(e, "key ring version", version, 1)
	_, err = e.FindUser(e.Context(), tokenjar.Identifier{Username: "changed"})
	wantError(e, err, tokenjar.ErrNotFound)
	wantTrail(e, tokenjar.AuditFilter{}, trail...)
}

func last[T any](_ T, err error) error           { return err }
func second[T, U any](_ T, _ U, err error) error { return err }
func userOf(e *env, user string) tokenjar.User {
	e.Helper()
	u, err := e.User(e.Context(), user)
	must(e, err)
	return u
}

// What was acknowledged is there when the store is opened again.
func testReopened(t *testing.T, open opener) {
	e := start(t, open)
	user := e.user()
	a, b, c := e.login(user), e.login(user), e.login(user)
	e.want(rotated, a.show(1))
	e.want(rotated, a.show(2))
	e.want(tokenjar.OutcomeReused, b.show(7))
	_, err := e.RevokeSessions(e.Context(), user, []string{c.id}, tokenjar.ReasonLogout)
	must(e, err)
	must(e, e.SaveKeyRing(e.Context(), []byte("box"), 0))
	deleted, other := e.user(), e.user()
	_, err = e.DeleteUser(e.Context(), deleted)
	must(e, err)
	otherSession := e.login(other)
	_, err = e.SetPassword(e.Context(), tokenjar.PasswordChange{UserID: other, NewHash: "new", Keep: otherSession.id})
	must(e, err)
	must(e, e.SetUserRoles(e.Context(), other, tokenjar.Roles{Staff: true}))
	trail := []tokenjar.AuditEvent{{At: noon, Name: "password.changed", UserID: other, Detail: map[string]string{"a": "b"}}}
	must(e, e.AppendAudit(e.Context(), trail))
	rows := []tokenjar.Session{e.read(a), e.read(b), e.read(c), e.read(otherSession)}
	before := userOf(e, user)

	e.Store = e.Store.(Reopener).Reopen(t)
	for i, s := range []session{a, b, c, otherSession} {
		equal(e, "session", e.read(s), rows[i])
	}
	equal(e, "user", userOf(e, user), before)
	equal(e, "password", string(userOf(e, other).PasswordHash), "new")
	_, err = e.User(e.Context(), deleted)
	wantError(e, err, tokenjar.ErrNotFound)
	wantError(e, e.CreateUser(e.Context(), tokenjar.User{ID: deleted, Username: "back"}), tokenjar.ErrConflict)
	wantTrail(e, tokenjar.AuditFilter{}, trail...)
	box, version, err := e.KeyRing(e.Context())
	must(e, err)
	equal(e, "key ring", string(box), "box")
	equal(e, "key ring version", version, 1)
	news, err := e.News(e.Context(), noon)
	must(e, err)
	equal(e, "S-19 revocations", len(news.Revocations), 2)
	equal(e, "S-06 claims changes", fmt.Sprint(news.ClaimsChanges), fmt.Sprint([]tokenjar.ClaimsChange{{UserID: other, Generation: 1, At: noon}}))
	e.want(replay, a.show(2))
	e.want(rotated, a.show(3))
	e.want(tokenjar.OutcomeReused, b.show(1))
	e.want(tokenjar.OutcomeEnded, c.show(1))
}
