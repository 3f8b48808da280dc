package tokenjar_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

const newPassword = "a lantern under twelve stairs"

func (w *world) change(t testing.TB, g tokenjar.Grant, old, fresh tokenjar.Password) error {
	t.Helper()
	return w.ChangePassword(t.Context(), tokenjar.PasswordChangeRequest{
		Identity: g.Identity(), Old: old, New: fresh, Client: tokenjar.Client{IP: "192.0.2.1"},
	})
}

func (w *world) signIn(t testing.TB, pw tokenjar.Password) (tokenjar.Grant, error) {
	t.Helper()
	return w.Login(t.Context(), tokenjar.Credentials{Username: "ada", Password: pw}, tokenjar.Client{IP: "192.0.2.1"})
}

func TestAPasswordChangeEndsEveryOtherSession(t *testing.T) { // S-03
	w := newWorld(t)
	mine, other := w.login(t), w.login(t)
	w.clock.advance(time.Minute)
	if err := w.change(t, mine, testPassword, newPassword); err != nil {
		t.Fatal(err)
	}
	_, err := w.Authenticate(other.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
	_, err = w.refresh(t, other)
	wantErr(t, err, tokenjar.ErrSessionEnded)

	if _, err := w.Authenticate(mine.AccessToken); err != nil {
		t.Errorf("the session that asked: %v", err)
	}
	next := w.mustRefresh(t, mine)
	if !next.AuthTime.Equal(w.clock.Now()) {
		t.Errorf("auth_time is %v, want the time of the change, %v", next.AuthTime, w.clock.Now())
	}
	if !next.RefreshExpires.Before(mine.RefreshExpires.Add(2*time.Minute)) || next.SessionID != mine.SessionID {
		t.Errorf("the session has become another one: %+v", next)
	}
	_, err = w.signIn(t, testPassword)
	wantErr(t, err, tokenjar.ErrInvalidCredentials)
	if _, err := w.signIn(t, newPassword); err != nil {
		t.Errorf("the new password: %v", err)
	}
	w.restart(t)
	_, err = w.Authenticate(other.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
}

func TestAPasswordIsNotChangedWithoutTheOldOne(t *testing.T) { // A-13, S-18, L-21
	var events []tokenjar.AuditEvent
	w := newWorld(t, func(c *tokenjar.Config) { c.OnEvent = func(e tokenjar.AuditEvent) { events = append(events, e) } })
	mine, other := w.login(t), w.login(t)
	events = nil
	wantErr(t, w.change(t, mine, "wrong", newPassword), tokenjar.ErrInvalidCredentials)
	if len(events) != 1 || events[0].Name != "password.change_failed" || events[0].Reason != "wrong_password" {
		t.Errorf("INV-7 the events are %+v, want one", events)
	}
	for field, in := range map[string][2]tokenjar.Password{
		"old_password": {"", newPassword},
		"new_password": {testPassword, "password"},
	} {
		var invalid *tokenjar.ValidationError
		if err := w.change(t, mine, in[0], in[1]); !errors.As(err, &invalid) || invalid.Fields[0].Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for _, pw := range []tokenjar.Password{"adaadaada", "short", "ada@example.com"} {
		if err := w.change(t, mine, testPassword, pw); err == nil {
			t.Errorf("the new password %q was taken", string(pw))
		}
	}
	for _, g := range []tokenjar.Grant{mine, other} {
		w.mustRefresh(t, g)
	}
	if _, err := w.signIn(t, testPassword); err != nil {
		t.Errorf("the old password: %v", err)
	}
	if err := w.Logout(t.Context(), w.SignedSessions([]string{mine.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, w.change(t, mine, testPassword, newPassword), tokenjar.ErrSessionEnded)
}

// Another tab refreshes while this one changes the password: whichever comes first, nobody is signed out.
func TestAPasswordChangeAndARefreshDoNotSignEachOtherOut(t *testing.T) {
	w := newWorld(t)
	passwords := [2]tokenjar.Password{testPassword, newPassword}
	for i := range 6 {
		g, err := w.signIn(t, passwords[i%2])
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		last := g
		wg.Go(func() {
			for ctx.Err() == nil {
				next, err := w.Refresh(context.Background(), tokenjar.RefreshRequest{Token: last.RefreshToken})
				if err != nil {
					t.Errorf("round %d: refresh beside the change: %v", i, err)
					return
				}
				last = next
			}
		})
		if err := w.change(t, g, passwords[i%2], passwords[(i+1)%2]); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
		stop()
		wg.Wait()
		w.mustRefresh(t, last)
	}
}

// A sign-in with the old password that races the change never leaves a session behind.
func TestASignInRacingAPasswordChangeDoesNotSurviveIt(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	var wg sync.WaitGroup
	grants := make([]tokenjar.Grant, 4)
	for i := range grants {
		wg.Go(func() {
			got, err := w.Login(context.Background(), tokenjar.Credentials{Username: "ada", Password: testPassword}, tokenjar.Client{})
			if err == nil {
				grants[i] = got
			} else if !errors.Is(err, tokenjar.ErrInvalidCredentials) {
				t.Error(err)
			}
		})
	}
	if err := w.change(t, g, testPassword, newPassword); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for i, each := range grants {
		if each.AccessToken == "" {
			continue
		}
		if _, err := w.Authenticate(each.AccessToken); err == nil {
			t.Errorf("login %d signed in with the old password and is still signed in", i)
		}
	}
	w.mustRefresh(t, g)
}

func TestThePasswordChangeIsLimitedLikeASignIn(t *testing.T) {
	w, _, _ := limited(t, 100, 2)
	g := w.login(t)
	for range 2 {
		wantErr(t, w.change(t, g, "wrong", newPassword), tokenjar.ErrInvalidCredentials)
	}
	wantLimit(t, w.change(t, g, testPassword, newPassword), "account")
	if _, err := w.signIn(t, testPassword); err != nil {
		t.Errorf("the sign-in has the same counter: %v", err)
	}
	for range 3 { // a stranger tries
		w.signIn(t, "wrong")
	}
	w, _, _ = limited(t, 100, 2)
	g = w.login(t)
	for range 3 {
		w.signIn(t, "wrong")
	}
	if err := w.change(t, g, testPassword, newPassword); err != nil {
		t.Errorf("after a stranger's tries: %v", err)
	}
}

func TestAnAdministratorsPasswordEndsAllSessions(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	if _, err := tokenjar.ResetPassword(t.Context(), w.store, hasher(), w.cfg.PasswordPolicy, w.user, "12345678"); err == nil {
		t.Error("L-21 a common password was taken")
	}
	ended, err := tokenjar.ResetPassword(t.Context(), w.store, hasher(), w.cfg.PasswordPolicy, w.user, newPassword)
	if err != nil || fmt.Sprint(ended) != fmt.Sprint([]string{g.SessionID}) {
		t.Fatalf("ended %q, %v, want the one session", ended, err)
	}
	_, err = w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}
