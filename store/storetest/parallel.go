package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// together runs f n times at once and returns the results.
func together[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			results[i] = f(i)
		})
	}
	close(begin)
	wg.Wait()
	return results
}

type answer struct {
	verdict tokenjar.Verdict
	err     error
}

// spendAsNow rotates as a service does: with the epoch that it read of the user, and again when that was stale.
func spendAsNow(e *env, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	for {
		u, err := e.User(e.Context(), r.UserID)
		if err != nil {
			return tokenjar.Verdict{}, err
		}
		r.AuthEpoch = u.AuthEpoch
		if v, err := e.Rotate(e.Context(), r); err != nil || v.Outcome != staleUser {
			return v, err
		}
	}
}

func testParallel(t *testing.T, open opener) {
	e := start(t, open)
	for _, n := range []int{2, 10, 200} {
		e.sub(fmt.Sprintf("T-02 one token, %d at once: one rotates, all get its successor", n), func(e *env) {
			s := e.login(e.user())
			for gen := int64(1); gen <= 3; gen++ {
				before := e.read(s).Generation
				count := make(map[tokenjar.Outcome]int)
				for _, a := range together(n, func(int) answer {
					v, err := e.Rotate(e.Context(), s.show(gen))
					return answer{v, err}
				}) {
					must(e, a.err)
					count[a.verdict.Outcome]++
					if a.verdict.Outcome.Successful() {
						equal(e, "successor", a.verdict.Session.CurrentHash, s.hash(gen+1))
						equal(e, "generation", a.verdict.Session.Generation, before+1)
					}
				}
				if count[rotated] != 1 || count[replay] != n-1 {
					e.Fatalf("outcomes: got %v, want 1 rotated and %d replays", count, n-1)
				}
				row := e.read(s)
				equal(e, "generation", row.Generation, before+1)
				equal(e, "replays counted", row.ReplayCount, min(n-1, tokenjar.MaxReplays+1))
			}
		})
	}
	e.sub("T-11 rotation racing a revocation: nothing succeeds after it", func(e *env) {
		for range 30 {
			s := e.login(e.user())
			e.want(rotated, s.show(1))
			together(3, func(i int) error {
				if i == 0 {
					_, err := e.RevokeSessions(e.Context(), s.user, []string{s.id}, tokenjar.ReasonLogout)
					return err
				}
				_, err := e.Rotate(e.Context(), s.show(2))
				return err
			})
			row := e.read(s)
			equal(e, "reason", row.RevokeReason, tokenjar.ReasonLogout)
			for token := int64(1); token <= 3; token++ {
				e.want(ended, s.show(token))
			}
		}
	})
	e.sub("S-14 logins racing a disable: no session is left, nor opened later", func(e *env) {
		for range 10 {
			user := e.user()
			together(9, func(i int) error {
				if i == 4 {
					_, err := e.SetUserActive(e.Context(), user, false)
					return err
				}
				_, _, err := e.tryLogin(user)
				return err
			})
			live, err := e.UserSessions(e.Context(), user)
			must(e, err)
			equal(e, "live sessions", len(live), 0)
			_, _, err = e.tryLogin(user)
			wantError(e, err, tokenjar.ErrInvalidCredentials)
		}
	})
	e.sub("S-14 100 logins racing a sign-out everywhere: what is older is over", func(e *env) {
		user := e.user()
		older := make([]session, 20)
		for i := range older {
			older[i] = e.login(user)
		}
		type result struct {
			s   session
			err error
		}
		var endedIDs []string
		opened := together(101, func(i int) result {
			if i == 50 {
				ids, err := e.RevokeUserSessions(e.Context(), user, "", tokenjar.ReasonEndedByUser)
				endedIDs = ids
				return result{err: err}
			}
			s, _, err := e.tryLogin(user)
			return result{s, err}
		})
		live, err := e.UserSessions(e.Context(), user)
		must(e, err)
		alive := make(map[string]bool)
		for _, row := range live {
			alive[row.ID] = true
		}
		for _, s := range older {
			equal(e, "older session is alive", alive[s.id], false)
		}
		for _, r := range opened {
			must(e, r.err)
			if r.s.id != "" && alive[r.s.id] == slices.Contains(endedIDs, r.s.id) {
				e.Fatalf("session %s: alive is %v, and so is whether it was reported as ended", r.s.id, alive[r.s.id])
			}
		}
	})
	e.sub("S-13 logins racing each other keep the cap", func(e *env) {
		user := e.user()
		for _, err := range together(24, func(int) error {
			_, _, err := e.tryLogin(user, func(n *tokenjar.NewSession) { n.MaxPerUser = 5 })
			return err
		}) {
			must(e, err)
		}
		live, err := e.UserSessions(e.Context(), user)
		must(e, err)
		equal(e, "live sessions", len(live), 5)
	})
	e.sub("S-03 password change racing everything: the kept session goes on, all others are over", func(e *env) {
		for range 20 {
			user := e.user()
			kept := e.login(user)
			others := []session{e.login(user), e.login(user)}
			e.want(rotated, kept.show(1))
			opened := make([]session, 12)
			verdicts := make([]tokenjar.Verdict, 12)
			for _, err := range together(12, func(i int) (err error) {
				switch {
				case i == 5:
					_, err = e.SetPassword(e.Context(), tokenjar.PasswordChange{UserID: user, NewHash: "new", Keep: kept.id})
				case i < 7:
					verdicts[i], err = spendAsNow(e, kept.show(2))
				case i < 9:
					_, err = spendAsNow(e, others[i-7].show(1))
				default: // with the epoch of the old password
					if opened[i], _, err = e.tryLogin(user); errors.Is(err, tokenjar.ErrInvalidCredentials) {
						opened[i], err = session{}, nil
					}
				}
				return err
			}) {
				must(e, err)
			}
			for i, v := range verdicts[:7] {
				if i != 5 && v.Outcome != rotated && v.Outcome != replay {
					e.Fatalf("rotation of the kept session: got %s, want rotated or its replay", v.Outcome)
				}
			}
			equal(e, "live sessions", ids(e, user), kept.id)
			row := e.read(kept)
			equal(e, "epoch of the kept session", row.AuthEpoch, 1)
			equal(e, "generation of the kept session", row.Generation, 3)
			for _, s := range append(others, opened[9:]...) {
				if s.id != "" {
					v, err := spendAsNow(e, s.show(e.read(s).Generation))
					must(e, err)
					equal(e, "newest token of another session", v.Outcome, ended)
				}
			}
			_, _, err := e.tryLogin(user)
			wantError(e, err, tokenjar.ErrInvalidCredentials)
			r := kept.show(3)
			r.AuthEpoch = 1
			e.want(rotated, r)
		}
	})
	e.sub("S-03 one old password, changed by several at once: one wins, the others conflict", func(e *env) {
		user := e.userWith("old")
		won := 0
		for _, err := range together(8, func(i int) error {
			_, err := e.SetPassword(e.Context(), tokenjar.PasswordChange{
				UserID: user, OldHash: "old", NewHash: tokenjar.PasswordHash(fmt.Sprint("new ", i)),
			})
			return err
		}) {
			if err == nil {
				won++
			} else {
				wantError(e, err, tokenjar.ErrConflict)
			}
		}
		equal(e, "winners", won, 1)
		equal(e, "epoch", userOf(e, user).AuthEpoch, 1)
	})
	e.sub("S-05 logins racing a deletion: no session is left", func(e *env) {
		for range 10 {
			user := e.user()
			together(9, func(i int) error {
				if i == 4 {
					_, err := e.DeleteUser(e.Context(), user)
					return err
				}
				_, _, err := e.tryLogin(user)
				return err
			})
			equal(e, "live sessions", ids(e, user), "")
		}
	})
	e.sub("key ring saved by several at once: one wins each version", func(e *env) {
		for version := range int64(5) {
			won := 0
			for i, err := range together(8, func(i int) error {
				return e.SaveKeyRing(e.Context(), fmt.Appendf(nil, "box %d of %d", version+1, i), version)
			}) {
				if err == nil {
					won++
					box, got, err := e.KeyRing(e.Context())
					must(e, err)
					equal(e, "version", got, version+1)
					equal(e, "box", string(box), fmt.Sprintf("box %d of %d", version+1, i))
				} else if !errors.Is(err, tokenjar.ErrConflict) {
					e.Fatalf("loser: got %v, want %v", err, tokenjar.ErrConflict)
				}
			}
			equal(e, "winners", won, 1)
		}
	})
	e.sub("one name for several new users at once: one gets it", func(e *env) {
		name := newID()
		won := 0
		for _, err := range together(8, func(int) error {
			return e.CreateUser(e.Context(), tokenjar.User{ID: newID(), Username: name, Active: true})
		}) {
			if err == nil {
				won++
			} else {
				wantError(e, err, tokenjar.ErrConflict)
			}
		}
		equal(e, "winners", won, 1)
	})
	e.sub("chains side by side do not touch each other", func(e *env) {
		chains := make([]session, 8)
		for i := range chains {
			chains[i] = e.login(e.user())
		}
		for _, err := range together(len(chains), func(i int) error {
			for gen := int64(1); gen <= 20; gen++ {
				v, err := e.Rotate(e.Context(), chains[i].show(gen))
				if err != nil {
					return err
				}
				if v.Outcome != rotated || v.Session.UserID != chains[i].user || v.Session.Generation != gen+1 {
					return fmt.Errorf("chain %d, token %d: got %+v", i, gen, v)
				}
			}
			return nil
		}) {
			must(e, err)
		}
	})
}
