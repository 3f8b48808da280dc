package tokenjar_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// Every call that a use case makes of the store fails in its turn, in every way that a call can fail. Nothing is reported as
// done that is not, nobody is told that a session has ended because a store did not answer, and whoever tries again gets
// what they wanted, with the tokens they had.

// errForeign is an error that no store should return.
var errForeign = errors.New("a driver's own error")

// faults are the ways in which a call fails.
var faults = []struct {
	name    string
	unknown bool // the call is made all the same
	around  func(ctx context.Context, do func(context.Context) error) error
}{
	{"refused", false, func(context.Context, func(context.Context) error) error {
		return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}},
	{"done, and not known to be", true, func(ctx context.Context, do func(context.Context) error) error {
		do(ctx)
		return fmt.Errorf("injected: commit: %w", tokenjar.ErrStoreUnavailable)
	}},
	{"hangs", false, func(ctx context.Context, _ func(context.Context) error) error {
		<-ctx.Done()
		return fmt.Errorf("injected: %w: %w", tokenjar.ErrStoreUnavailable, ctx.Err())
	}},
	{"foreign error", false, func(context.Context, func(context.Context) error) error { return errForeign }},
}

// A failing store lets one call fail.
type failing struct {
	mu     sync.Mutex // a rotation goes on when its caller has left
	calls  []string   // that were made since the last arm
	nth    int        // the call to fail, from 1; 0 for none
	around func(ctx context.Context, do func(context.Context) error) error
}

func (f *failing) arm(nth int, around func(context.Context, func(context.Context) error) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.nth, f.around = nil, nth, around
}

func (f *failing) made() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

func (f *failing) hook(ctx context.Context, call string, do func(context.Context) error) error {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	around := f.around
	fails := len(f.calls) == f.nth
	f.mu.Unlock()
	if fails {
		return around(ctx, do)
	}
	return do(ctx)
}

// A scene is what a flow works with.
type scene struct {
	*world
	f           *failing
	mine, other tokenjar.Grant // two sessions of ada
	got         tokenjar.Grant // what the flow was given
}

// A flow is a use case, the calls it makes of the store when all goes well, and how to see in the store that it was done.
type flow struct {
	name   string
	calls  string
	change func(*tokenjar.Config)
	first  func(t *testing.T, s *scene) // comes before it
	run    func(ctx context.Context, s *scene) error
	done   func(t *testing.T, s *scene) bool
	// again is what a second try may say when the first was done without anybody knowing. Default: nothing but success.
	again error
	// goesOn says that an error of this call is none of the flow: it is made up for later.
	goesOn string
}

func (s *scene) live(t *testing.T, g tokenjar.Grant) bool {
	row := s.row(t, g.SessionID)
	return row.Live()
}

func over(gs ...func(*scene) tokenjar.Grant) func(*testing.T, *scene) bool {
	return func(t *testing.T, s *scene) bool {
		for _, g := range gs {
			if s.live(t, g(s)) {
				return false
			}
		}
		return true
	}
}

func mine(s *scene) tokenjar.Grant  { return s.mine }
func other(s *scene) tokenjar.Grant { return s.other }

// rotatedOnce reports whether what the flow was given is the newest token of its own session.
func rotatedOnce(t *testing.T, s *scene) bool {
	return s.got.Generation == 2 && s.row(t, s.mine.SessionID).Generation == 2
}

func keep(s *scene) func(tokenjar.Grant, error) error {
	return func(g tokenjar.Grant, err error) error {
		s.got = g
		return err
	}
}

// staleClaims reports whether this node takes the claims of what was issued before for old.
func staleClaims(s *scene) bool {
	_, err := s.Authenticate(s.mine.AccessToken)
	return errors.Is(err, tokenjar.ErrTokenExpired)
}

var flows = []flow{
	{name: "login", calls: "FindUser RecordLogin CreateSession",
		run: func(ctx context.Context, s *scene) error {
			return keep(s)(s.Login(ctx, tokenjar.Credentials{Username: "ada", Password: testPassword}, tokenjar.Client{}))
		},
		done: func(t *testing.T, s *scene) bool { return s.got.SessionID != "" && s.live(t, s.got) }},
	{name: "login in place of a session", calls: "CreateSession",
		run: func(ctx context.Context, s *scene) error {
			return keep(s)(s.OpenSession(ctx, s.user, tokenjar.Credentials{Replaces: s.SignedSessions([]string{s.mine.AccessToken}, nil)}))
		},
		done: func(t *testing.T, s *scene) bool {
			return s.got.SessionID != "" && s.live(t, s.got) && !s.live(t, s.mine) && s.live(t, s.other)
		}},
	{name: "login of a program's own user", calls: "CreateSession User RevokeSessions", change: ownUserTable,
		run: func(ctx context.Context, s *scene) error {
			return keep(s)(s.OpenSession(ctx, s.user, tokenjar.Credentials{Replaces: s.SignedSessions([]string{s.mine.AccessToken}, nil)}))
		},
		done: func(t *testing.T, s *scene) bool {
			return s.got.SessionID != "" && s.live(t, s.got) && !s.live(t, s.mine)
		}},
	{name: "refresh", calls: "User Rotate",
		run: func(ctx context.Context, s *scene) error {
			return keep(s)(s.Refresh(ctx, tokenjar.RefreshRequest{Token: s.mine.RefreshToken}))
		},
		done: rotatedOnce},
	{name: "refresh of a token that another node has rotated", calls: "User Rotate",
		first: func(t *testing.T, s *scene) { s.second(t).mustRefresh(t, s.mine) },
		run: func(ctx context.Context, s *scene) error {
			return keep(s)(s.Refresh(ctx, tokenjar.RefreshRequest{Token: s.mine.RefreshToken}))
		},
		done: rotatedOnce},
	{name: "refresh after a lost answer", calls: "User Rotate",
		first: func(t *testing.T, s *scene) { s.second(t).mustRefresh(t, s.mine); s.clock.advance(time.Minute) },
		run: func(ctx context.Context, s *scene) error {
			return keep(s)(s.Refresh(ctx, tokenjar.RefreshRequest{Token: s.mine.RefreshToken}))
		},
		done: rotatedOnce},
	{name: "reuse", calls: "User Rotate",
		first: func(t *testing.T, s *scene) {
			node := s.second(t)
			node.mustRefresh(t, node.mustRefresh(t, s.mine))
		},
		run: func(ctx context.Context, s *scene) error {
			_, err := s.Refresh(ctx, tokenjar.RefreshRequest{Token: s.mine.RefreshToken})
			return expected(err, tokenjar.ErrSessionReused)
		},
		done: over(mine)},
	{name: "a session that is over is ended for good", calls: "Session RevokeSessions", goesOn: "Session RevokeSessions",
		first: func(_ *testing.T, s *scene) { s.clock.advance(25 * time.Hour) },
		run: func(ctx context.Context, s *scene) error {
			_, err := s.Refresh(ctx, tokenjar.RefreshRequest{Token: s.mine.RefreshToken})
			return expected(err, tokenjar.ErrTokenExpired)
		},
		done: func(t *testing.T, s *scene) bool { return !s.row(t, s.mine.SessionID).RevokedAt.IsZero() }},
	{name: "logout", calls: "RevokeSessions",
		run: func(ctx context.Context, s *scene) error {
			return s.Logout(ctx, s.SignedSessions([]string{s.mine.AccessToken}, []string{s.mine.RefreshToken}))
		},
		done: over(mine)},
	{name: "logout of two sessions", calls: "RevokeSessions RevokeSessions",
		run: func(ctx context.Context, s *scene) error {
			return s.Logout(ctx, s.SignedSessions([]string{s.mine.AccessToken, s.other.AccessToken}, nil))
		},
		done: over(mine, other)},
	{name: "logout all", calls: "RevokeUserSessions News KeyRing",
		run: func(ctx context.Context, s *scene) error { _, err := s.LogoutAll(ctx, s.user.ID); return err }, done: over(mine, other)},
	{name: "end one session", calls: "RevokeSessions", again: tokenjar.ErrNotFound,
		run:  func(ctx context.Context, s *scene) error { return s.EndSession(ctx, s.user.ID, s.other.SessionID) },
		done: over(other)},
	{name: "end other sessions", calls: "RevokeUserSessions News KeyRing",
		run: func(ctx context.Context, s *scene) error {
			_, err := s.EndOtherSessions(ctx, s.user.ID, s.mine.SessionID)
			return err
		},
		done: func(t *testing.T, s *scene) bool { return s.live(t, s.mine) && !s.live(t, s.other) }},
	{name: "disable a user", calls: "SetUserActive News KeyRing",
		run:  func(ctx context.Context, s *scene) error { return s.SetUserActive(ctx, s.user.ID, false) },
		done: over(mine, other)},
	{name: "change the password", calls: "Session User SetPassword News KeyRing", again: tokenjar.ErrInvalidCredentials, goesOn: "News KeyRing",
		run: func(ctx context.Context, s *scene) error {
			return s.ChangePassword(ctx, tokenjar.PasswordChangeRequest{Identity: s.mine.Identity(), Old: testPassword, New: newPassword})
		},
		done: func(t *testing.T, s *scene) bool {
			u, err := s.store.User(t.Context(), s.user.ID)
			return err == nil && u.PasswordHash != s.user.PasswordHash && s.live(t, s.mine) && !s.live(t, s.other)
		}},
	{name: "rename a session", calls: "RenameSession",
		run: func(ctx context.Context, s *scene) error {
			return s.RenameSession(ctx, s.user.ID, s.mine.SessionID, "phone")
		},
		done: func(t *testing.T, s *scene) bool { return s.row(t, s.mine.SessionID).Name == "phone" }},
	{name: "change the profile", calls: "UpdateProfile",
		run: func(ctx context.Context, s *scene) error {
			name := "Augusta"
			_, err := s.UpdateProfile(ctx, s.user.ID, tokenjar.Profile{FirstName: &name})
			return err
		},
		done: func(t *testing.T, s *scene) bool {
			u, err := s.store.User(t.Context(), s.user.ID)
			return err == nil && u.FirstName == "Augusta"
		}},
	{name: "list sessions", calls: "UserSessions",
		run: func(ctx context.Context, s *scene) error {
			list, err := s.Sessions(ctx, s.user.ID)
			if err == nil && len(list) != 2 {
				return fmt.Errorf("%d sessions", len(list))
			}
			return err
		}},
	{name: "look at a session", calls: "Session User",
		run: func(ctx context.Context, s *scene) error { _, err := s.LiveSession(ctx, s.mine.Identity()); return err }},
	{name: "which sessions live", calls: "Session User Session User",
		run: func(ctx context.Context, s *scene) error {
			live, err := s.LiveSessions(ctx, s.SignedSessions([]string{s.mine.AccessToken, s.other.AccessToken}, nil))
			if err == nil && len(live) != 2 {
				return fmt.Errorf("%d are live", len(live))
			}
			return err
		}},
	{name: "is it over for good", calls: "Session User",
		run: func(ctx context.Context, s *scene) error {
			gone, err := s.OverForGood(ctx, s.SignedSessions([]string{s.mine.AccessToken}, nil))
			if gone {
				return errors.New("a live session is over for good")
			}
			return err
		}},
	{name: "inspect a refresh token", calls: "Session User",
		run: func(ctx context.Context, s *scene) error { _, err := s.Inspect(ctx, s.mine.RefreshToken); return err }},
	{name: "check a session in the database", calls: "Session User",
		change: func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckDatabase },
		run:    func(ctx context.Context, s *scene) error { return s.CheckSession(ctx, s.mine.Identity()) }},
	{name: "the user", calls: "User",
		run: func(ctx context.Context, s *scene) error { _, err := s.ActiveUser(ctx, s.mine.Identity()); return err }},
	{name: "ready", calls: "KeyRing", run: func(ctx context.Context, s *scene) error { return s.Ready(ctx) }},
	{name: "learn of revocations", calls: "News KeyRing",
		first: func(t *testing.T, s *scene) {
			if err := s.second(t).Logout(t.Context(), s.SignedSessions([]string{s.other.AccessToken}, nil)); err != nil {
				t.Fatal(err)
			}
		},
		run: func(ctx context.Context, s *scene) error { return s.PollRevocations(ctx) },
		done: func(_ *testing.T, s *scene) bool {
			_, err := s.Authenticate(s.other.AccessToken)
			return errors.Is(err, tokenjar.ErrTokenRevoked)
		}},
	{name: "note what was used", calls: "MarkSeen",
		first: func(t *testing.T, s *scene) { s.got = s.mustRefresh(t, s.mine) },
		run: func(ctx context.Context, s *scene) error {
			if _, err := s.Authenticate(s.got.AccessToken); err != nil { // as the next request does
				return err
			}
			return s.FlushSeen(ctx)
		},
		done: func(t *testing.T, s *scene) bool { return s.row(t, s.mine.SessionID).SuccessorSeen }},
	{name: "note that an answer has not begun", calls: "MarkUndelivered",
		first: func(t *testing.T, s *scene) {
			s.Undelivered(s.mustRefresh(t, s.mine))
			s.clock.advance(6 * time.Second)
		},
		run:  func(ctx context.Context, s *scene) error { return s.NoteUndelivered(ctx) },
		done: func(t *testing.T, s *scene) bool { return s.row(t, s.mine.SessionID).UndeliveredGen == 2 }},
	{name: "are the cookies of a late answer the newest", calls: "Session",
		first: func(t *testing.T, s *scene) {
			s.got = s.mustRefresh(t, s.mine)
			s.clock.advance(11 * time.Second)
		},
		run: func(ctx context.Context, s *scene) error {
			if s.Overtaken(ctx, s.got) {
				return fmt.Errorf("left out: %w", tokenjar.ErrStoreUnavailable)
			}
			return nil
		}},
	{name: "note who else has an answer", calls: "MarkShared",
		first: func(t *testing.T, s *scene) {
			s.show(t, s.mine, laptop)
			s.show(t, s.mine, thief)
		},
		run:  func(ctx context.Context, s *scene) error { return s.FlushShared(ctx) },
		done: func(t *testing.T, s *scene) bool { return s.row(t, s.mine.SessionID).SharedGen == 2 }},
	{name: "change the roles of a user", calls: "User SetUserRoles User",
		run: func(ctx context.Context, s *scene) error {
			return s.SetUserRoles(ctx, s.user.ID, tokenjar.Roles{Staff: true})
		},
		done: func(t *testing.T, s *scene) bool {
			u, err := s.store.User(t.Context(), s.user.ID)
			return err == nil && u.Staff && u.ClaimsGen == 1 && staleClaims(s)
		}},
	{name: "outdate the claims of a program's own user", calls: "RaiseClaims", change: ownUserTable,
		run: func(ctx context.Context, s *scene) error { return s.ClaimsChanged(ctx, s.user.ID, 1) },
		done: func(t *testing.T, s *scene) bool {
			news, err := s.store.News(t.Context(), s.clock.Now().Add(-time.Minute))
			return err == nil && len(news.ClaimsChanges) == 1 && staleClaims(s)
		}},
	{name: "write the audit trail", calls: "AppendAudit",
		first: func(t *testing.T, s *scene) {
			if err := s.FlushAudit(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Raise(t.Context(), tokenjar.AuditEvent{Name: "test"})
		},
		run: func(ctx context.Context, s *scene) error { return s.FlushAudit(ctx) },
		done: func(t *testing.T, s *scene) bool {
			found, err := s.store.AuditTrail(t.Context(), tokenjar.AuditFilter{Name: "test"})
			return err == nil && len(found) > 0
		}},
	{name: "start", calls: "KeyRing News News KeyRing",
		run: func(ctx context.Context, s *scene) error { _, err := tokenjar.New(ctx, s.cfg); return err }},
}

// ownUserTable keeps the users in another place than the store.
func ownUserTable(c *tokenjar.Config) {
	hooked := *c.Store.(*storehook.Store)
	c.Users = &hooked
}

// expected makes an answer that a flow is about a success.
func expected(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("got no error, want %w", want)
	}
	return err
}

func TestF07EveryCallOfTheStoreFailsInItsTurn(t *testing.T) { // F-07, S-09, T-05, T-19
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := strings.Fields(f.calls)
				whole := f.scene(t)
				if err := f.try(whole); err != nil {
					t.Fatalf("without a fault: %v", err)
				}
				if got := whole.f.made(); got != f.calls || len(calls) == 0 {
					t.Fatalf("the calls of the store are %q, want %q", got, f.calls)
				}
				if f.done != nil && !f.done(t, whole) {
					t.Fatal("without a fault it is not done")
				}
				for i, call := range calls {
					for _, fault := range faults {
						t.Logf("%s: %s", call, fault.name)
						s := f.scene(t)
						s.f.arm(i+1, fault.around)
						f.check(t, s, call, fault.unknown)
						if t.Failed() {
							t.Fatalf("when call %d, %s, fails: %s", i+1, call, fault.name)
						}
					}
				}
			})
		})
	}
}

func (f flow) scene(t *testing.T) *scene {
	t.Helper()
	s := &scene{f: &failing{}}
	s.world = newWorld(t, func(c *tokenjar.Config) {
		c.Store = storehook.Wrap(c.Store.(storehook.All), s.f.hook)
		if f.change != nil {
			f.change(c)
		}
	})
	s.mine, s.other = s.login(t), s.login(t)
	if f.first != nil {
		f.first(t, s)
	}
	s.f.arm(0, nil)
	return s
}

// try runs the flow for a caller who waits for a second.
func (f flow) try(s *scene) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return f.run(ctx, s)
}

// check tries once with the fault, and then until it works.
func (f flow) check(t *testing.T, s *scene, call string, unknown bool) {
	t.Helper()
	err := f.try(s)
	done := f.done == nil || f.done(t, s)
	switch {
	case err == nil && strings.Contains(f.goesOn, call):
	case err == nil:
		t.Error("it was reported as done")
	case isOver(err), errors.Is(err, tokenjar.ErrTokenRevoked), errors.Is(err, tokenjar.ErrInvalidCredentials),
		errors.Is(err, tokenjar.ErrNotFound), errors.Is(err, tokenjar.ErrTokenInvalid), errors.Is(err, tokenjar.ErrTokenExpired):
		t.Errorf("a fault of the store was told as %v", err)
	case !errors.Is(err, tokenjar.ErrStoreUnavailable) && !errors.Is(err, errForeign):
		t.Errorf("got %v", err)
	}
	if f.done != nil && done && !unknown && err != nil && call == strings.Fields(f.calls)[0] {
		t.Error("its first call was not made, yet it is done: is this the right question?")
	}
	if s.live(t, s.mine) {
		if _, err := s.Authenticate(s.mine.AccessToken); err != nil && !errors.Is(err, tokenjar.ErrTokenExpired) {
			t.Errorf("the session lives, its access token: %v", err)
		}
	}
	s.f.arm(0, nil)
	for try := 1; err != nil || !done; try++ {
		err = f.try(s)
		if err == nil || unknown && f.again != nil && errors.Is(err, f.again) {
			break
		}
		// A rotation that hangs is waited for by everybody who shows its token.
		if !errors.Is(err, tokenjar.ErrStoreUnavailable) || try > 10 {
			t.Errorf("try %d without a fault: %v", try, err)
			return
		}
	}
	if f.done != nil && !f.done(t, s) {
		t.Error("a second try without a fault did not do it")
	}
	if unknown { // what was done without an answer is learned of as what other nodes do
		if err := s.PollRevocations(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, g := range []tokenjar.Grant{s.mine, s.other} {
		_, err := s.Authenticate(g.AccessToken)
		if live := s.live(t, g); live != (err == nil) && f.goesOn == "" && !errors.Is(err, tokenjar.ErrTokenExpired) {
			t.Errorf("that the session lives is %v, its access token: %v", live, err)
		}
	}
	if s.got.SessionID != "" {
		s.mustRefresh(t, s.got)
	}
}

// broken is a store that fails as told.
type broken struct {
	tokenjar.Store
	tokenjar.UserStore
	err error
}

func (b *broken) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	if b.err != nil {
		return tokenjar.Verdict{}, b.err
	}
	return b.Store.Rotate(ctx, r)
}

func (b *broken) RevokeSessions(ctx context.Context, userID string, ids []string, why tokenjar.Reason) ([]string, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.Store.RevokeSessions(ctx, userID, ids, why)
}

func TestR12AStoreThatDoesNotAnswerEndsNothing(t *testing.T) { // S-09, F-05
	w := newWorld(t)
	b := &broken{Store: w.store, UserStore: w.store}
	w.cfg.Store, w.cfg.Users = b, b
	w.restart(t)
	first := w.login(t)
	b.err = tokenjar.ErrStoreUnavailable
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrStoreUnavailable)
	wantErr(t, w.Logout(t.Context(), w.SignedSessions([]string{first.AccessToken}, nil)), tokenjar.ErrStoreUnavailable)
	if _, err := w.Authenticate(first.AccessToken); err != nil {
		t.Fatalf("a logout that failed must not look done: %v", err)
	}
	b.err = nil
	w.mustRefresh(t, first)
}
