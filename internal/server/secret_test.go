package server_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// A file of the secret, as the server reads it again and again.
type secretFile struct {
	text atomic.Pointer[string]
	read atomic.Int64
}

func (f *secretFile) write(text string) { f.text.Store(&text) }

func (f *secretFile) secret() (tokenjar.Secret, error) {
	defer f.read.Add(1)
	if text := *f.text.Load(); text != "" {
		return tokenjar.ParseSecret([]byte(text))
	}
	return tokenjar.Secret{}, errors.New("tokenjar.secret: no such file")
}

// taken waits until the server has read the file as it is now, and done what follows from it.
func (f *secretFile) taken(t *testing.T) {
	t.Helper()
	before := f.read.Load()
	for begin := time.Now(); f.read.Load() < before+2; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the secret is not read again")
		}
	}
}

func TestASecretIsReadAgainAndABadOneChangesNothing(t *testing.T) { // K-15
	var file secretFile
	file.write(servertest.Secret)
	w := servertest.Start(t, servertest.Setup{Options: func(o *server.Options) { o.Secret = file.secret }})
	b := w.Browser(t)
	b.Login(t, servertest.Ada)
	count := func(text string) int { return strings.Count(w.Log.String(), text) }
	works := func(step string) {
		t.Helper()
		if a := b.Do(t, "POST", "/auth/token/refresh", ""); a.Status != 200 {
			t.Errorf("%s: refresh: %d %s", step, a.Status, a.Body)
		}
		if a := b.Do(t, "GET", "/auth/user", ""); a.Status != 200 {
			t.Errorf("%s: user: %d %s", step, a.Status, a.Body)
		}
	}
	file.taken(t)
	works("unchanged")
	if n := count("read again"); n != 0 {
		t.Errorf("an unchanged secret is told of %d times", n)
	}

	for what, text := range map[string]string{
		"removed": "", "truncated": "short", "another one": tokenjar.GenerateSecret(), "a first line with a typing error": tokenjar.GenerateSecret() + "\nshort",
	} {
		said := count("the one in use stays")
		file.write(text)
		file.taken(t)
		file.taken(t)
		works(what)
		if n := count("the one in use stays") - said; n != 1 {
			t.Errorf("%s: the log says so %d times, want once", what, n)
		}
		file.write(servertest.Secret)
		file.taken(t)
	}

	fresh := tokenjar.GenerateSecret()
	w.Canary(fresh)
	for _, step := range []string{servertest.Secret + "\n" + fresh, fresh + "\n" + servertest.Secret} {
		file.write(step)
		file.taken(t)
		works("a new line")
	}
	if n := count("the secret has been read again"); n != 2 {
		t.Errorf("two changes are told of %d times", n)
	}
}
