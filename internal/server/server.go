package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/clientip"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/ui"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/problem"
)

// Limits on connections. A client slower than these is cut off.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 120 * time.Second
	drainTimeout  = 10 * time.Second // for requests under way at the stop
	maxHeader     = 60 << 10         // bytes; net/http adds 4 KiB
)

// Store is what the server needs of a store: sessions, keys and users.
type Store interface {
	tokenjar.Store
	tokenjar.UserStore
	tokenjar.UserAdmin
}

// Options are what a configuration file cannot say.
type Options struct {
	Logger  *slog.Logger
	Now     func() time.Time // default time.Now
	Demo    *Demo            // the demo's page and sample API
	Version string
	Ready   func(url string) // called once, when the server listens
	// Notice is how long, at the stop, /readyz says 503 before connections are refused, so that whoever balances the
	// load can look elsewhere first. Default: none.
	Notice time.Duration
}

// Demo are the credentials that the demo's page shows.
type Demo struct {
	Username string
	Password string
}

// A Server is one node.
type Server struct {
	log       *slog.Logger
	service   *tokenjar.Service
	api       *httpapi.API
	guard     *middleware.Guard
	site      *ui.Site
	sample    http.Handler // of the demo; nil otherwise
	listener  net.Listener
	proxies   *clientip.Resolver
	publicURL string
	hosts     []string
	https     bool
	onReady   func(string)
	notice    time.Duration
	stopping  atomic.Bool
}

// Open builds everything and listens, so that a port 0 is known. It starts nothing else.
func Open(ctx context.Context, cfg config.Config, secret tokenjar.Secret, store Store, opts Options) (_ *Server, err error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	proxies, err := clientip.New(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	defer func() {
		if err != nil {
			listener.Close()
		}
	}()
	s := &Server{log: opts.Logger, listener: listener, proxies: proxies, onReady: opts.Ready, notice: opts.Notice}
	if s.publicURL = cfg.PublicURL; s.publicURL == "" {
		s.publicURL = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	}
	s.publicURL = strings.TrimSuffix(s.publicURL, "/")
	public, err := url.Parse(s.publicURL)
	if err != nil {
		return nil, fmt.Errorf("public_url: %w", err)
	}
	s.hosts, s.https = hosts(public), public.Scheme == "https"

	hasher, err := password.New(password.Config{Slots: cfg.Password.HashSlots})
	if err != nil {
		return nil, err
	}
	s.service, err = tokenjar.New(ctx, serviceConfig(cfg, s.publicURL, secret, store, hasher, opts))
	if err != nil {
		return nil, err
	}
	cookies, err := cookie.New(cfg.CookieConfig(s.publicURL))
	if err != nil {
		return nil, err
	}
	s.guard, err = middleware.New(middleware.Config{
		Service: s.service, PublicURL: s.publicURL, Cookies: cookies,
		TrustedOrigins: cfg.CSRF.TrustedOrigins,
		NoRenewal:      !cfg.Session.TransparentRenewal, RenewalExclude: cfg.Session.RenewalExclude,
		ClientIP: proxies.ClientIP, Now: opts.Now,
	})
	if err != nil {
		return nil, err
	}
	s.api, err = httpapi.New(httpapi.Config{Guard: s.guard, Path: cfg.Auth.Path, Version: opts.Version, Ready: s.ready})
	if err != nil {
		return nil, err
	}
	page := ui.Options{AuthPath: cfg.Auth.Path, CSRFCookie: cookies.CSRFName()}
	if opts.Demo != nil {
		page.Demo, page.SampleAPI = true, samplePath
		page.Username, page.Password = opts.Demo.Username, opts.Demo.Password
		s.sample = s.guard.Required(http.HandlerFunc(serveSample))
	}
	if s.site, err = ui.Handler(page); err != nil {
		return nil, err
	}
	return s, nil
}

// serviceConfig translates the settings for the root package.
func serviceConfig(cfg config.Config, publicURL string, secret tokenjar.Secret, store Store, hasher *password.Hasher, opts Options) tokenjar.Config {
	issuer := cfg.Token.Issuer
	if issuer == "" {
		issuer = publicURL
	}
	audience := cfg.Token.Audience
	if audience == "" {
		audience = publicURL
	}
	return tokenjar.Config{
		Issuer: issuer, Audience: audience, ClientID: cfg.Token.ClientID,
		Secret: secret, Store: store, Passwords: hasher,
		Algorithm: cfg.Token.Algorithm, AccessLifetime: cfg.Token.AccessLifetime,
		Idle: cfg.Session.Idle, RememberIdle: cfg.Session.Remember, Absolute: cfg.Session.Absolute,
		Grace: cfg.Session.Grace, InsecureNoGrace: cfg.Session.Grace == 0, MaxPerUser: cfg.Session.MaxPerUser,
		Now: opts.Now, Logger: opts.Logger,
	}
}

// URL returns the public URL.
func (s *Server) URL() string { return s.publicURL }

// Close gives up the listener of a server that is not going to run.
func (s *Server) Close() error { return s.listener.Close() }

// Addr returns the address it listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Service returns the service, for tests and for what runs beside the server.
func (s *Server) Service() *tokenjar.Service { return s.service }

// ready reports whether requests should be sent here.
func (s *Server) ready(ctx context.Context) error {
	if s.stopping.Load() {
		return problem.New(problem.StoreUnavailable).WithDetail("This server is stopping. Ask another one.")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.service.Ready(ctx)
}

// Run serves until ctx is cancelled. Then it says that it is not ready, after the notice takes no new connections, lets
// requests under way finish, and returns nil.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is judged like everything else
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	worked := make(chan error, 1)
	go func() { worked <- s.service.Run(background) }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	if s.onReady != nil {
		s.onReady(s.publicURL)
	}
	select {
	case err := <-served:
		stop()
		<-worked
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	s.log.Info("stopping: requests under way may finish", "within", drainTimeout.String())
	time.Sleep(s.notice)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were cut off at the stop")
		err = server.Close()
	}
	stop()
	<-worked
	return err
}
