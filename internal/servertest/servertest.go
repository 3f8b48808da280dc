// Package servertest starts a whole server for tests: real listener, real cookies, a clock that tests set, and a log
// that is searched for secrets at the end.
package servertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/store/memory"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// The users of every world, and what they sign in with.
const (
	Ada      = "ada"
	Eve      = "eve"
	Disabled = "disabled"
	Password = tokenjartest.Password
	Secret   = "canary-Hq7Zt3Vb9Xw2Ln5Rk8Yd4Pc6Gf1Ms0Jj_uEaT-iOoS"
)

// A World is one running server and what surrounds it.
type World struct {
	URL     string // public, as browsers write it
	Origin  string
	Clock   *tokenjartest.Clock
	Store   *FaultyStore
	Server  *server.Server
	Service *tokenjar.Service
	Log     *Log

	// MayPanic says that the test makes the server panic.
	MayPanic bool

	addr     string
	others   bool         // the configuration leads paths that are not the API's to services or pages
	client   *http.Client // without a jar
	stop     context.CancelFunc
	stopped  chan error
	canaries []string
	mu       sync.Mutex

	contractOnce sync.Once
	contract     *Contract
}

// Setup changes a world before it starts.
type Setup struct {
	Config  func(*config.Config)
	Options func(*server.Options)
	Demo    bool
	// Store opens another store than one in memory: empty, with that clock, and closed by t.Cleanup.
	Store func(t testing.TB, now func() time.Time) Store
	// Between stands between the server and its store.
	Between func(*FaultyStore) server.Store
	// Beside makes it another node of the same deployment: it shares that world's clock and what is in its store.
	Beside *World
}

// Start runs a server until the test ends. Then it fails the test if a canary, a password, a token or the secret stands
// in the log, or if the server panicked.
func Start(t testing.TB, setups ...Setup) *World {
	t.Helper()
	w := &World{Log: &Log{}}
	for _, s := range setups {
		if s.Beside != nil {
			w.Clock, w.Store = s.Beside.Clock, &FaultyStore{Store: s.Beside.Store.Store}
		}
	}
	if w.Store == nil {
		w.Clock = tokenjartest.NewClock(time.Now().Truncate(time.Second))
		w.Store = newStore(t, w.Clock, setups)
	}
	cfg := config.Defaults()
	cfg.Listen = "127.0.0.1:0"
	cfg.Limits = config.Limits{LoginPerAccount: "1000000/s", LoginPerAddress: "1000000/s"} // tests of them set their own
	opts := server.Options{
		Logger: slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:    w.Clock.Now, Version: "test",
	}
	var store server.Store = w.Store
	for _, s := range setups {
		if s.Between != nil {
			store = s.Between(w.Store)
		}
		if s.Config != nil {
			s.Config(&cfg)
		}
		if s.Options != nil {
			s.Options(&opts)
		}
		if s.Demo {
			opts.Demo = &server.Demo{Username: Ada, Password: "shown on the page"}
		}
	}
	w.others = len(cfg.Routes)+len(cfg.Frontends) > 0 || cfg.SPA.Dir+cfg.SPA.DevServer != ""
	secret, err := tokenjar.ParseSecret([]byte(Secret))
	if err != nil {
		t.Fatal(err)
	}
	if w.Server, err = server.Open(t.Context(), cfg, secret, store, opts); err != nil {
		t.Fatal(err)
	}
	w.URL, w.Service, w.addr = w.Server.URL(), w.Server.Service(), w.Server.Addr().String()
	w.Origin = w.URL
	w.client = w.newClient(t)
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.stopped = stop, make(chan error, 1)
	go func() { w.stopped <- w.Server.Run(ctx) }()
	t.Cleanup(func() {
		w.Stop()
		if err := <-w.stopped; err != nil {
			t.Errorf("server stopped with %v", err)
		}
		w.checkLog(t)
	})
	return w
}

// newStore returns a store with the users of every world.
func newStore(t testing.TB, clock *tokenjartest.Clock, setups []Setup) *FaultyStore {
	t.Helper()
	store := &FaultyStore{Store: memory.New(memory.Config{Now: clock.Now})}
	for _, s := range setups {
		if s.Store != nil {
			store.Store = s.Store(t, clock.Now)
		}
	}
	for i, name := range []string{Ada, Eve, Disabled} {
		u := tokenjar.User{
			ID: "user-" + name, Username: name, Email: name + "@example.com", FirstName: strings.ToUpper(name[:1]) + name[1:],
			PasswordHash: tokenjartest.PasswordHash(), Active: i < 2, CreatedAt: clock.Now(),
		}
		if err := store.Store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// Stop tells the server to stop, as a signal does. It does not wait.
func (w *World) Stop() { w.stop() }

// Canary plants a text that must never be logged.
func (w *World) Canary(texts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range texts {
		if len(s) >= 8 {
			w.canaries = append(w.canaries, s)
		}
	}
}

func (w *World) checkLog(t testing.TB) {
	t.Helper()
	w.Canary(Password, Secret)
	log := w.Log.String()
	for _, canary := range w.canaries {
		if strings.Contains(log, canary) {
			t.Errorf("the log holds %q", canary)
		}
	}
	if !w.MayPanic && strings.Contains(log, `"msg":"panic"`) || strings.Contains(log, "http: panic serving") {
		t.Errorf("the server panicked:\n%s", log)
	}
}

// Addr returns the address the server listens on, for raw connections.
func (w *World) Addr() string { return w.addr }

// Log is a buffer that many goroutines write to.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Events returns the names of the security events so far, in order.
func (l *Log) Events() []string {
	var names []string
	for line := range strings.Lines(l.String()) {
		var rec struct {
			Event string `json:"event"`
		}
		if json.Unmarshal([]byte(line), &rec) == nil && rec.Event != "" {
			names = append(names, rec.Event)
		}
	}
	return names
}

// Digest is a fingerprint of all sessions of the test's users, for "changes nothing".
func (w *World) Digest(t testing.TB) string {
	t.Helper()
	h := sha256.New()
	for _, name := range []string{Ada, Eve, Disabled} {
		u, err := w.Store.Store.User(t.Context(), "user-"+name)
		if err != nil {
			t.Fatal(err)
		}
		list, err := w.Store.Store.UserSessions(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(list, func(a, b tokenjar.Session) int { return strings.Compare(a.ID, b.ID) })
		for i := range list {
			list[i].ReadAt, list[i].SuccessorSeen = time.Time{}, false
		}
		fmt.Fprintf(h, "%s %s %s %v %v\n", u.ID, u.FirstName, u.LastName, u.LastLogin, list)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// HTTPS is the set-up of a public https deployment.
var HTTPS = Setup{Config: func(c *config.Config) { c.PublicURL = "https://app.example.com" }}
