package tokenjar_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// The rotation contract at the level of the service; the table itself is tested in store/storetest, on every store.

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func sameTokens(t testing.TB, a, b tokenjar.Grant) {
	t.Helper()
	if a.RefreshToken != b.RefreshToken || a.Generation != b.Generation || !a.RefreshExpires.Equal(b.RefreshExpires) {
		t.Fatalf("got another successor: generations %d and %d, ends %s and %s",
			a.Generation, b.Generation, a.RefreshExpires, b.RefreshExpires)
	}
}

func TestR1TwoHundredParallelRefreshesGiveOneSuccessor(t *testing.T) { // T-02, T-03
	onEveryStore(t, func(t *testing.T, w *world) {
		nodes := []*world{w, w.second(t)}
		for _, n := range []int{2, 10, 200} {
			first := w.login(t)
			rotateAtOnce(t, nodes, first, n)
			if row := w.row(t, first.SessionID); row.Generation != 2 || !row.Live() {
				t.Fatalf("of %d: the row is %+v", n, row)
			}
		}
	})
}

func TestR2NothingIsAnsweredBeforeItIsCommitted(t *testing.T) { // T-19
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				held := make(chan struct{})
				w := newWorldOn(t, store.open, func(c *tokenjar.Config) {
					c.Store = storehook.Wrap(c.Store.(storehook.All), func(ctx context.Context, call string, do func(context.Context) error) error {
						if call == "Rotate" {
							<-held
						}
						return do(ctx)
					})
				})
				first := w.login(t)
				var answered atomic.Int64
				for range 5 {
					go func() {
						next, err := w.Refresh(context.Background(), tokenjar.RefreshRequest{Token: first.RefreshToken})
						if err != nil || next.Generation != 2 {
							t.Errorf("got generation %d, %v", next.Generation, err)
						}
						answered.Add(1)
					}()
				}
				synctest.Wait()
				if row := w.row(t, first.SessionID); answered.Load() != 0 || row.Generation != 1 {
					t.Fatalf("%d were answered while the row is of generation %d", answered.Load(), row.Generation)
				}
				close(held)
				synctest.Wait()
				if row := w.row(t, first.SessionID); answered.Load() != 5 || row.Generation != 2 {
					t.Fatalf("%d were answered, and the row is of generation %d", answered.Load(), row.Generation)
				}
			})
		})
	}
}

func TestR1StragglersOfTwoHundredAreTurnedAwayAndNothingEnds(t *testing.T) { // T-02, T-07
	onEveryStore(t, func(t *testing.T, w *world) {
		first := w.login(t)
		next := w.mustRefresh(t, first)
		for i := 1; i <= 200; i++ {
			again, err := w.refresh(t, first)
			if i <= tokenjar.MaxReplays {
				if err != nil {
					t.Fatalf("replay %d: %v", i, err)
				}
				sameTokens(t, next, again)
				continue
			}
			wantErr(t, err, tokenjar.ErrTooManyReplays)
		}
		if again, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: first.RefreshToken, Renewal: true}); err != nil {
			t.Fatalf("a renewal is served however often: %v", err)
		} else {
			sameTokens(t, next, again)
		}
		w.mustRefresh(t, next)
	})
}

func TestR1ReplaysAreCountedAcrossProcesses(t *testing.T) { // T-07
	onEveryStore(t, func(t *testing.T, w *world) {
		first := w.login(t)
		next := w.mustRefresh(t, first)
		for i := 1; i <= 70; i++ {
			w.restart(t) // forgets what it keeps in memory
			again, err := w.refresh(t, first)
			if i <= tokenjar.MaxReplays {
				if err != nil {
					t.Fatalf("replay %d: %v", i, err)
				}
				sameTokens(t, next, again)
				continue
			}
			wantErr(t, err, tokenjar.ErrTooManyReplays)
			if _, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: first.RefreshToken, Renewal: true}); err != nil {
				t.Fatalf("renewal after replay %d: %v", i, err)
			}
		}
	})
}

func TestR3AnotherProcessDerivesTheSameSuccessor(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		first := w.login(t)
		next := w.mustRefresh(t, first)
		w.restart(t)
		again, err := w.refresh(t, first)
		if err != nil {
			t.Fatal(err)
		}
		sameTokens(t, next, again)
		if again.AccessToken == next.AccessToken {
			t.Error("another process cannot have the same access token: is this the same process?")
		}
	})
}

// A store that takes the parent's row for the successor's, or that has been given back an older copy of it, must not make us
// hand out a token that the row does not know.
func TestR3ASuccessorThatIsNotTheRowsIsNeverHandedOut(t *testing.T) {
	for name, lie := range map[string]func(*tokenjar.Verdict){
		"another hash": func(v *tokenjar.Verdict) { v.Session.CurrentHash[0] ^= 1 },
		"no hash":      func(v *tokenjar.Verdict) { v.Session.CurrentHash = tokenjar.Hash{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			lying := &lyingStore{All: w.store, lie: lie}
			w.cfg.Store, w.cfg.Users = lying, lying
			w.restart(t)
			first := w.login(t)
			got, err := w.refresh(t, first)
			wantErr(t, err, tokenjar.ErrStoreUnavailable)
			if got.RefreshToken != "" || got.AccessToken != "" {
				t.Error("it was handed out")
			}
			lying.lie = nil
			w.mustRefresh(t, first) // nobody is signed out for it
		})
	}
}

type lyingStore struct {
	storehook.All
	lie func(*tokenjar.Verdict)
}

func (s *lyingStore) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	v, err := s.All.Rotate(ctx, r)
	if s.lie != nil {
		s.lie(&v)
	}
	return v, err
}

func TestR4OnlyTheImmediatePredecessorMayBeReplayed(t *testing.T) { // T-09
	onEveryStore(t, func(t *testing.T, w *world) {
		first := w.login(t)
		third := w.mustRefresh(t, w.mustRefresh(t, first))
		_, err := w.refresh(t, first)
		wantErr(t, err, tokenjar.ErrSessionReused)
		_, err = w.refresh(t, third)
		wantErr(t, err, tokenjar.ErrSessionReused)
		_, err = w.Authenticate(third.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenRevoked)
	})
}

func TestR5ALostAnswerMayBeAskedForAgainOnce(t *testing.T) { // T-05
	onEveryStore(t, func(t *testing.T, w *world) {
		first := w.login(t)
		lost := w.mustRefresh(t, first)
		w.clock.advance(time.Hour)
		again, err := w.refresh(t, first)
		if err != nil {
			t.Fatalf("late retry: %v", err)
		}
		sameTokens(t, lost, again)
		w.clock.advance(time.Second)
		w.restart(t)
		if _, err := w.refresh(t, first); err != nil {
			t.Fatalf("a second tab that wakes up with the first: %v", err)
		}
		next := w.mustRefresh(t, again)
		_ = next
		w.clock.advance(time.Hour)
		_, err = w.refresh(t, again) // its answer "lost" as well: within two rotations that is no accident
		wantErr(t, err, tokenjar.ErrSessionReused)
	})
}

func TestR5ASuccessorThatWasUsedIsNeverGivenAgainAfterTheGrace(t *testing.T) { // T-01
	for name, use := range map[string]func(w *world, g tokenjar.Grant) error{
		"its access token": func(w *world, g tokenjar.Grant) error { _, err := w.Authenticate(g.AccessToken); return err },
		"itself":           func(w *world, g tokenjar.Grant) error { _, err := w.Inspect(t.Context(), g.RefreshToken); return err },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			first := w.login(t)
			next := w.mustRefresh(t, first)
			if err := use(w, next); err != nil {
				t.Fatal(err)
			}
			go func() { done <- w.Run(ctx) }()
			stop() // Run writes the notes of the last moments before it returns
			<-done
			w.clock.advance(11 * time.Second)
			_, err := w.refresh(t, first)
			wantErr(t, err, tokenjar.ErrSessionReused)
			_, err = w.refresh(t, next)
			wantErr(t, err, tokenjar.ErrSessionReused)
		})
	}
}

// A thief who always comes first and never uses what he gets leaves the owner late retries: one in three rotations.
func TestR5AThiefWhoIsAlwaysFirstAndSilentIsCaught(t *testing.T) { // T-06
	onEveryStore(t, func(t *testing.T, w *world) {
		honest := w.login(t)
		for range 3 {
			honest = w.mustRefresh(t, honest)
		}
		stolen := honest
		silent := w.mustRefresh(t, stolen) // the thief is first
		w.clock.advance(time.Hour)
		honest = w.mustRefresh(t, honest) // the owner's late retry
		sameTokens(t, silent, honest)
		if _, err := w.Authenticate(honest.AccessToken); err != nil { // and the owner goes on
			t.Fatal(err)
		}
		w.clock.advance(time.Hour)
		silent = w.mustRefresh(t, silent) // the thief is first again
		w.clock.advance(time.Hour)
		_, err := w.refresh(t, honest)
		wantErr(t, err, tokenjar.ErrSessionReused)
		_, err = w.refresh(t, silent)
		wantErr(t, err, tokenjar.ErrSessionReused)
		_, err = w.Authenticate(silent.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenRevoked)
	}, func(c *tokenjar.Config) { c.AccessLifetime = 3 * time.Hour })
}

// A thief who uses what he gets is caught as soon as the owner comes, once the grace is over.
func TestR5AThiefWhoUsesWhatHeGetsIsCaughtByTheOwnersNextRefresh(t *testing.T) { // T-01, T-06
	onEveryStore(t, func(t *testing.T, w *world) {
		honest := w.login(t)
		thiefs := w.mustRefresh(t, honest)
		if _, err := w.Authenticate(thiefs.AccessToken); err != nil {
			t.Fatal(err)
		}
		if err := w.FlushSeen(t.Context()); err != nil { // as Run does within a second
			t.Fatal(err)
		}
		w.clock.advance(11 * time.Second)
		_, err := w.refresh(t, honest)
		wantErr(t, err, tokenjar.ErrSessionReused)
		_, err = w.Authenticate(thiefs.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenRevoked)
	})
}

// A thief who manages to come within a grace before the owner, each time, is not told from a second tab. He makes no branch,
// and the owner is shown him. Once out of step he is caught.
func TestR10AThiefInStepWithTheOwnerMakesNoBranchAndIsShown(t *testing.T) { // T-06
	onEveryStore(t, func(t *testing.T, w *world) {
		var told events
		told.on(&w.cfg)
		w.restart(t)
		honest := w.login(t)
		stolen := honest
		for range 5 {
			w.clock.advance(4*time.Minute + 50*time.Second)
			stolen = w.show(t, stolen, thief)
			w.clock.advance(9 * time.Second)
			honest = w.show(t, honest, laptop)
			sameTokens(t, stolen, honest)
			if _, err := w.Authenticate(stolen.AccessToken); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.FlushSeen(t.Context()), w.FlushShared(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		told.want(t, "refresh.shared_successor", 5)
		if row := w.row(t, honest.SessionID); row.SharedIP != laptop.IP || row.IP != thief.IP {
			t.Errorf("the row shows %s and %s", row.IP, row.SharedIP)
		}
		w.clock.advance(4*time.Minute + 50*time.Second)
		stolen = w.show(t, stolen, thief)
		if _, err := w.Authenticate(stolen.AccessToken); err != nil {
			t.Fatal(err)
		}
		if err := w.FlushSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(11 * time.Second)
		_, err := w.refresh(t, honest)
		wantErr(t, err, tokenjar.ErrSessionReused)
	})
}

func TestR6WhoeverLosesARaceIsSignedInByTheSameAnswer(t *testing.T) { // T-02, T-03
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				held := make(chan struct{})
				w := newWorldOn(t, store.open, func(c *tokenjar.Config) {
					c.Store = storehook.Wrap(c.Store.(storehook.All), func(ctx context.Context, call string, do func(context.Context) error) error {
						err := do(ctx)
						if call == "Rotate" {
							<-held // all come while the winner is on its way
						}
						return err
					})
				})
				first := w.login(t)
				grants := make([]tokenjar.Grant, 20)
				for i := range grants {
					go func() {
						var err error
						if grants[i], err = w.Refresh(context.Background(), tokenjar.RefreshRequest{Token: first.RefreshToken}); err != nil {
							t.Error(err)
						}
					}()
				}
				synctest.Wait()
				close(held)
				synctest.Wait()
				for _, g := range append(grants, w.mustRefresh(t, first)) { // and who comes a moment later
					if g.AccessToken != grants[0].AccessToken || g.RefreshToken != grants[0].RefreshToken {
						t.Error("one was given another answer")
					}
					if _, err := w.Authenticate(g.AccessToken); err != nil {
						t.Error(err)
					}
				}
				w.mustRefresh(t, grants[19])
			})
		})
	}
}

func TestR7ReuseEndsOneSessionAndNotTheUser(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		other := w.login(t)
		first := w.login(t)
		w.mustRefresh(t, w.mustRefresh(t, first))
		_, err := w.refresh(t, first)
		wantErr(t, err, tokenjar.ErrSessionReused)
		w.mustRefresh(t, other)
		w.login(t)
	})
}

// Nodes whose own clocks differ judge alike, because they judge by the store's.
func TestR8TheStoresClockDecides(t *testing.T) { // T-18
	onEveryStore(t, func(t *testing.T, w *world) {
		ahead, behind := w.off(t, 4*time.Second), w.off(t, -4*time.Second)
		first := w.login(t)
		next := ahead.mustRefresh(t, first)
		sameTokens(t, next, behind.mustRefresh(t, first))

		w.clock.advance(9 * time.Second) // the grace: not over, though 13 s have passed for one by its clock at sign-in
		again := w.off(t, 4*time.Second)
		sameTokens(t, next, again.mustRefresh(t, first))

		if _, err := w.Authenticate(next.AccessToken); err != nil {
			t.Fatal(err)
		}
		if err := w.FlushSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(2 * time.Second) // over, though the other one's clock still shows less
		_, err := w.off(t, -4*time.Second).refresh(t, first)
		wantErr(t, err, tokenjar.ErrSessionReused)
	})
}

// off returns another node whose own clock is off the store's.
func (w *world) off(t *testing.T, by time.Duration) *world {
	t.Helper()
	other := *w
	other.cfg.Now = func() time.Time { return w.clock.Now().Add(by) }
	other.restart(t)
	return &other
}

func TestR10EachWayToShowATokenTwiceIsAnEventOfItsOwn(t *testing.T) {
	for _, row := range []struct {
		event  string
		reason string
		show   func(t *testing.T, w *world, first tokenjar.Grant)
	}{
		{"refresh.rotated", "", func(t *testing.T, w *world, first tokenjar.Grant) { w.mustRefresh(t, first) }},
		{"refresh.grace_replay", "", func(t *testing.T, w *world, first tokenjar.Grant) {
			w.second(t).mustRefresh(t, first)
			w.mustRefresh(t, first)
		}},
		{"refresh.late_retry", "", func(t *testing.T, w *world, first tokenjar.Grant) {
			w.second(t).mustRefresh(t, first)
			w.clock.advance(time.Minute)
			w.mustRefresh(t, first)
		}},
		{"session.revoked", "reuse", func(t *testing.T, w *world, first tokenjar.Grant) {
			node := w.second(t)
			node.mustRefresh(t, node.mustRefresh(t, first))
			_, err := w.refresh(t, first)
			wantErr(t, err, tokenjar.ErrSessionReused)
		}},
		{"refresh.session_reused", "", func(t *testing.T, w *world, first tokenjar.Grant) {
			node := w.second(t)
			second := node.mustRefresh(t, first)
			node.mustRefresh(t, second)
			_, err := node.refresh(t, first)
			wantErr(t, err, tokenjar.ErrSessionReused)
			_, err = w.refresh(t, second) // the honest one, who is told of the theft
			wantErr(t, err, tokenjar.ErrSessionReused)
		}},
	} {
		t.Run(row.event, func(t *testing.T) {
			onEveryStore(t, func(t *testing.T, w *world) {
				first := w.login(t)
				var told events
				told.on(&w.cfg)
				here := w.second(t)
				w.cfg.OnEvent = nil // of the other nodes nothing is counted
				here.cfg.OnEvent = nil
				row.show(t, here, first)
				last := told.list[len(told.list)-1]
				if last.Name != row.event || last.Reason != row.reason || last.SessionID != first.SessionID || last.UserID != w.user.ID {
					t.Errorf("got %+v, want %s %s", last, row.event, row.reason)
				}
				if len(told.list) != 1 {
					t.Errorf("one decision was told of %d times: %+v", len(told.list), told.list)
				}
			})
		})
	}
}

func TestR11AccessTokensOfOneMomentDoNotEndAtOneMoment(t *testing.T) {
	for _, row := range []struct{ life, shortest time.Duration }{
		{5 * time.Minute, 285 * time.Second},
		{time.Hour, 57 * time.Minute},
		{20 * time.Second, 19 * time.Second},
		{19 * time.Second, 19 * time.Second},
		{time.Second, time.Second},
	} {
		w := newWorld(t, func(c *tokenjar.Config) { c.AccessLifetime = row.life })
		g := w.login(t)
		lives := make(map[time.Duration]int)
		for range 200 {
			g = w.mustRefresh(t, g)
			life := g.AccessExpires.Sub(w.clock.Now())
			lives[life]++
			if life < row.shortest || life > row.life || life%time.Second != 0 {
				t.Fatalf("of %s an access token lives for %s", row.life, life)
			}
		}
		possible := int((row.life-row.shortest)/time.Second) + 1
		if len(lives) < (possible+1)/2 && len(lives) < 50 {
			t.Errorf("of %s, 200 access tokens have %d lives: %v", row.life, len(lives), lives)
		}
	}
}

// gate is a store whose rotation waits, after its commit, until the test lets it answer.
type gate struct {
	tokenjar.Store
	tokenjar.UserStore
	committed chan struct{}
	answer    chan struct{}
}

func (g *gate) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	v, err := g.Store.Rotate(ctx, r)
	g.committed <- struct{}{}
	<-g.answer
	return v, err
}

func TestR9LogoutBeatsARefreshInFlight(t *testing.T) { // T-11
	w := newWorld(t)
	g := &gate{Store: w.store, UserStore: w.store, committed: make(chan struct{}), answer: make(chan struct{})}
	w.cfg.Store, w.cfg.Users = g, g
	w.restart(t)
	first := w.login(t)
	const sharers = 3
	errs := make(chan error, sharers)
	for range sharers {
		go func() {
			_, err := w.Refresh(context.Background(), tokenjar.RefreshRequest{Token: first.RefreshToken})
			errs <- err
		}()
	}
	<-g.committed // the rotation is in the store, its answer is not out
	if err := w.Logout(t.Context(), w.SignedSessions([]string{first.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	close(g.answer)
	for range sharers {
		wantErr(t, <-errs, tokenjar.ErrSessionEnded)
	}
}

func TestTheRotationOutlivesItsFirstCaller(t *testing.T) { // T-05, T-19
	w := newWorld(t)
	g := &gate{Store: w.store, UserStore: w.store, committed: make(chan struct{}), answer: make(chan struct{})}
	w.cfg.Store, w.cfg.Users = g, g
	w.restart(t)
	first := w.login(t)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := w.Refresh(ctx, tokenjar.RefreshRequest{Token: first.RefreshToken})
		gone <- err
	}()
	<-g.committed
	leave()
	wantErr(t, <-gone, tokenjar.ErrStoreUnavailable)
	close(g.answer)
	again, err := w.refresh(t, first)
	if err != nil || again.Generation != 2 {
		t.Fatalf("who asks again gets the answer: generation %d, %v", again.Generation, err)
	}
}

func TestIdleAndAbsoluteLimits(t *testing.T) { // T-13, S-17
	w := newWorld(t, func(c *tokenjar.Config) { c.Idle, c.Absolute = time.Hour, 90*time.Minute })
	g := w.login(t)
	end := w.clock.Now().Add(90 * time.Minute)
	w.clock.advance(time.Hour - time.Second)
	g = w.mustRefresh(t, g)
	if !g.RefreshExpires.Equal(end) {
		t.Errorf("the idle limit is %s, want it cut to the absolute end %s", g.RefreshExpires, end)
	}
	w.clock.advance(30 * time.Minute)
	g = w.mustRefresh(t, g)
	if g.AccessExpires.After(end) {
		t.Errorf("the access token lives until %s, beyond the session's end %s", g.AccessExpires, end)
	}
	w.clock.advance(end.Sub(w.clock.Now()) - 2*time.Second)
	g = w.mustRefresh(t, g)
	w.clock.advance(2 * time.Second)
	_, err := w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrTokenExpired)
	_, err = w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenExpired)
}

func TestAnExpiredOldTokenIsNeverReuse(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.Idle = time.Hour })
	first := w.login(t)
	w.clock.advance(50 * time.Minute)
	second := w.mustRefresh(t, first)
	w.clock.advance(20 * time.Minute) // the first has run out, the session has not
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrTokenExpired)
	w.mustRefresh(t, second)
}

func TestWithoutGraceAnySecondUseEndsTheSession(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.InsecureNoGrace = true })
	first := w.login(t)
	w.mustRefresh(t, first)
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionReused)
}

func TestClaimsAreRebuiltAtRefresh(t *testing.T) { // T-23
	role := "admin"
	w := newWorld(t, func(c *tokenjar.Config) {
		c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) {
			return map[string]any{"role": role}, nil
		}
	})
	g := w.login(t)
	role = "reader"
	g = w.mustRefresh(t, g)
	id, err := w.Authenticate(g.AccessToken)
	if err != nil || id.Claims().String("role") != "reader" {
		t.Fatalf("got role %q, %v; want the one of now", id.Claims().String("role"), err)
	}
}

func TestAClaimsHookCannotSetReservedClaims(t *testing.T) { // C-10
	for _, name := range []string{"sub", "exp", "iss", "aud", "jti", "sid", "gen", "token_type", "auth_time", "iat", "nbf", "client_id"} {
		w := newWorld(t, func(c *tokenjar.Config) {
			c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) { return map[string]any{name: "x"}, nil }
		})
		if _, err := w.OpenSession(t.Context(), w.user, tokenjar.Credentials{}); err == nil {
			t.Errorf("%s: login succeeded", name)
		}
	}
}

func TestADisabledUserIsOutAtOnceAndStaysOut(t *testing.T) { // T-10, V7.4.2
	w := newWorld(t)
	g := w.login(t)
	if err := w.SetUserActive(t.Context(), w.user.ID, false); err != nil {
		t.Fatal(err)
	}
	_, err := w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
	_, err = w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded)
	if err := w.SetUserActive(t.Context(), w.user.ID, true); err != nil {
		t.Fatal(err)
	}
	_, err = w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}

func TestRefreshAndAccessTokensAreNeverTakenForEachOther(t *testing.T) { // T-15
	w := newWorld(t)
	g := w.login(t)
	_, err := w.Authenticate(g.RefreshToken)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	_, err = w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.AccessToken})
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	w.mustRefresh(t, g)
}
