package tokenjar_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// L-02: a clock on the network tells the time of a password hash from none. Here its memory tells, which is exact: 19 MiB
// for each hash, and nothing near that for anything else.
func TestL02EveryRefusedSignInCostsOneHash(t *testing.T) {
	const hash = 19 << 20
	w := newWorld(t)
	disabled := tokenjar.User{ID: "user-eve", Username: "eve", PasswordHash: w.user.PasswordHash}
	program := tokenjar.User{ID: "user-bot", Username: "bot", Active: true} // has no password
	for _, u := range []tokenjar.User{disabled, program} {
		if err := w.store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	for name, in := range map[string]tokenjar.Credentials{
		"a wrong password":            {Username: "ada", Password: "wrong"},
		"an unknown user":             {Username: "nobody", Password: testPassword},
		"an unknown address":          {Email: "nobody@example.com", Password: testPassword},
		"a name that nobody can have": {Username: "no body", Password: testPassword},
		"a disabled account":          {Username: "eve", Password: testPassword},
		"an account without password": {Username: "bot", Password: testPassword},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := w.Login(context.Background(), in, tokenjar.Client{})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tokenjar.ErrInvalidCredentials) {
			t.Errorf("%s: got %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n < hash || n >= 2*hash {
			t.Errorf("%s: %d bytes were allocated, want those of one hash, %d", name, n, hash)
		}
	}
}
