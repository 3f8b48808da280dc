package tokenjar_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
	"github.com/tokenjar/tokenjar/password"
)

// clock is a wall clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	testPassword = "correct horse battery staple"
	testSecret   = "kV3xQ9wLr7tYb2NzHm5sJd8FgCa4PeUo6iXnTqW1"
)

// TestMain makes what all tests share before the first of them: what is made in a bubble of synctest cannot be used
// outside of it.
func TestMain(m *testing.M) {
	adaHash()
	os.Exit(m.Run())
}

// hasher is shared: hashing is slow on purpose.
var hasher = sync.OnceValue(func() *password.Hasher {
	h, err := password.New(password.Config{})
	if err != nil {
		panic(err)
	}
	return h
})

var adaHash = sync.OnceValue(func() string {
	phc, err := hasher().Hash(context.Background(), testPassword)
	if err != nil {
		panic(err)
	}
	return phc
})

// world is a service on a store, with one user, ada.
type world struct {
	*tokenjar.Service
	store storehook.All
	clock *clock
	cfg   tokenjar.Config
	user  tokenjar.User
}

// newWorld is a world on a store in memory.
func newWorld(t testing.TB, change ...func(*tokenjar.Config)) *world {
	t.Helper()
	return newWorldOn(t, stores[0].open, change...)
}

func newWorldOn(t testing.TB, open opener, change ...func(*tokenjar.Config)) *world {
	t.Helper()
	w := &world{clock: newClock()}
	w.store = open(t, w.clock.Now)
	w.user = tokenjar.User{
		ID: "user-ada", Username: "ada", Email: "ada@example.com", Active: true,
		PasswordHash: tokenjar.PasswordHash(adaHash()),
	}
	if err := w.store.CreateUser(t.Context(), w.user); err != nil {
		t.Fatal(err)
	}
	secret, err := tokenjar.ParseSecret([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = tokenjar.Config{
		Issuer: "https://app.example.com", Secret: secret, Store: w.store, Passwords: hasher(),
		Now: w.clock.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&w.cfg)
	}
	w.restart(t)
	return w
}

// restart makes a new service on the same store, as a second process would.
func (w *world) restart(t testing.TB) {
	t.Helper()
	s, err := tokenjar.New(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Service = s
}

// login opens a session of ada without asking for the password.
func (w *world) login(t testing.TB) tokenjar.Grant {
	t.Helper()
	g, err := w.OpenSession(t.Context(), w.user, tokenjar.Credentials{})
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return g
}

func (w *world) refresh(t testing.TB, g tokenjar.Grant) (tokenjar.Grant, error) {
	t.Helper()
	return w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken})
}

func (w *world) mustRefresh(t testing.TB, g tokenjar.Grant) tokenjar.Grant {
	t.Helper()
	next, err := w.refresh(t, g)
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	return next
}
