package ratelimit

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/throttled/throttled/v2"

	"github.com/tokenjar/tokenjar"
)

// Config is what Logins may be told. The zero Config is good.
type Config struct {
	PerAccount Rate // Default 5/m.
	PerAddress Rate // Default 30/m.

	// MaxKeys is how many accounts, and how many addresses, may have used up their rate at one time without others being
	// mistaken for them; at most 16,777,216. It decides the memory, about 64 to 128 bytes each, for accounts and again for
	// addresses. Default 65,536: 4 MiB each, which is touched only as it is used.
	MaxKeys int

	// Now is the clock. Default [time.Now].
	Now func() time.Time
}

const (
	defaultMaxKeys = 1 << 16
	mostMaxKeys    = 1 << 24
)

// Logins counts tries to sign in. It is safe for concurrent use.
type Logins struct {
	accounts, addresses *limiter
}

var _ tokenjar.LoginLimits = (*Logins)(nil)

// New returns limits at which nothing has been tried yet. It fails for a rate or a size that is out of bounds.
func New(cfg Config) (*Logins, error) {
	if cfg.PerAccount == (Rate{}) {
		cfg.PerAccount = Rate{Burst: 5, Per: time.Minute}
	}
	if cfg.PerAddress == (Rate{}) {
		cfg.PerAddress = Rate{Burst: 30, Per: time.Minute}
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = defaultMaxKeys
	}
	if cfg.MaxKeys < 0 || cfg.MaxKeys > mostMaxKeys {
		return nil, fmt.Errorf("login limits: MaxKeys is %d: must be 1 to %d", cfg.MaxKeys, mostMaxKeys)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	accounts, err := newLimiter("account", cfg.PerAccount, cfg)
	if err != nil {
		return nil, err
	}
	addresses, err := newLimiter("address", cfg.PerAddress, cfg)
	if err != nil {
		return nil, err
	}
	return &Logins{accounts: accounts, addresses: addresses}, nil
}

// AllowAddress implements [tokenjar.LoginLimits]. One client has many spellings and, with IPv6, 2^64 addresses: an
// address counts by its canonical form, IPv6 by its network of 64 bits. All text that is no address counts together.
func (l *Logins) AllowAddress(ctx context.Context, ip string) error {
	return l.addresses.allow(ctx, addressKey(ip))
}

// AllowAccount implements [tokenjar.LoginLimits].
func (l *Logins) AllowAccount(ctx context.Context, key string) error {
	return l.accounts.allow(ctx, key)
}

// addressKey is what an address counts under.
func addressKey(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "no address"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// A limiter counts against one rate.
type limiter struct {
	name string
	mu   sync.Mutex // one try at a time: throttled gives up when others are too often faster
	gcra *throttled.GCRARateLimiterCtx
}

func newLimiter(name string, r Rate, cfg Config) (*limiter, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("login limit per %s: %w", name, err)
	}
	gcra, err := throttled.NewGCRARateLimiterCtx(newSketch(cfg.MaxKeys, cfg.Now), throttled.RateQuota{
		MaxRate: throttled.PerDuration(r.Burst, r.Per), MaxBurst: r.Burst - 1, // beyond the first
	})
	if err != nil {
		return nil, fmt.Errorf("login limit per %s: %w", name, err)
	}
	return &limiter{name: name, gcra: gcra}, nil
}

// allow counts a try, or returns a [*tokenjar.RateLimitError] and counts nothing.
func (l *limiter) allow(ctx context.Context, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	limited, result, err := l.gcra.RateLimitCtx(ctx, key, 1)
	if err != nil {
		return fmt.Errorf("count tries for this %s: %w", l.name, err)
	}
	if limited {
		return &tokenjar.RateLimitError{Limit: l.name, RetryAfter: result.RetryAfter}
	}
	return nil
}
