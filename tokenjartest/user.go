package tokenjartest

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/password"
)

// Password is what every user signs in with whom an [App] has made.
const Password = "correct horse battery staple"

// hasher is one for the process, of the strength that is always asked for: package password knows no weaker one, and
// tests do not get one either. The queue has room for all parallel tests of a package.
var hasher = sync.OnceValue(func() *password.Hasher {
	h, err := password.New(password.Config{Slots: runtime.GOMAXPROCS(0), Queue: 1 << 20})
	if err != nil {
		panic("tokenjartest: " + err.Error()) // only for figures out of range
	}
	return h
})

var passwordHash = sync.OnceValue(func() tokenjar.PasswordHash {
	phc, err := hasher().Hash(context.Background(), Password)
	if err != nil {
		panic("tokenjartest: " + err.Error()) // only for a password of a wrong length, or a context that ends
	}
	return tokenjar.PasswordHash(phc)
})

// PasswordHash returns a hash of [Password], made once in a process: for a user table of one's own, whose users
// [App.SignIn] is to sign in.
func PasswordHash() tokenjar.PasswordHash { return passwordHash() }

// User returns the user of a name, and makes one if there is none: active, with [Password], the address name@example.com
// where that is one, and what the changes set. It fails the test when there are changes although the user exists, when the
// store refuses the user, and when the service's users live in a store that cannot make any ([tokenjar.UserAdmin]).
func (a *App) User(name string, changes ...func(*tokenjar.User)) tokenjar.User {
	a.t.Helper()
	ctx := context.Background()
	named := tokenjar.Identifier{Username: name}
	u, err := a.users.FindUser(ctx, named)
	switch {
	case err == nil && len(changes) > 0:
		a.t.Fatalf("tokenjartest: user %q exists, so it is too late for changes", name)
	case err == nil:
		return u
	case !errors.Is(err, tokenjar.ErrNotFound):
		a.t.Fatalf("tokenjartest: user %q: %v", name, err)
	}
	admin, ok := a.users.(tokenjar.UserAdmin)
	if !ok {
		a.t.Fatalf("tokenjartest: there is no user %q, and %T makes none: put one in, with tokenjartest.PasswordHash()",
			name, a.users)
	}
	id, err := uuid.NewV7()
	if err != nil {
		a.t.Fatal(err)
	}
	u = tokenjar.User{ID: id.String(), Username: name, PasswordHash: PasswordHash(), Active: true, CreatedAt: a.Clock.Now()}
	if email := name + "@example.com"; validEmail(email) {
		u.Email = email
	}
	for _, change := range changes {
		change(&u)
	}
	err = admin.CreateUser(ctx, u)
	if errors.Is(err, tokenjar.ErrConflict) && len(changes) == 0 {
		u, err = a.users.FindUser(ctx, named) // somebody else has made it in the meantime
	} else if err == nil {
		u, err = a.users.User(ctx, u.ID)
	}
	if err != nil {
		a.t.Fatalf("tokenjartest: user %q: %v", name, err)
	}
	return u
}

func validEmail(address string) bool {
	_, ok := tokenjar.EmailKey(address)
	return ok
}
