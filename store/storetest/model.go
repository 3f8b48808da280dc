package storetest

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar"
)

// The model is what a session is, told without a store: which tokens there have been, and when. It shares no code with
// Session.Judge. Random stories are played to the store and to the model, and after every action all rows are compared;
// a story that fails is shortened by rapid until it can be read.

// A family is one session in the model.
type family struct {
	session
	remember      bool
	epoch         int64
	authTime      time.Time
	newest        int64     // token
	by            string    // user agent that made it the newest; all are of one address
	madeAt        time.Time // when the newest was made
	lastUse       time.Time
	idleEnd       time.Time
	end           time.Time
	seen          bool
	replays       int
	lateAt        map[int64]time.Time // token that was made newest by the rotation whose answer was given late: when
	lateBy        string              // whom an answer was last given to late
	undelivered   int64               // token whose answer was last noted not to have begun
	undeliveredAt time.Time           // when that was
	name          string
	revoked       tokenjar.Reason
	at            time.Time // of the revocation
	pruned        bool
}

func (f *family) over(now time.Time) bool { return !f.idleEnd.After(now) || !f.end.After(now) }
func (f *family) live(now time.Time) bool { return !f.pruned && f.revoked == "" && !f.over(now) }

func (f *family) revoke(why tokenjar.Reason, now time.Time) bool {
	if f.pruned || f.revoked != "" {
		return false
	}
	f.revoked, f.at = why, now
	return true
}

// answersAgain reports whether the predecessor of the newest token would be answered, and as what: who asks, or, of nobody,
// somebody.
func (f *family) answersAgain(who string, now time.Time) (tokenjar.Outcome, bool) {
	from, waits := []time.Time{f.madeAt}, f.by
	if at, ok := f.lateAt[f.newest]; ok {
		from, waits = append(from, at), f.lateBy
	}
	near := func(at time.Time, most time.Duration) bool {
		d := now.Sub(at)
		return -time.Second <= d && d <= most
	}
	for _, at := range from {
		if near(at, timing.Grace) {
			return tokenjar.OutcomeGraceReplay, true
		}
	}
	answered := slices.MaxFunc(from, time.Time.Compare)
	if f.undelivered == f.newest && near(f.undeliveredAt, timing.Grace) && near(answered, time.Minute) && (who == "" || who == waits) {
		return tokenjar.OutcomeGraceReplay, true
	}
	if f.seen || f.newest == 1 {
		return "", false
	}
	for token := f.newest - 2; token <= f.newest; token++ {
		if _, granted := f.lateAt[token]; granted {
			return "", false
		}
	}
	return tokenjar.OutcomeLateRetry, true
}

// spend is the rotation table once more.
func (f *family) spend(token int64, who string, u *account, epoch int64, passive bool, now time.Time) tokenjar.Outcome {
	switch {
	case f.pruned, f.over(now):
		return tokenjar.OutcomeEnded
	case f.revoked == tokenjar.ReasonReuse:
		return tokenjar.OutcomeReused
	case f.revoked != "":
		return tokenjar.OutcomeEnded
	case !u.active:
		f.revoke(tokenjar.ReasonUserDisabled, now)
		return tokenjar.OutcomeEnded
	case epoch < f.epoch:
		return tokenjar.OutcomeStaleUser
	case epoch > f.epoch:
		f.revoke(tokenjar.ReasonPasswordChanged, now)
		return tokenjar.OutcomeEnded
	case token == f.newest:
		f.newest++
		f.madeAt, f.by, f.seen, f.replays = now, who, false, 0
		if !passive {
			idle := timing.Idle
			if f.remember {
				idle = timing.RememberIdle
			}
			f.lastUse = now
			f.idleEnd = now.Add(idle).Truncate(time.Second)
			if f.idleEnd.After(f.end) {
				f.idleEnd = f.end
			}
		}
		return tokenjar.OutcomeRotated
	case token == f.newest-1:
		switch o, ok := f.answersAgain(who, now); {
		case ok && o == tokenjar.OutcomeLateRetry:
			f.lateAt[f.newest], f.lateBy = now, who
			return o
		case ok:
			f.replays = min(f.replays+1, tokenjar.MaxReplays+1)
			return o
		}
	}
	f.revoke(tokenjar.ReasonReuse, now)
	return tokenjar.OutcomeReused
}

// An account is a user in the model.
type account struct {
	id      string
	name    string
	active  bool
	deleted bool
	epoch   int64
	hash    tokenjar.PasswordHash
}

// A world is a store and its model. It is what rapid's actions work on.
type world struct {
	*rapid.T
	Store
	clock    *clock
	since    time.Time // of the first revocation
	users    []*account
	families []*family
}

func testModel(t *testing.T, open opener) {
	// Two dozen stories in an ordinary run; -rapid.checks asks for more.
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if !set {
		flag.Set("rapid.checks", "24")
		defer flag.Set("rapid.checks", "100")
	}
	e := start(t, open)
	base := noon
	rapid.Check(t, func(rt *rapid.T) {
		// One store serves all stories: each has users of its own, and begins when the one before it is long over.
		base = base.Add(1000 * 24 * time.Hour)
		e.clock.set(base)
		w := &world{T: rt, Store: e.Store, clock: e.clock, since: base.Add(-30 * 24 * time.Hour)}
		for range 2 {
			w.newUser(rt, newID())
		}
		for len(w.families) == 0 { // a login may be refused
			w.login(rt)
		}
		actions := map[string]func(*rapid.T){
			"":                   w.compare,
			"login":              w.login,
			"spend":              w.spend,
			"spend newest":       w.spendNewest,
			"parallel":           w.parallel,
			"mark seen":          w.markSeen,
			"mark undelivered":   w.markUndelivered,
			"revoke one":         w.revokeOne,
			"revoke others":      w.revokeOthers,
			"disable or enable":  w.setActive,
			"change password":    w.setPassword,
			"delete user":        w.deleteUser,
			"rename":             w.rename,
			"advance clock":      w.advance,
			"step clock back":    w.stepBack,
			"prune":              w.prune,
			"advance to a limit": w.advanceToLimit,
		}
		if _, ok := w.Store.(Reopener); ok {
			actions["reopen"] = func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "one in ten") == 0 {
					e.Store = e.Store.(Reopener).Reopen(t)
					w.Store = e.Store
				}
			}
		}
		rt.Repeat(actions)
	})
}

func (w *world) now() time.Time { return w.clock.now() }

func (w *world) family(rt *rapid.T) *family {
	return rapid.SampledFrom(w.families).Draw(rt, "session")
}

func (w *world) owner(f *family) *account {
	i := slices.IndexFunc(w.users, func(u *account) bool { return u.id == f.user })
	return w.users[i]
}

func (w *world) newUser(rt *rapid.T, name string) {
	u := &account{id: newID(), name: name, active: true, hash: "first"}
	must(w, w.CreateUser(rt.Context(), tokenjar.User{ID: u.id, Username: name, PasswordHash: u.hash, Active: true}))
	w.users = append(w.users, u)
}

func (w *world) login(rt *rapid.T) {
	u := rapid.SampledFrom(w.users).Draw(rt, "user")
	now := w.now()
	s := session{id: newID(), user: u.id}
	n := tokenjar.NewSession{
		ID: s.id, UserID: u.id, AuthEpoch: u.epoch, First: s.hash(1), Timing: timing,
		Remember: rapid.Bool().Draw(rt, "remember"), MaxPerUser: rapid.SampledFrom([]int{0, 2, 4}).Draw(rt, "cap"),
	}
	if stale := rapid.IntRange(0, 4).Draw(rt, "stale epoch") == 4; stale {
		n.AuthEpoch--
	}
	if len(w.families) > 0 && rapid.Bool().Draw(rt, "replaces") {
		n.Replaces = []string{w.family(rt).id}
	}
	_, ended, err := w.CreateSession(rt.Context(), n)
	if !u.active || n.AuthEpoch != u.epoch {
		wantError(rt, err, tokenjar.ErrInvalidCredentials)
		return
	}
	must(rt, err)

	var want []string
	var live []*family
	for _, f := range w.families {
		if slices.Contains(n.Replaces, f.id) && f.revoke(tokenjar.ReasonReplaced, now) {
			want = append(want, f.id)
		} else if f.user == u.id && f.live(now) {
			live = append(live, f)
		}
	}
	slices.SortFunc(live, newestFirst)
	if n.MaxPerUser > 0 {
		for _, f := range live[min(n.MaxPerUser-1, len(live)):] {
			f.revoke(tokenjar.ReasonSessionLimit, now)
			want = append(want, f.id)
		}
	}
	equal(rt, "sessions ended by a login", sorted(ended), sorted(want))
	idle := timing.Idle
	if n.Remember {
		idle = timing.RememberIdle
	}
	w.families = append(w.families, &family{
		session: s, remember: n.Remember, epoch: u.epoch, authTime: now, newest: 1, madeAt: now, lastUse: now,
		idleEnd: now.Add(idle).Truncate(time.Second), end: now.Add(timing.Absolute).Truncate(time.Second),
		lateAt: make(map[int64]time.Time),
	})
}

func newestFirst(a, b *family) int {
	if c := b.lastUse.Compare(a.lastUse); c != 0 {
		return c
	}
	if a.id < b.id {
		return 1
	}
	return -1
}

func (w *world) spend(rt *rapid.T) {
	f := w.family(rt)
	// Newest, parent and grandparent, and now and then one that was never made.
	w.show(rt, f, f.newest-rapid.SampledFrom([]int64{0, 1, 1, 1, 2, 3, -1}).Draw(rt, "how old"))
}

func (w *world) spendNewest(rt *rapid.T) {
	f := w.family(rt)
	w.show(rt, f, f.newest)
}

func (w *world) rotation(f *family, token int64) tokenjar.Rotation {
	u := w.owner(f)
	r := f.show(token)
	r.AuthEpoch, r.UserGone = u.epoch, !u.active
	return r
}

func (w *world) show(rt *rapid.T, f *family, token int64) {
	r := w.rotation(f, token)
	r.Passive = rapid.Bool().Draw(rt, "passive")
	r.UserAgent = rapid.SampledFrom([]string{r.UserAgent, r.UserAgent, "another agent"}).Draw(rt, "who")
	if rapid.IntRange(0, 4).Draw(rt, "user read before the last change") == 4 {
		r.AuthEpoch--
	}
	was := f.revoked
	want := f.spend(token, r.UserAgent, w.owner(f), r.AuthEpoch, r.Passive, w.now())
	v, err := w.Rotate(rt.Context(), r)
	must(rt, err)
	equal(rt, fmt.Sprintf("outcome of token %d, the newest being %d", token, f.newest), v.Outcome, want)
	equal(rt, "revoked by this verdict", v.Revoked, was != f.revoked)
	if v.Outcome.Successful() {
		equal(rt, "successor", v.Session.CurrentHash, f.hash(token+1))
	}
}

func (w *world) parallel(rt *rapid.T) {
	f := w.family(rt)
	n := rapid.IntRange(2, 8).Draw(rt, "at once")
	token := f.newest
	r := w.rotation(f, token)
	want := make(map[tokenjar.Outcome]int)
	for range n {
		want[f.spend(token, r.UserAgent, w.owner(f), r.AuthEpoch, false, w.now())]++
	}
	got := make(map[tokenjar.Outcome]int)
	for _, a := range together(n, func(int) answer {
		v, err := w.Rotate(rt.Context(), r)
		return answer{v, err}
	}) {
		must(rt, a.err)
		got[a.verdict.Outcome]++
	}
	equal(rt, "outcomes", fmt.Sprint(got), fmt.Sprint(want))
}

func (w *world) markSeen(rt *rapid.T) {
	f := w.family(rt)
	gen := f.newest - rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(rt, "how old")
	must(rt, w.MarkSeen(rt.Context(), []tokenjar.Seen{{SessionID: f.id, Generation: gen}}))
	f.seen = f.seen || gen == f.newest
}

func (w *world) markUndelivered(rt *rapid.T) {
	f := w.family(rt)
	gen := f.newest - rapid.SampledFrom([]int64{0, 0, 0, 1, -1}).Draw(rt, "how old")
	must(rt, w.MarkUndelivered(rt.Context(), []tokenjar.Undelivered{{SessionID: f.id, Generation: gen}}))
	if gen == f.newest && !f.seen && f.live(w.now()) {
		f.undelivered, f.undeliveredAt = gen, w.now()
	}
}

func (w *world) revokeOne(rt *rapid.T) {
	f, asker := w.family(rt), rapid.SampledFrom(w.users).Draw(rt, "who asks")
	var want []string
	if f.user == asker.id && f.revoke(tokenjar.ReasonEndedByUser, w.now()) {
		want = append(want, f.id)
	}
	ended, err := w.RevokeSessions(rt.Context(), asker.id, []string{f.id}, tokenjar.ReasonEndedByUser)
	must(rt, err)
	equal(rt, "sessions ended", sorted(ended), sorted(want))
}

func (w *world) revokeOthers(rt *rapid.T) {
	f := w.family(rt)
	except := rapid.SampledFrom([]string{f.id, ""}).Draw(rt, "but")
	ended, err := w.RevokeUserSessions(rt.Context(), f.user, except, tokenjar.ReasonLogout)
	must(rt, err)
	equal(rt, "sessions ended", sorted(ended), sorted(w.revokeAll(f.user, except, tokenjar.ReasonLogout)))
}

func (w *world) revokeAll(user, except string, why tokenjar.Reason) (ended []string) {
	for _, f := range w.families {
		if f.user == user && f.id != except && f.revoke(why, w.now()) {
			ended = append(ended, f.id)
		}
	}
	return ended
}

func (w *world) setActive(rt *rapid.T) {
	u := rapid.SampledFrom(w.users).Draw(rt, "user")
	active := rapid.IntRange(0, 2).Draw(rt, "disable") > 0
	ended, err := w.SetUserActive(rt.Context(), u.id, active)
	if u.deleted {
		wantError(rt, err, tokenjar.ErrNotFound)
		return
	}
	must(rt, err)
	var want []string
	if u.active = active; !active {
		u.epoch++
		want = w.revokeAll(u.id, "", tokenjar.ReasonUserDisabled)
	}
	equal(rt, "sessions ended", sorted(ended), sorted(want))
}

func (w *world) setPassword(rt *rapid.T) {
	u := rapid.SampledFrom(w.users).Draw(rt, "user")
	p := tokenjar.PasswordChange{UserID: u.id, NewHash: tokenjar.PasswordHash(newID())}
	var keep *family
	if rapid.IntRange(0, 3).Draw(rt, "keep one") > 0 { // anybody's
		keep = w.family(rt)
		p.Keep = keep.id
	}
	p.OldHash = rapid.SampledFrom([]tokenjar.PasswordHash{"", u.hash, u.hash, "another"}).Draw(rt, "old hash")
	ended, err := w.SetPassword(rt.Context(), p)
	if u.deleted {
		wantError(rt, err, tokenjar.ErrNotFound)
		return
	}
	if p.OldHash == "another" {
		wantError(rt, err, tokenjar.ErrConflict)
		return
	}
	must(rt, err)
	u.hash = p.NewHash
	u.epoch++
	except := ""
	if keep != nil && keep.user == u.id && keep.live(w.now()) && keep.epoch == u.epoch-1 {
		except, keep.epoch, keep.authTime = keep.id, u.epoch, w.now()
	}
	equal(rt, "sessions ended", sorted(ended), sorted(w.revokeAll(u.id, except, tokenjar.ReasonPasswordChanged)))
}

// deleteUser deletes an account, and somebody else takes the name.
func (w *world) deleteUser(rt *rapid.T) {
	u := rapid.SampledFrom(w.users).Draw(rt, "user")
	if u.deleted || rapid.IntRange(0, 2).Draw(rt, "one in three") > 0 {
		return
	}
	ended, err := w.DeleteUser(rt.Context(), u.id)
	must(rt, err)
	equal(rt, "sessions ended", sorted(ended), sorted(w.revokeAll(u.id, "", tokenjar.ReasonUserDisabled)))
	u.active, u.deleted = false, true
	w.newUser(rt, u.name)
}

func (w *world) rename(rt *rapid.T) {
	f, asker := w.family(rt), rapid.SampledFrom(w.users).Draw(rt, "who asks")
	name := rapid.SampledFrom([]string{"", "phone", "téléphone"}).Draw(rt, "name")
	err := w.RenameSession(rt.Context(), asker.id, f.id, name)
	if f.user != asker.id || !f.live(w.now()) {
		wantError(rt, err, tokenjar.ErrNotFound)
		return
	}
	must(rt, err)
	f.name = name
}

var strides = []time.Duration{
	time.Millisecond, time.Second, timing.Grace, timing.Grace + time.Millisecond, time.Minute, time.Hour, timing.Idle,
	5 * timing.Idle,
}

func (w *world) advance(rt *rapid.T) {
	w.clock.advance(rapid.SampledFrom(strides).Draw(rt, "by"))
}

func (w *world) stepBack(rt *rapid.T) {
	w.clock.advance(-rapid.SampledFrom(strides[:7]).Draw(rt, "by"))
}

func (w *world) advanceToLimit(rt *rapid.T) {
	f := w.family(rt)
	limit := rapid.SampledFrom([]time.Time{f.idleEnd, f.end, f.madeAt.Add(timing.Grace)}).Draw(rt, "limit")
	if limit.After(w.now()) {
		w.clock.set(limit.Add(rapid.SampledFrom([]time.Duration{-1, 0, 1}).Draw(rt, "off by") * time.Millisecond))
	}
}

func (w *world) prune(rt *rapid.T) {
	keep := rapid.SampledFrom([]time.Duration{0, time.Minute, timing.Idle}).Draw(rt, "keep")
	_, _, err := w.PruneSessions(rt.Context(), keep, 1_000_000)
	must(rt, err)
	before := w.now().Add(-keep)
	for _, f := range w.families {
		last := f.idleEnd
		if f.revoked != "" {
			last = f.at
		}
		f.pruned = f.pruned || last.Before(before)
	}
}

// compare holds every row against the model. The numbers are those of the invariants in the list of attacks (5.2).
func (w *world) compare(rt *rapid.T) {
	now := w.now()
	revoked := make(map[string]tokenjar.Reason)
	rows := 0
	for _, f := range w.families {
		row, err := w.Session(rt.Context(), f.id)
		if f.pruned {
			wantError(rt, err, tokenjar.ErrNotFound) // 4: only what had ended goes
			continue
		}
		must(rt, err)
		rows++
		if f.revoked != "" {
			revoked[f.id] = f.revoked
		}
		equal(rt, "user", row.UserID, f.user) // 5
		equal(rt, "epoch", row.AuthEpoch, f.epoch)
		equal(rt, "time of the password", row.AuthTime, f.authTime)
		equal(rt, "generation", row.Generation, f.newest)
		equal(rt, "hash", row.CurrentHash, f.hash(f.newest))
		equal(rt, "user agent", row.UserAgent, f.by)
		equal(rt, "user agent of the late retry", row.LateRetryUserAgent, f.lateBy)
		equal(rt, "seen", row.SuccessorSeen, f.seen)
		equal(rt, "replays", row.ReplayCount, f.replays)
		equal(rt, "answer that has not begun", row.UndeliveredGen, f.undelivered)
		equal(rt, "when it was noted", row.UndeliveredAt, f.undeliveredAt)
		equal(rt, "idle limit", row.IdleExpiresAt, f.idleEnd)
		equal(rt, "absolute limit", row.ExpiresAt, f.end) // 6
		equal(rt, "last use", row.LastSeenAt, f.lastUse)
		equal(rt, "name", row.Name, f.name)
		equal(rt, "reason", row.RevokeReason, f.revoked) // 3 and 4
		equal(rt, "revoked at", row.RevokedAt, f.at)
		equal(rt, "live", row.Live(), f.live(now))
		for token := max(f.newest-3, 0); token <= f.newest+1; token++ { // 1 and 2
			_, again := f.answersAgain("", now)
			want := f.live(now) && (token == f.newest || token == f.newest-1 && again)
			got := row.Replayable(f.hash(token), f.hash(token+1), timing.Grace)
			equal(rt, fmt.Sprintf("token %d of %d is good", token, f.newest), got, want)
		}
	}
	for _, u := range w.users {
		row, err := w.User(rt.Context(), u.id)
		if u.deleted {
			wantError(rt, err, tokenjar.ErrNotFound)
		} else {
			must(rt, err)
			equal(rt, "user's epoch", row.AuthEpoch, u.epoch)
			equal(rt, "user's hash", string(row.PasswordHash), string(u.hash))
		}
		var want []*family
		for _, f := range w.families {
			if f.user == u.id && f.live(now) {
				want = append(want, f)
			}
		}
		slices.SortFunc(want, newestFirst)
		list, err := w.UserSessions(rt.Context(), u.id)
		must(rt, err)
		equal(rt, "live sessions", len(list), len(want)) // 8
		for i, row := range list {
			equal(rt, fmt.Sprintf("live session %d", i), row.ID, want[i].id)
		}
	}
	told, err := w.News(rt.Context(), w.since)
	must(rt, err)
	equal(rt, "store's clock", told.At, now)
	for _, r := range told.Revocations { // 3 and 7
		if want, ok := revoked[r.SessionID]; ok {
			equal(rt, "reason told", r.Reason, want)
			delete(revoked, r.SessionID)
		}
	}
	equal(rt, "revocations not told", len(revoked), 0)
}
