package tokenjar_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// Users who live in another place than the sessions: what changes or fails there does so alone.

// userTable is a program's user table, which moves epochs by itself and can be down.
type userTable struct {
	tokenjar.UserStore
	epoch atomic.Int64
	down  atomic.Bool
}

func (u *userTable) User(ctx context.Context, id string) (tokenjar.User, error) {
	if u.down.Load() {
		return tokenjar.User{}, fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	user, err := u.UserStore.User(ctx, id)
	user.AuthEpoch += u.epoch.Load()
	return user, err
}

func newWorldOfOwnUsers(t *testing.T, change ...func(*tokenjar.Config)) (*world, *userTable) {
	users := &userTable{}
	return newWorld(t, append(change, func(c *tokenjar.Config) {
		users.UserStore = c.Store.(tokenjar.UserStore)
		c.Users = users
	})...), users
}

func TestR12AUserWhoCannotBeReadIsNotGone(t *testing.T) {
	w, users := newWorldOfOwnUsers(t)
	g := w.login(t)
	users.down.Store(true)
	_, err := w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrStoreUnavailable)
	users.down.Store(false)
	w.mustRefresh(t, g)
}

func TestAPasswordChangedElsewhereIsNoticedWhereTheRowsAreRead(t *testing.T) {
	w, users := newWorldOfOwnUsers(t, func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckDatabase })
	g := w.login(t)
	if err := checked(t, w, g); err != nil {
		t.Fatal(err)
	}
	users.epoch.Add(1)
	wantErr(t, checked(t, w, g), tokenjar.ErrTokenRevoked)
	_, err := w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}
