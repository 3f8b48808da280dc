package tokenjar_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
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
	for _, n := range []int{2, 10, 60} {
		w := newWorld(t)
		first := w.login(t)
		grants := make([]tokenjar.Grant, n)
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				grants[i], errs[i] = w.Refresh(context.Background(), tokenjar.RefreshRequest{Token: first.RefreshToken})
			})
		}
		wg.Wait()
		for i := range n {
			if errs[i] != nil {
				t.Fatalf("of %d: %v", n, errs[i])
			}
			sameTokens(t, grants[0], grants[i])
		}
		row, err := w.store.Session(t.Context(), first.SessionID)
		if err != nil || row.Generation != 2 || !row.RevokedAt.IsZero() {
			t.Fatalf("of %d: row is %+v, %v", n, row, err)
		}
	}
}

func TestR1StragglersOfTwoHundredAreTurnedAwayAndNothingEnds(t *testing.T) { // T-02, T-07
	w := newWorld(t)
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
}

func TestR1ReplaysAreCountedAcrossProcesses(t *testing.T) { // T-07
	w := newWorld(t)
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
}

func TestR3AnotherProcessDerivesTheSameSuccessor(t *testing.T) {
	w := newWorld(t)
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
}

func TestR4OnlyTheImmediatePredecessorMayBeReplayed(t *testing.T) { // T-09
	w := newWorld(t)
	first := w.login(t)
	third := w.mustRefresh(t, w.mustRefresh(t, first))
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionReused)
	_, err = w.refresh(t, third)
	wantErr(t, err, tokenjar.ErrSessionReused)
	_, err = w.Authenticate(third.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
}

func TestR5ALostAnswerMayBeAskedForAgainOnce(t *testing.T) { // T-05
	w := newWorld(t)
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

func TestR7ReuseEndsOneSessionAndNotTheUser(t *testing.T) {
	w := newWorld(t)
	other := w.login(t)
	first := w.login(t)
	w.mustRefresh(t, w.mustRefresh(t, first))
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionReused)
	w.mustRefresh(t, other)
	w.login(t)
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
