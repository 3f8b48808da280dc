package tokenjar_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
	"github.com/tokenjar/tokenjar/store/memory"
)

// What is bound to a session ends with it, and with nothing else.

// bind binds a context to the session of a grant until the test ends.
func (w *world) bind(t testing.TB, g tokenjar.Grant) context.Context {
	t.Helper()
	ctx, cancel := w.Bind(context.Background(), g.Identity())
	t.Cleanup(cancel)
	return ctx
}

// goesOn fails the test if a bound context has ended.
func goesOn(t testing.TB, what string, ctx context.Context) {
	t.Helper()
	if ctx.Err() != nil {
		t.Errorf("%s has ended: %v", what, context.Cause(ctx))
	}
}

// hasEnded fails the test unless a bound context has ended for a reason.
func hasEnded(t testing.TB, what string, ctx context.Context, cause error) {
	t.Helper()
	if ctx.Err() == nil {
		t.Errorf("%s goes on", what)
	} else if got := context.Cause(ctx); got != cause {
		t.Errorf("%s: got %v, want %v", what, got, cause)
	}
}

// Ways in which a session ends, and what becomes of another session of the same user.
var boundEnds = []struct {
	name  string
	end   func(t *testing.T, w *world, mine, other tokenjar.Grant) error
	cause error // of what is bound to mine
	other error // nil: it goes on
}{
	{name: "sign-out by access token", cause: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		return w.Logout(t.Context(), w.SignedSessions([]string{mine.AccessToken}, nil))
	}},
	{name: "sign-out by refresh token", cause: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		return w.Logout(t.Context(), w.SignedSessions(nil, []string{mine.RefreshToken}))
	}},
	{name: "sign-out everywhere", cause: tokenjar.ErrSessionEnded, other: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		_, err := w.LogoutAll(t.Context(), mine.User.ID)
		return err
	}},
	{name: "ended from the list", cause: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		return w.EndSession(t.Context(), mine.User.ID, mine.SessionID)
	}},
	{name: "all others ended", cause: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, mine, other tokenjar.Grant) error {
		_, err := w.EndOtherSessions(t.Context(), mine.User.ID, other.SessionID)
		return err
	}},
	{name: "a copy of the refresh token was used", cause: tokenjar.ErrSessionReused, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		w.mustRefresh(t, w.mustRefresh(t, mine))
		if _, err := w.refresh(t, mine); !errors.Is(err, tokenjar.ErrSessionReused) {
			return fmt.Errorf("reuse: %w", err)
		}
		return nil
	}},
	{name: "the same browser signed in again", cause: tokenjar.ErrSessionReplaced, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		_, err := w.OpenSession(t.Context(), w.user, tokenjar.Credentials{Replaces: w.SignedSessions(nil, []string{mine.RefreshToken})})
		return err
	}},
	{name: "user disabled", cause: tokenjar.ErrSessionEnded, other: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		return w.SetUserActive(t.Context(), mine.User.ID, false)
	}},
	{name: "password changed in another session", cause: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, _, other tokenjar.Grant) error {
		return w.ChangePassword(t.Context(), tokenjar.PasswordChangeRequest{Identity: other.Identity(), Old: testPassword, New: newPassword})
	}},
	{name: "roles changed", cause: tokenjar.ErrTokenExpired, other: tokenjar.ErrTokenExpired, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		return w.SetUserRoles(t.Context(), mine.User.ID, tokenjar.Roles{Staff: true})
	}},
}

func TestWhatIsBoundEndsAtOnceWhereTheSessionIsEnded(t *testing.T) { // promise 4
	for _, c := range boundEnds {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			mine, other := w.login(t), w.login(t)
			stranger, err := w.OpenSession(t.Context(), w.newUser(t, "eve"), tokenjar.Credentials{})
			if err != nil {
				t.Fatal(err)
			}
			bound, second := w.bind(t, mine), w.bind(t, mine)
			others, strangers := w.bind(t, other), w.bind(t, stranger)
			if err := c.end(t, w, mine, other); err != nil {
				t.Fatal(err)
			}
			hasEnded(t, "what is bound", bound, c.cause)
			hasEnded(t, "the second that is bound", second, c.cause)
			hasEnded(t, "what is bound afterwards", w.bind(t, mine), c.cause)
			if c.other == nil {
				goesOn(t, "what is bound to another session of the user", others)
			} else {
				hasEnded(t, "what is bound to another session of the user", others, c.other)
			}
			goesOn(t, "what is bound to a session of somebody else", strangers)
		})
	}
}

func TestWhatIsBoundEndsWithinASecondOnOtherNodes(t *testing.T) {
	ends := append(boundEnds[:len(boundEnds):len(boundEnds)], struct {
		name  string
		end   func(t *testing.T, w *world, mine, other tokenjar.Grant) error
		cause error
		other error
	}{name: "user deleted", cause: tokenjar.ErrSessionEnded, other: tokenjar.ErrSessionEnded, end: func(t *testing.T, w *world, mine, _ tokenjar.Grant) error {
		_, err := w.store.DeleteUser(t.Context(), mine.User.ID)
		return err
	}})
	for _, store := range stores {
		for _, c := range ends {
			if c.name == "password changed in another session" {
				continue // its hash is made outside of the bubble, and the test above has it
			}
			t.Run(store.name+"/"+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorldOn(t, store.open, func(c *tokenjar.Config) { c.Now = time.Now })
					node := w.second(t)
					ctx, stop := context.WithCancel(t.Context())
					done := make(chan error)
					go func() { done <- node.Run(ctx) }()
					mine, other := w.login(t), w.login(t)
					bound, others := node.bind(t, mine), node.bind(t, other)
					time.Sleep(10 * time.Second)
					goesOn(t, "before the end", bound)
					if err := c.end(t, w, mine, other); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second) // the bound
					hasEnded(t, "what is bound", bound, c.cause)
					if c.other == nil {
						goesOn(t, "what is bound to another session", others)
					} else {
						hasEnded(t, "what is bound to another session", others, c.other)
					}
					stop()
					<-done
				})
			})
		}
	}
}

func TestWhatIsBoundEndsWithTheTimeOfTheSession(t *testing.T) {
	for _, c := range []struct {
		name     string
		remember bool
		life     time.Duration
		refresh  bool // before it goes idle, again and again
	}{
		{"idle", false, tokenjar.DefaultIdle, false},
		{"idle, remembered", true, tokenjar.DefaultRememberIdle, false},
		{"absolute", false, tokenjar.DefaultAbsolute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			g, err := w.OpenSession(t.Context(), w.user, tokenjar.Credentials{Remember: c.remember})
			if err != nil {
				t.Fatal(err)
			}
			check := func() {
				t.Helper()
				if err := w.PollRevocations(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := w.CheckBound(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			bound := w.bind(t, g)
			for left := c.life; left > time.Hour; {
				step := min(left-time.Hour, 12*time.Hour)
				w.clock.advance(step)
				left -= step
				check()
				if c.refresh && left > time.Hour {
					g = w.mustRefresh(t, g)
				}
			}
			w.clock.advance(time.Hour - time.Second)
			check()
			goesOn(t, "a second before its end", bound)
			w.clock.advance(time.Second)
			check()
			hasEnded(t, "at its end", bound, tokenjar.ErrSessionEnded)
		})
	}
}

func TestWhatIsBoundSurvivesRotation(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	bound := w.bind(t, g)
	for range 20 { // far beyond the access token it was bound with
		w.clock.advance(tokenjar.DefaultAccessLifetime)
		g = w.mustRefresh(t, g)
		if err := errors.Join(w.PollRevocations(t.Context()), w.CheckBound(t.Context())); err != nil {
			t.Fatal(err)
		}
		goesOn(t, "a rotation later it", bound)
	}
	if err := w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	hasEnded(t, "after the sign-out", bound, tokenjar.ErrSessionEnded)
}

func TestARoleChangeEndsOnlyWhatWasOpenedWithOlderClaims(t *testing.T) { // S-06
	w := newWorld(t, withRole)
	g := w.login(t)
	before := w.bind(t, g)
	if err := w.SetUserRoles(t.Context(), g.User.ID, tokenjar.Roles{Staff: true}); err != nil {
		t.Fatal(err)
	}
	hasEnded(t, "what was opened before", before, tokenjar.ErrTokenExpired)
	g = w.mustRefresh(t, g)
	after := w.bind(t, g)
	if err := w.PollRevocations(t.Context()); err != nil { // tells of the change once more
		t.Fatal(err)
	}
	goesOn(t, "what is opened with the new claims", after)
}

// The claims a node was told of are forgotten when no access token needs them any more. A stream may be older than that.
func TestARoleChangeThatWasMissedIsFoundInTheRow(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	bound := w.bind(t, g)
	if err := w.store.SetUserRoles(t.Context(), g.User.ID, tokenjar.Roles{Staff: true}); err != nil {
		t.Fatal(err)
	}
	w.restart(t) // the new process is not told of what is older than any token
	bound = w.bind(t, g)
	w.clock.advance(time.Hour)
	w.Prune()
	if err := errors.Join(w.PollRevocations(t.Context()), w.CheckBound(t.Context())); err != nil {
		t.Fatal(err)
	}
	hasEnded(t, "what has older claims", bound, tokenjar.ErrTokenExpired)
}

func TestUsersOfTheirOwnAreLookedAtOnceInTheLifeOfAnAccessToken(t *testing.T) {
	w, users := newWorldOfOwnUsers(t)
	bound := w.bind(t, w.login(t))
	step := func() {
		t.Helper()
		w.clock.advance(tokenjar.DefaultAccessLifetime)
		if err := w.PollRevocations(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		step()
		if err := w.CheckBound(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	goesOn(t, "of an active user it", bound)
	users.down.Store(true)
	step()
	wantErr(t, w.CheckBound(t.Context()), tokenjar.ErrStoreUnavailable)
	goesOn(t, "of a user who cannot be read it", bound)
	users.down.Store(false)
	users.epoch.Add(1) // the password was changed, and nobody told us
	if err := w.CheckBound(t.Context()); err != nil {
		t.Fatal(err)
	}
	hasEnded(t, "of a user who would not be renewed it", bound, tokenjar.ErrSessionEnded)
}

func TestANodeThatIsCutOffEndsWhatIsBound(t *testing.T) { // F-27
	for name, c := range map[string]struct {
		fault  func(*deafStore)
		change func(*tokenjar.Config)
		ends   bool
	}{
		"the store is down":           {fault: func(s *deafStore) { s.down.Store(true) }, ends: true},
		"the store hangs":             {fault: func(s *deafStore) { s.hangs.Store(true) }, ends: true},
		"stale sessions are allowed":  {fault: func(s *deafStore) { s.down.Store(true) }, change: func(c *tokenjar.Config) { c.AllowStaleSessions = true }},
		"nobody asks for revocations": {fault: func(s *deafStore) { s.down.Store(true) }, change: func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckStateless }},
		"an outage of less than that": {fault: func(s *deafStore) {
			s.down.Store(true)
			time.AfterFunc(tokenjar.MaxStaleness/2, func() { s.down.Store(false) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &deafStore{Store: memory.New(memory.Config{})}
				w := newWorld(t, func(cfg *tokenjar.Config) {
					cfg.Store, cfg.Now = store, time.Now
					if c.change != nil {
						c.change(cfg)
					}
				})
				if err := store.CreateUser(t.Context(), w.user); err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				bound := w.bind(t, w.login(t))
				time.Sleep(time.Second)
				c.fault(store)
				time.Sleep(tokenjar.MaxStaleness - time.Second)
				goesOn(t, "before the limit", bound)
				time.Sleep(4 * time.Second)
				if c.ends {
					hasEnded(t, "after the limit", bound, tokenjar.ErrStoreUnavailable)
				} else {
					goesOn(t, "after the limit", bound)
				}
				stop()
				<-done
			})
		})
	}
}

func TestAClockThatIsSetBackKeepsNothingOpen(t *testing.T) { // C-15
	at := newClock() // the store's
	w := newWorldOn(t, func(testing.TB, func() time.Time) storehook.All { return memory.New(memory.Config{Now: at.Now}) })
	bound := w.bind(t, w.login(t))
	pass := func(d time.Duration) {
		t.Helper()
		at.advance(d)
		w.clock.advance(d)
		if err := errors.Join(w.PollRevocations(t.Context()), w.CheckBound(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	pass(tokenjar.DefaultAccessLifetime)
	w.clock.advance(-10 * time.Hour)
	pass(time.Second)
	pass(tokenjar.DefaultIdle - tokenjar.DefaultAccessLifetime - 2*time.Second)
	goesOn(t, "a second before its session goes idle it", bound)
	pass(time.Second)
	hasEnded(t, "of a session that went idle it", bound, tokenjar.ErrSessionEnded)
}

func TestWhatIsGivenBackIsForgotten(t *testing.T) {
	w := newWorld(t)
	ignore := goleak.IgnoreCurrent()
	var cancels []context.CancelFunc
	for i := range 50 {
		g := w.login(t)
		for range 3 {
			ctx, cancel := w.Bind(t.Context(), g.Identity())
			cancels = append(cancels, cancel)
			if i%10 == 0 {
				w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)) // nobody cancels what has ended
				if ctx.Err() == nil {
					t.Fatal("it goes on")
				}
			}
		}
	}
	if n := w.Bound(); n != 45*3 {
		t.Errorf("%d are bound, want %d", n, 45*3)
	}
	for _, cancel := range cancels {
		cancel()
		cancel()
	}
	if w.Bound() != 0 || w.BoundKeys() != 0 {
		t.Errorf("%d are bound, under %d keys", w.Bound(), w.BoundKeys())
	}
	for begin := time.Now(); ; { // it has half a second of patience by itself
		err := goleak.Find(ignore)
		if err == nil {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal(err)
		}
	}
}

func TestWhatIsBoundEndsWithItsParentAndForNobodyElse(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	type key struct{}
	parent, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	bound, cancel := w.Bind(parent, g.Identity())
	defer cancel()
	if bound.Value(key{}) != "value" {
		t.Error("the values of the parent are lost")
	}
	leave()
	hasEnded(t, "with its parent it", bound, context.Canceled)
}

func TestAnIdentityOfNoSessionIsBoundToNothingThatLasts(t *testing.T) {
	w := newWorld(t)
	bound, cancel := w.Bind(t.Context(), tokenjar.Identity{})
	defer cancel()
	if err := errors.Join(w.PollRevocations(t.Context()), w.CheckBound(t.Context())); err != nil {
		t.Fatal(err)
	}
	hasEnded(t, "it", bound, tokenjar.ErrSessionEnded)
}

// However binding, giving back and the end of the session interleave: after the end's answer nothing is open, and nothing is
// kept.
func TestBindingRacesTheEndInSeededInterleavings(t *testing.T) { // S-01
	inBubble(t, 500, func(t *testing.T, w *world, s *schedule, seed uint64, rng *rand.Rand) {
		u := w.newUser(t, fmt.Sprint("user-", seed))
		g, err := w.OpenSession(t.Context(), u, tokenjar.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		other := w.second(t)
		ending := endings[rng.IntN(len(endings))]
		before := w.Bound()
		actors := map[string]func(context.Context){
			"the end": func(ctx context.Context) {
				if err := ending.end(ctx, w, g); err != nil {
					t.Errorf("%s: %v", ending.name, err)
				}
			},
			"the poll of another node": func(ctx context.Context) {
				if err := other.PollRevocations(ctx); err != nil {
					t.Error(err)
				}
			},
			"the look at the rows": func(ctx context.Context) {
				if err := w.CheckBound(ctx); err != nil {
					t.Error(err)
				}
			},
		}
		type opened struct {
			node *world
			ctx  context.Context
		}
		streams := make(chan opened, 16)
		for i := range 2 + rng.IntN(4) {
			node := w
			if rng.IntN(3) == 0 {
				node = other
			}
			givesBack := rng.IntN(3) == 0
			actors[fmt.Sprint("stream ", i)] = func(ctx context.Context) {
				s.hold(ctx, "before Bind")
				bound, cancel := node.Bind(context.Background(), g.Identity())
				s.hold(ctx, "after Bind")
				if givesBack {
					cancel()
				}
				streams <- opened{node, bound}
			}
		}
		s.run(t, rng, actors)
		if err := other.PollRevocations(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(streams)
		for o := range streams {
			if o.ctx.Err() == nil {
				t.Errorf("%s: a stream goes on after the end", ending.name)
			}
		}
		if n := w.Bound() - before; n != 0 || other.Bound() != 0 {
			t.Errorf("%d and %d are still bound", n, other.Bound())
		}
		if t.Failed() {
			t.Log(s.order())
		}
	})
}

// A full disk, or an answer of the store that is lost: what is bound ends when the session has ended, and that is known.
func TestASignOutThatCouldNotBeWrittenEndsNothing(t *testing.T) { // F-05, F-07
	for name, c := range map[string]struct{ written bool }{"not written": {false}, "written, and the answer lost": {true}} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			w := newWorld(t, func(c2 *tokenjar.Config) {
				c2.Store = storehook.Wrap(c2.Store.(storehook.All), func(ctx context.Context, call string, do func(context.Context) error) error {
					if call == "RevokeSessions" && broken.Load() {
						if c.written {
							if err := do(ctx); err != nil {
								return err
							}
						}
						return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
					}
					return do(ctx)
				})
			})
			g := w.login(t)
			bound := w.bind(t, g)
			broken.Store(true)
			wantErr(t, w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)), tokenjar.ErrStoreUnavailable)
			if err := errors.Join(w.PollRevocations(t.Context()), w.CheckBound(t.Context())); err != nil {
				t.Fatal(err)
			}
			if c.written {
				hasEnded(t, "a second later it", bound, tokenjar.ErrSessionEnded)
				return
			}
			goesOn(t, "after a sign-out that failed it", bound)
			broken.Store(false)
			if err := w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
				t.Fatal(err)
			}
			hasEnded(t, "after the sign-out it", bound, tokenjar.ErrSessionEnded)
		})
	}
}
