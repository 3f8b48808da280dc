package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar/internal/tokencache"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/token"
)

// Defaults of [Config].
const (
	DefaultAccessLifetime = 5 * time.Minute
	DefaultIdle           = 24 * time.Hour
	DefaultRememberIdle   = 30 * 24 * time.Hour
	DefaultAbsolute       = 30 * 24 * time.Hour
	DefaultGrace          = 10 * time.Second
	DefaultMaxPerUser     = 50
	DefaultRotateEvery    = 90 * 24 * time.Hour
	DefaultAuditKeep      = 90 * 24 * time.Hour
)

// Config is what a [Service] is made of. Issuer, Secret and Store are required.
type Config struct {
	// Issuer is the "iss" claim of every token (RFC 7519, section 4.1.1), by custom the public URL.
	Issuer string
	// Audience is the "aud" claim of access tokens. Default: Issuer.
	Audience string
	// ClientID is the "client_id" claim of access tokens (RFC 9068, section 2.2). Default: Audience.
	ClientID string

	// Secret is what every key but the key ring's is derived from, and what seals the key ring.
	Secret Secret
	// Store keeps the sessions and the sealed key ring.
	Store Store
	// Users keeps the users. Default: Store, which then must implement [UserStore].
	Users UserStore

	// Algorithm signs access tokens. Default: ES256, which every service can verify. When it differs from that of the
	// key in use, a new key is published, signs after twice [JWKSMaxAge], and the old one verifies until its last token
	// is dead.
	Algorithm token.Algorithm
	// AccessLifetime is the life of an access token: whole seconds, 1 s to 24 h. Default: 5 minutes. From 20 s on up
	// to 5 % are taken off at random, so that the tokens of one moment do not end at one moment.
	AccessLifetime time.Duration
	// Idle is how long an unused session lives. Default: 24 h.
	Idle time.Duration
	// RememberIdle is the same for sessions that are remembered. Default: 30 d.
	RememberIdle time.Duration
	// Absolute is how long any session lives, from sign-in. It is never extended. Default: 30 d.
	Absolute time.Duration
	// Grace is how long the answer of a refresh may be asked for again with the same token, at most 60 s: that is how
	// parallel tabs and lost answers are told from theft. Default: 10 s; it is cut to Idle.
	Grace time.Duration
	// InsecureNoGrace makes Grace 0: any second use of a refresh token ends the session, also an honest one.
	InsecureNoGrace bool
	// MaxPerUser is how many sessions a user may have; the least recently used one makes room. Default: 50.
	MaxPerUser int

	// Passwords hashes and checks passwords. Default: package password's defaults.
	Passwords *password.Hasher
	// PasswordPolicy says which passwords may be chosen. Default: package password's.
	PasswordPolicy password.Policy
	// Claims adds claims to access tokens, at sign-in and at every refresh. Reserved names are an error at issue.
	Claims func(ctx context.Context, u User) (map[string]any, error)

	// Limits is asked before a password is checked. Default: nobody is turned away.
	Limits LoginLimits
	// SessionCheck is how a request's session is checked. Default: [CheckCached].
	SessionCheck SessionCheck
	// AllowStaleSessions accepts access tokens also while this node has not learned of revocations for more than
	// [MaxStaleness]: until it does, a session ended elsewhere still works here.
	AllowStaleSessions bool
	// RotateEvery is how long a key signs before a new one is published to replace it: at least 24 h. Default: 90 d;
	// negative: never.
	RotateEvery time.Duration

	// Audit keeps security events. Default: Store, if it implements [AuditStore]; otherwise they are logged alone.
	Audit AuditStore
	// AuditKeep is how long they are kept. Default: 90 d.
	AuditKeep time.Duration
	// OnEvent is told of each security event, for metrics. It is called on the request's path, must be quick and safe
	// for concurrent use.
	OnEvent func(AuditEvent)

	// Now is the clock of this node. Default: time.Now. Sessions are judged by the store's clock, tokens by this one.
	Now func() time.Time
	// Logger takes security events and faults. Default: slog.Default().
	Logger *slog.Logger
}

// A Service signs users in, keeps their sessions and ends them. It knows nothing of HTTP. Make it with [New], and keep
// [Service.Run] running beside it. All methods are safe for concurrent use.
type Service struct {
	cfg       Config
	store     Store
	users     UserStore
	ownUsers  bool // users live outside the store
	passwords *password.Hasher
	timing    Timing
	log       *slog.Logger
	now       func() time.Time

	secrets atomic.Pointer[secrets]
	keys    atomic.Pointer[ringState]
	ringMu  sync.Mutex // held while keys is replaced

	accessDecoder *token.Decoder // see also signedAccess
	signedAccess  *token.Decoder // the same, whatever the token's times: for sign-out
	accessEncoder *token.Encoder

	seed        maphash.Seed      // of session ids in memory
	verified    *tokencache.Cache // what accessDecoder has verified, and nobody else
	owners      tokenOwners
	revoked     revocations
	claims      raisedClaims
	outcomes    outcomes
	seen        seenGenerations
	shares      shares
	undelivered undeliveredAnswers
	audit       auditTrail
	upstream    upstreamIssuers
	bound       boundContexts
	orphans     orphans

	runMu          sync.Mutex // held by Run
	running        atomic.Bool
	warnNotRunning sync.Once
}

// New checks the configuration, opens the key ring in the store (or makes one) and loads recent revocations. It starts
// nothing: [Service.Run] does.
//
// It fails with a sentence that names the wrong field, with [ErrKeyRingSealed] when the secret is not the one the ring
// was sealed with, and with [ErrStoreUnavailable].
func New(ctx context.Context, cfg Config) (*Service, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, store: cfg.Store, users: cfg.Users, passwords: cfg.Passwords,
		log: cfg.Logger, now: cfg.Now,
		timing: Timing{Idle: cfg.Idle, RememberIdle: cfg.RememberIdle, Absolute: cfg.Absolute, Grace: cfg.Grace},
	}
	_, inStore := cfg.Store.(UserStore)
	s.ownUsers = !inStore || any(cfg.Users) != any(cfg.Store)
	s.seed, s.verified = maphash.MakeSeed(), tokencache.New()
	s.seen.init(s.seed)
	s.owners.init()
	s.revoked.init(s.seed)
	derived, err := newSecrets(cfg, cfg.Secret)
	if err != nil {
		return nil, err
	}
	s.secrets.Store(derived)
	if err := s.openKeyRing(ctx); err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	if err := s.newAccessCodec(); err != nil {
		return nil, err
	}
	if err := s.loadNews(ctx); err != nil {
		return nil, fmt.Errorf("load revocations: %w", err)
	}
	return s, nil
}

// complete fills in the defaults and checks every field; all mistakes are reported together.
func (c Config) complete() (Config, error) {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("tokenjar: Config."+field+": "+format, args...))
	}
	or := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	or(&c.AccessLifetime, DefaultAccessLifetime)
	or(&c.Idle, DefaultIdle)
	or(&c.RememberIdle, DefaultRememberIdle)
	or(&c.Absolute, DefaultAbsolute)
	if c.InsecureNoGrace {
		if c.Grace != 0 {
			bad("Grace", "is %s, but InsecureNoGrace is set: leave one of them out", c.Grace)
		}
	} else {
		or(&c.Grace, DefaultGrace)
	}
	c.Grace = min(c.Grace, c.Idle)
	if c.MaxPerUser == 0 {
		c.MaxPerUser = DefaultMaxPerUser
	}
	if c.Issuer == "" {
		bad("Issuer", "is required: by custom the public URL")
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.ClientID == "" {
		c.ClientID = c.Audience
	}
	if c.Secret.IsZero() {
		bad("Secret", "is required: see ParseSecret and GenerateSecret")
	}
	if c.Algorithm == "" {
		c.Algorithm = token.ES256
	}
	if c.AccessLifetime < time.Second || c.AccessLifetime > 24*time.Hour || c.AccessLifetime%time.Second != 0 {
		bad("AccessLifetime", "is %s, but must be whole seconds between 1s and 24h", c.AccessLifetime)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"Idle", c.Idle}, {"RememberIdle", c.RememberIdle}, {"Absolute", c.Absolute}} {
		if d.value < time.Second || d.value > 400*24*time.Hour {
			bad(d.field, "is %s, but must be between 1s and 400 days", d.value)
		}
	}
	if c.Grace < 0 || c.Grace > time.Minute {
		bad("Grace", "is %s, but must be at most 60s", c.Grace)
	}
	if c.MaxPerUser < 1 {
		bad("MaxPerUser", "is %d, but must be at least 1", c.MaxPerUser)
	}
	if c.Store == nil {
		bad("Store", "is required: see packages store/sqlite and store/memory")
	} else if c.Users == nil {
		users, ok := c.Store.(UserStore)
		if !ok {
			bad("Users", "is required, because the store keeps no users")
		}
		c.Users = users
	}
	if c.SessionCheck == "" {
		c.SessionCheck = CheckCached
	}
	if c.SessionCheck != CheckCached && c.SessionCheck != CheckDatabase && c.SessionCheck != CheckStateless {
		bad("SessionCheck", "is not known: use cached, database or stateless")
	}
	or(&c.RotateEvery, DefaultRotateEvery)
	if c.RotateEvery > 0 && c.RotateEvery < 24*time.Hour {
		bad("RotateEvery", "is %s, but must be at least 24h, or negative for never", c.RotateEvery)
	}
	or(&c.AuditKeep, DefaultAuditKeep)
	if c.AuditKeep < 0 {
		bad("AuditKeep", "is %s, but must be positive", c.AuditKeep)
	}
	if audit, ok := c.Store.(AuditStore); ok && c.Audit == nil {
		c.Audit = audit
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Passwords == nil {
		hasher, err := password.New(password.Config{})
		if err != nil {
			bad("Passwords", "%w", err)
		}
		c.Passwords = hasher
	}
	return c, errors.Join(errs...)
}

// Timing returns the session limits in force.
func (s *Service) Timing() Timing { return s.timing }

// AccessLifetime returns how long an access token lives at most.
func (s *Service) AccessLifetime() time.Duration { return s.cfg.AccessLifetime }

// SessionCheck returns how sessions are checked on every request.
func (s *Service) SessionCheck() SessionCheck { return s.cfg.SessionCheck }

// Issuer returns the "iss" claim of every token.
func (s *Service) Issuer() string { return s.cfg.Issuer }

// Logger returns the logger of the configuration.
func (s *Service) Logger() *slog.Logger { return s.log }

// Ready reports whether the store answers, this node's clock is within [MaxSkew] of the store's, and it knows what became
// of sessions and keys: with [CheckCached] it must have learned of that within [MaxStaleness]. Otherwise it returns an
// error that wraps [ErrStoreUnavailable].
func (s *Service) Ready(ctx context.Context) error {
	if skew := s.skew(); skew.Abs() > MaxSkew {
		return fmt.Errorf("%w: the clock of this node is %s off the store's, which is more than %s", ErrStoreUnavailable,
			skew.Round(time.Millisecond), MaxSkew)
	}
	if _, _, err := s.store.KeyRing(ctx); err != nil || s.cfg.SessionCheck != CheckCached {
		return err
	}
	return s.checkFresh(ctx)
}
