package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/rs/cors"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/clientip"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/metrics"
	"github.com/tokenjar/tokenjar/internal/sample"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/problem"
)

// Store is what the server needs of a store: sessions, keys and users.
type Store interface {
	tokenjar.Store
	tokenjar.UserStore
	tokenjar.UserAdmin
}

// Options are what a configuration file cannot say.
type Options struct {
	Logger     *slog.Logger
	LogDropped func() int64     // how many lines the log has lost; default: none is
	Now        func() time.Time // default time.Now
	Demo       *Demo            // the demo's page, and a service behind it
	Version    string
	Ready      func(url string) // called once, when the server listens
	// Notice is how long, at the stop, /readyz says 503 before connections are refused, so that whoever balances the
	// load can look elsewhere first. Default: none.
	Notice time.Duration

	// Secret reads the secret again, from where it came from. Default: it is never read again.
	Secret func() (tokenjar.Secret, error)

	limits *limits // of connections; default usualLimits
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
	frontends []*frontend // the first is that of public_url
	cors      *cors.Cors  // nil when no origin is listed
	metrics   *metrics.Metrics
	patterns  *patterns
	spaRoute  *metrics.Route // of the applications' files and pages
	limits    limits
	listener  *connections
	admin     net.Listener    // nil when there is none
	asked     *forwardAuth    // nil when no proxy asks
	sample    *sample.Service // behind the demo; nil otherwise
	now       func() time.Time
	heapFloor int64 // bytes; 0 leaves the collector alone
	proxies   *clientip.Resolver
	unknown   unknownAddresses
	onReady   func(string)
	secret    func() (tokenjar.Secret, error) // nil: never read again
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
	shared, err := newCORS(cfg.CORS)
	if err != nil {
		return nil, err
	}
	limiter, err := loginLimits(cfg.Limits, opts.Now)
	if err != nil {
		return nil, err
	}
	s := &Server{
		log: opts.Logger, cors: shared, metrics: metrics.New(opts.Version, opts.Now), limits: usualLimits, proxies: proxies, now: opts.Now,
		onReady: opts.Ready, notice: opts.Notice, secret: opts.Secret,
	}
	if opts.limits != nil {
		s.limits = *opts.limits
	}
	if opts.Demo == nil {
		s.heapFloor = heapFloor
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.listener = newConnections(listener, s.limits.connections, s.metrics, s.log)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.admin, err = listenAdmin(cfg); err != nil {
		return nil, err
	}
	if opts.Demo != nil {
		if err = s.addSample(&cfg); err != nil {
			return nil, err
		}
	}
	public := publicURL(cfg, listener.Addr().(*net.TCPAddr).Port)
	hasher, err := password.New(password.Config{Slots: cfg.Password.HashSlots})
	if err != nil {
		return nil, err
	}
	settings := serviceConfig(cfg, public, opts)
	settings.Secret, settings.Store, settings.Passwords = secret, store, hasher
	settings.Limits, settings.OnEvent = limiter, s.metrics.Event
	if s.service, err = tokenjar.New(ctx, settings); err != nil {
		return nil, err
	}
	s.metrics.Follow(s.service.Stats)
	s.metrics.FollowLog(opts.LogDropped)
	all := append([]config.Frontend{{PublicURL: public, SPA: cfg.SPA, Routes: cfg.Routes}}, cfg.Frontends...)
	for i, in := range all {
		f, err := s.newFrontend(cfg, in, opts)
		switch {
		case err != nil && i > 0:
			return nil, fmt.Errorf("frontends[%d]: %w", i-1, err)
		case err != nil:
			return nil, err
		}
		s.frontends = append(s.frontends, f)
	}
	if s.asked, err = s.newForwardAuth(cfg.Admin); err != nil {
		return nil, err
	}
	s.spaRoute = s.metrics.Route("spa")
	if s.patterns, err = newPatterns(s.metrics, s.main().api, "/openapi.json", "/docs", "/", "/assets/{file}"); err != nil {
		return nil, err
	}
	return s, nil
}

// main returns the frontend of public_url.
func (s *Server) main() *frontend { return s.frontends[0] }

// URL returns the public URL.
func (s *Server) URL() string { return s.main().publicURL }

// Close gives up the listeners of a server that is not going to run.
func (s *Server) Close() error {
	errs := []error{s.listener.Close()}
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.sample != nil {
		errs = append(errs, s.sample.Close())
	}
	return errors.Join(errs...)
}

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
	if s.heapFloor > 0 {
		defer HeapFloor(s.heapFloor)()
	}
	if s.sample != nil {
		defer s.sample.Close()
		if err := s.serveSample(); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	server := s.httpServer(s.Handler())
	server.ConnState = s.listener.state
	admin := s.httpServer(s.adminHandler())
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	worked := make(chan error, 1)
	go func() { worked <- s.service.Run(background) }()
	if s.secret != nil {
		go s.followSecret(background, s.secret)
	}
	served := make(chan error, 2)
	go func() { served <- server.Serve(s.listener) }()
	if s.admin != nil {
		s.log.Info("the admin listener serves metrics", "address", s.admin.Addr().String())
		go func() { served <- admin.Serve(s.admin) }()
	}
	if s.onReady != nil {
		s.onReady(s.URL())
	}
	select {
	case err := <-served:
		server.Close()
		admin.Close()
		stop()
		<-worked
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	s.log.Info("stopping: requests under way may finish", "within", drainTimeout.String())
	time.Sleep(s.notice)
	s.endStreams()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were cut off at the stop")
		err = server.Close()
	}
	admin.Close() // last, so that the drain can be watched
	stop()
	<-worked
	return err
}
