package tokenjartest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
)

// Config changes what [New] makes. The zero Config is good for most tests.
type Config struct {
	// Clock is the time of everything. Default: NewClock(time.Time{}).
	Clock *Clock

	// URL is the public address. Default: that of the server, https://127.0.0.1 and a free port, which every program on
	// this machine reaches. For an address that is the same in every run give https://example.com or one of a host
	// under it, without a port: the clients of the app are led to the server, and nobody else is.
	URL string

	// InsecureHTTP serves http://127.0.0.1 and a free port. Then the cookies have neither Secure nor the prefix __Host-,
	// as on nobody's production server; it is for what cannot be told to trust the server's certificate. It does not go
	// with URL.
	InsecureHTTP bool

	// Service, Guard and API change the configuration of these parts before they are made: claims, life times, a user
	// table of one's own, cookie names. What [New] needs is filled in already.
	Service func(*tokenjar.Config)
	Guard   func(*session.Config)
	API     func(*httpapi.Config)

	// Logger takes what the service and the server have to say. Default: the output of the test, with the time of Clock.
	Logger *slog.Logger
}

// An App is a tokenjar in memory that runs until its test ends. Its fields are set by [New] and not changed after that;
// it is safe for concurrent use.
type App struct {
	URL     string // public, without a slash at the end
	Clock   *Clock
	Store   tokenjar.Store // a [*memory.Store] unless Config.Service put another one in
	Service *tokenjar.Service
	Guard   *session.Guard
	API     *httpapi.API

	t testing.TB
	*shared
}

// shared is what an app is for every test that uses it.
type shared struct {
	handler atomic.Pointer[http.Handler]
	server  *httptest.Server
	base    *url.URL
	users   tokenjar.UserStore
	csrf    string // name of the CSRF cookie

	mu       sync.Mutex
	visitors map[string]*Client // of Request and Context, by user name
}

// New makes an App and lets it run until the test ends: then the server is closed, the service has stopped, and no
// goroutine is left. It fails the test when a part refuses its configuration.
//
// It takes about 20 ms of a core, more than half of them for the OpenAPI document of the sign-in routes.
func New(t testing.TB, cfg Config) *App {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = &Clock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = newLogger(t.Output(), cfg.Clock)
	}
	a := &App{Clock: cfg.Clock, t: t, shared: &shared{visitors: map[string]*Client{}}}
	// The service needs its address before there is anything to serve: a server that is not started listens already.
	a.server = httptest.NewUnstartedServer(a)
	a.server.Config.ErrorLog = slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelError)
	stop := func() {}
	t.Cleanup(func() {
		a.server.Close() // first: while requests are answered the service runs
		stop()
	})
	if err := a.address(cfg); err != nil {
		t.Fatal(err)
	}
	if err := a.assemble(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	stop = run(a.Service)
	if cfg.InsecureHTTP {
		a.server.Start()
	} else {
		a.server.StartTLS()
	}
	return a
}

// newLogger writes to a test's output, in the time that the test is in.
func newLogger(w io.Writer, clock *Clock) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Value = slog.TimeValue(clock.Now())
			}
			return a
		},
	}))
}

// address decides the public address.
func (a *App) address(cfg Config) (err error) {
	switch {
	case cfg.InsecureHTTP && cfg.URL != "":
		return errors.New("tokenjartest: Config.InsecureHTTP does not go with Config.URL: leave one of them out")
	case cfg.InsecureHTTP:
		a.URL = "http://" + a.server.Listener.Addr().String()
	case cfg.URL == "":
		a.URL = "https://" + a.server.Listener.Addr().String()
	default:
		u, err := url.Parse(cfg.URL)
		if err != nil || cfg.URL != "https://"+u.Host || u.Host != "example.com" && !strings.HasSuffix(u.Host, ".example.com") {
			return fmt.Errorf("tokenjartest: Config.URL is %q, but must be https://example.com or that of a host under it, "+
				"whose certificate the server has", cfg.URL)
		}
		a.URL = cfg.URL
	}
	a.base, err = url.Parse(a.URL)
	return err
}

// assemble makes the parts, as a program of its own does.
func (a *App) assemble(ctx context.Context, cfg Config) error {
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		return err
	}
	service := tokenjar.Config{
		Issuer: a.URL, Secret: secret, Store: memory.New(memory.Config{Now: a.Clock.Now}),
		Passwords: hasher(), Now: a.Clock.Now, Logger: cfg.Logger,
	}
	if cfg.Service != nil {
		cfg.Service(&service)
	}
	if a.Service, err = tokenjar.New(ctx, service); err != nil {
		return err
	}
	a.Store, a.users = service.Store, service.Users
	if a.users == nil {
		a.users = service.Store.(tokenjar.UserStore) // or the service would have refused it
	}
	guard := session.Config{Service: a.Service, PublicURL: a.URL, Now: a.Clock.Now}
	if cfg.Guard != nil {
		cfg.Guard(&guard)
	}
	if guard.Cookies == nil {
		if guard.Cookies, err = cookie.New(cookie.Config{PublicURL: guard.PublicURL}); err != nil {
			return err
		}
	}
	a.csrf = guard.Cookies.CSRFName()
	if a.Guard, err = session.New(guard); err != nil {
		return err
	}
	api := httpapi.Config{Guard: a.Guard}
	if cfg.API != nil {
		cfg.API(&api)
	}
	a.API, err = httpapi.New(api)
	return err
}

// run lets a service run and returns what stops it. When it returns, the service runs: before that, a clock that is moved
// would make it look like one that learns of nothing.
func run(service *tokenjar.Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	watched := &watchedContext{Context: ctx, asked: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		service.Run(watched)
	}()
	<-watched.asked
	return func() {
		cancel()
		<-done
	}
}

// A watchedContext tells when somebody first waits for its end, which Service.Run does once it runs.
type watchedContext struct {
	context.Context
	once  sync.Once
	asked chan struct{}
}

// Done implements [context.Context].
func (c *watchedContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.asked) })
	return c.Context.Done()
}

// With returns the same app for another test, most often a subtest: what fails then fails t.
func (a *App) With(t testing.TB) *App {
	b := *a
	b.t = t
	return &b
}

// Serve puts a handler on the server, beside the sign-in routes under /auth/ and the public keys at
// /.well-known/jwks.json, which are there from the start. The handler decides what it guards, with a.Guard. Called again
// it replaces the handler, for requests that come in after that.
func (a *App) Serve(handler http.Handler) { a.handler.Store(&handler) }

// ServeHTTP answers as the server does, for tests that record an answer instead of sending a request: see [App.Request].
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ours := strings.CutPrefix(r.URL.Path, a.API.Prefix())
	if ours && (rest == "" || rest[0] == '/') || r.URL.Path == jwksPath {
		a.API.ServeHTTP(w, r)
		return
	}
	handler := a.handler.Load()
	if handler == nil {
		http.Error(w, "tokenjartest: no handler yet: call App.Serve", http.StatusNotFound)
		return
	}
	(*handler).ServeHTTP(w, r)
}

const jwksPath = "/.well-known/jwks.json"
