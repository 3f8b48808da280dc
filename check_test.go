package tokenjar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// How far a session is checked at each request.

// deafStore tells nothing of revocations while it is down.
type deafStore struct {
	*memory.Store
	down, hangs atomic.Bool
	asked       atomic.Int64
}

func (s *deafStore) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	s.asked.Add(1)
	if s.hangs.Load() {
		<-ctx.Done()
	}
	if s.down.Load() || s.hangs.Load() {
		return tokenjar.News{}, fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	return s.Store.News(ctx, since)
}

// run keeps Run at work until the test ends.
func run(t *testing.T, s *tokenjar.Service) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	for !s.Running() {
		runtime.Gosched()
	}
}

func checked(t *testing.T, w *world, g tokenjar.Grant) error {
	t.Helper()
	return w.CheckSession(t.Context(), g.Identity())
}

func TestARequestBeforeRunIsNoReasonToWarn(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(c *tokenjar.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	g := w.login(t)
	for _, step := range []struct {
		later  time.Duration
		warned int
	}{{0, 0}, {time.Second, 0}, {1, 1}, {time.Second, 1}} {
		w.clock.advance(step.later)
		if err := checked(t, w, g); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "nobody runs Service.Run"); n != step.warned {
			t.Errorf("%s later: warned %d times, want %d: %s", step.later, n, step.warned, &log)
		}
	}
}

func TestWithoutNewsOfRevocationsNobodyIsLetIn(t *testing.T) { // F-group: fail closed
	var log bytes.Buffer
	w := newWorld(t, func(c *tokenjar.Config) {
		c.AccessLifetime = time.Hour
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	g := w.login(t)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Fatal(err)
	}
	recognized := func() bool {
		_, ok := w.Recognize(g.AccessToken, "")
		return ok
	}
	w.clock.advance(tokenjar.MaxStaleness)
	if err := checked(t, w, g); err != nil || !recognized() {
		t.Fatalf("after %s: %v", tokenjar.MaxStaleness, err)
	}
	w.clock.advance(1)
	for range 2 {
		err := checked(t, w, g)
		wantErr(t, err, tokenjar.ErrStoreUnavailable)
		if !strings.Contains(err.Error(), "Service.Run") || recognized() {
			t.Errorf("got %v, recognized %v", err, recognized())
		}
	}
	if n := strings.Count(log.String(), "nobody runs Service.Run"); n != 1 {
		t.Errorf("warned %d times: %s", n, &log)
	}
	if st := w.Stats(); st.Staleness != tokenjar.MaxStaleness+1 {
		t.Errorf("staleness %s", st.Staleness)
	}
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Errorf("the token itself is good: %v", err)
	}
	if _, err := w.refresh(t, g); err != nil {
		t.Errorf("the store itself judges a refresh: %v", err)
	}
	if err := w.PollRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := checked(t, w, g); err != nil || !recognized() || w.Stats().Staleness != 0 {
		t.Errorf("after a poll: %v", err)
	}
	w.clock.advance(-time.Minute) // nobody can tell how long the last poll is past
	wantErr(t, checked(t, w, g), tokenjar.ErrStoreUnavailable)
	if recognized() {
		t.Error("recognized although the clock was set back")
	}
}

func TestStaleSessionsMayBeAllowed(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.AllowStaleSessions = true; c.AccessLifetime = time.Hour })
	g := w.login(t)
	w.Authenticate(g.AccessToken)
	w.clock.advance(tokenjar.MaxStaleness + 1)
	if err := checked(t, w, g); err != nil {
		t.Error(err)
	}
	if _, ok := w.Recognize(g.AccessToken, ""); !ok {
		t.Error("not recognized")
	}
}

func TestAClockThatJumpsRefusesNobodyWhileTheStoreAnswers(t *testing.T) { // C-15
	store := &deafStore{}
	w := newWorld(t, func(c *tokenjar.Config) {
		store.Store = c.Store.(*memory.Store)
		c.Store, c.AccessLifetime = store, 24*time.Hour
	})
	run(t, w.Service)
	g := w.login(t)
	w.Authenticate(g.AccessToken)
	other, err := tokenjar.New(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []time.Duration{time.Hour, -time.Hour, 10 * time.Hour} {
		w.clock.advance(step)
		if err := checked(t, w, g); err != nil {
			t.Errorf("after a step of %s: %v", step, err)
		}
	}
	if err := other.Logout(t.Context(), other.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Hour)
	wantErr(t, checked(t, w, g), tokenjar.ErrTokenRevoked) // what it fetched counts
	_, err = w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
}

func TestANodeThatStoodStillLearnsBeforeItTrusts(t *testing.T) { // F-18
	store := &deafStore{}
	w := newWorld(t, func(c *tokenjar.Config) {
		store.Store = c.Store.(*memory.Store)
		c.Store, c.AccessLifetime = store, 24*time.Hour
	})
	run(t, w.Service)
	other, err := tokenjar.New(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended, goesOn := w.login(t), w.login(t)
	for _, g := range []tokenjar.Grant{ended, goesOn} {
		if _, err := w.Authenticate(g.AccessToken); err != nil || checked(t, w, g) != nil {
			t.Fatal(err)
		}
	}
	if err := other.Logout(t.Context(), other.SignedSessions([]string{ended.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(2 * time.Second)
	if _, ok := w.Recognize(ended.AccessToken, ""); ok {
		t.Error("recognized by what was known before")
	}
	wantErr(t, checked(t, w, ended), tokenjar.ErrTokenRevoked)
	if err := checked(t, w, goesOn); err != nil {
		t.Error(err)
	}
	store.down.Store(true) // an outage: what was learned last counts for a while
	w.clock.advance(2 * time.Second)
	if err := checked(t, w, goesOn); err != nil {
		t.Error(err)
	}
	if _, ok := w.Recognize(goesOn.AccessToken, ""); !ok {
		t.Error("not recognized in an outage that has just begun")
	}
}

func TestRequestsDoNotWaitForAStoreThatIsDown(t *testing.T) { // F-group: 503 at once
	store := &deafStore{}
	w := newWorld(t, func(c *tokenjar.Config) {
		store.Store = c.Store.(*memory.Store)
		c.Store, c.AccessLifetime = store, 24*time.Hour
	})
	run(t, w.Service)
	g := w.login(t)
	for name, fault := range map[string]*atomic.Bool{"down": &store.down, "hanging": &store.hangs} {
		fault.Store(true)
		w.clock.advance(time.Minute)
		wantErr(t, checked(t, w, g), tokenjar.ErrStoreUnavailable) // this one may have waited, for a second
		asked := store.asked.Load()
		for range 100 {
			wantErr(t, checked(t, w, g), tokenjar.ErrStoreUnavailable)
		}
		if n := store.asked.Load() - asked; n > 50 { // Run asks four times a second
			t.Fatalf("%s: 100 requests asked the store %d times", name, n)
		}
		fault.Store(false)
		if name == "hanging" {
			return // Run hangs with it until the test ends
		}
		if err := w.PollRevocations(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := checked(t, w, g); err != nil {
			t.Errorf("%s: and again: %v", name, err)
		}
	}
}

func TestTheDatabaseIsAskedAtEachRequest(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, w *world, other *tokenjar.Service, g tokenjar.Grant) error{
		"signed out on another node": func(t *testing.T, w *world, other *tokenjar.Service, g tokenjar.Grant) error {
			return other.Logout(t.Context(), other.SignedSessions(nil, []string{g.RefreshToken}))
		},
		"account disabled on another node": func(t *testing.T, w *world, other *tokenjar.Service, g tokenjar.Grant) error {
			return other.SetUserActive(t.Context(), w.user.ID, false)
		},
		"disabled and enabled again": func(t *testing.T, w *world, other *tokenjar.Service, g tokenjar.Grant) error {
			return errors.Join(other.SetUserActive(t.Context(), w.user.ID, false), other.SetUserActive(t.Context(), w.user.ID, true))
		},
		"deleted from the store": func(t *testing.T, w *world, other *tokenjar.Service, g tokenjar.Grant) error {
			_, err := w.store.RevokeUserSessions(t.Context(), w.user.ID, "", tokenjar.ReasonLogout)
			return err
		},
		"idle": func(t *testing.T, w *world, other *tokenjar.Service, g tokenjar.Grant) error {
			w.clock.advance(25 * time.Hour)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckDatabase })
			other, err := tokenjar.New(t.Context(), w.cfg)
			if err != nil {
				t.Fatal(err)
			}
			g := w.login(t)
			if _, err := w.Authenticate(g.AccessToken); err != nil {
				t.Fatal(err)
			}
			if _, ok := w.Recognize(g.AccessToken, ""); ok {
				t.Error("recognized without the store")
			}
			w.clock.advance(tokenjar.MaxStaleness * 2) // is of no concern here
			if err := checked(t, w, g); err != nil {
				t.Fatal(err)
			}
			stranger := g.Identity()
			stranger.UserID = "user-eve"
			wantErr(t, w.CheckSession(t.Context(), stranger), tokenjar.ErrTokenRevoked)
			if err := end(t, w, other, g); err != nil {
				t.Fatal(err)
			}
			wantErr(t, checked(t, w, g), tokenjar.ErrTokenRevoked)
		})
	}
	w := newWorld(t, func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckDatabase })
	g := w.login(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, w.CheckSession(gone, g.Identity()), tokenjar.ErrStoreUnavailable)
}

func TestStatelessAsksNoRevocationsButRefreshDoes(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckStateless })
	g := w.login(t)
	if err := w.Logout(t.Context(), w.SignedSessions(nil, []string{g.RefreshToken})); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(2 * tokenjar.MaxStaleness)
	for range 2 {
		if _, err := w.Authenticate(g.AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := w.Recognize(g.AccessToken, ""); !ok || checked(t, w, g) != nil {
		t.Error("something was asked for")
	}
	_, err := w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded)
	w.clock.advance(5 * time.Minute)
	_, err = w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenExpired)
}
