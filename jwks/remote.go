package jwks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// How keys are followed. Its rules:
//
//   - A token whose key is known is verified with what is at hand: an atomic load, no lock, no waiting. A set that is no
//     longer fresh is renewed beside it.
//   - A token is waited for only if it could verify with other keys: it is well formed, its alg is allowed, its kid is
//     unknown, and the set was not fetched a moment ago.
//   - There is one fetch at a time, on a context of its own: who started it may leave. So many may wait and no more.
//   - A fetch that fails changes nothing but when the next one may begin.
//   - What is not known is never called a bad signature.

const (
	maxWaiting   = 1024 // callers; each costs a goroutine and what its request holds
	firstBackoff = time.Second
)

// A Remote verifies with the keys that an issuer publishes. It is a [token.ContextKeySet] for a [token.Decoder], and safe
// for concurrent use. There is nothing to close: it has a goroutine only while it fetches, at most for Config.Timeout.
type Remote struct {
	cfg   Config
	url   *url.URL
	shown string // the URL for logs, without its query
	life  time.Duration

	current atomic.Pointer[keySet]
	waiting atomic.Int32

	mu       sync.Mutex // held for a moment, never while fetching
	flight   *flight    // nil: none
	failures int        // since the last success; written by flights alone
	failedAt time.Time
	failure  error
}

var (
	_ token.ContextKeySet = (*Remote)(nil)
	_ token.EpochKeySet   = (*Remote)(nil)
)

// A keySet is what was fetched at a time. One without a ring stands for not having any.
type keySet struct {
	ring    *token.Ring
	kids    map[string]bool
	epoch   uint64
	fetched time.Time // when the fetch began: the answer is no older than that
}

// A flight is a fetch that is under way. What it brought may be read when done is closed.
type flight struct {
	done chan struct{}
	set  *keySet
	err  error
}

// New returns a verifier for the keys of one issuer. It checks cfg and names the wrong field; it starts nothing and
// fetches nothing. The first token does, or [Remote.Load].
func New(cfg Config) (*Remote, error) {
	cfg, u, err := cfg.check()
	if err != nil {
		return nil, err
	}
	r := &Remote{cfg: cfg, url: u, life: cfg.MaxAge + cfg.MaxStale}
	r.shown = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	r.current.Store(&keySet{})
	return r, nil
}

// Verify is [Remote.VerifyContext] without a context: it waits for one fetch at most, and so no longer than
// Config.Timeout.
func (r *Remote) Verify(compact string) (token.Header, []byte, error) {
	return r.VerifyContext(context.Background(), compact)
}

// VerifyContext checks the signature of a compact JWS as [token.Ring.Verify] does, and nothing else. Use a
// [token.Decoder].
//
// It waits, for no longer than ctx, when there are no keys, and when the token names a key that is not known and the keys
// were fetched more than Config.Cooldown ago. It returns [token.ErrMalformed] or [token.ErrSignature], or
// [token.ErrKeysUnavailable] when nothing can be said because keys could not be had; that error wraps ctx.Err() if ctx
// has ended. With ErrSignature, a kid that is not known was not in the set within the last Cooldown.
func (r *Remote) VerifyContext(ctx context.Context, compact string) (token.Header, []byte, error) {
	if r.url == nil {
		return token.Header{}, nil, unavailable(errors.New("this Remote was not made with New"))
	}
	now := r.cfg.Now()
	set := r.live(now)
	if set.ring != nil {
		header, payload, err := set.ring.Verify(compact)
		if err == nil {
			r.renew(set, now)
		}
		if !errors.Is(err, token.ErrSignature) {
			return header, payload, err
		}
	}
	// The ring is asked first, so that good tokens are read once. Garbage ends here and makes nobody fetch.
	kid, err := token.UnverifiedKeyID(compact, r.cfg.Algorithms)
	if err != nil {
		return token.Header{}, nil, err
	}
	if set.ring != nil {
		// A token without a kid is for the only key of a set. Its issuer's next key is found when the set is renewed.
		if kid == "" || set.kids[kid] {
			r.renew(set, now)
			return token.Header{}, nil, token.ErrSignature
		}
		if within(now, set.fetched, r.cfg.Cooldown) {
			return token.Header{}, nil, token.ErrSignature
		}
	}
	set, err = r.await(ctx, set)
	if err != nil {
		return token.Header{}, nil, err
	}
	return set.ring.Verify(compact)
}

// Epoch returns a number that changes whenever the keys have: when one was added, withdrawn or replaced, and when all of
// them have become too old to verify with. See [token.EpochKeySet]. Like a token, it has keys renewed that are no longer
// fresh: where all tokens are remembered, nothing else asks for keys.
func (r *Remote) Epoch() uint64 {
	if r.url == nil {
		return 0
	}
	now := r.cfg.Now()
	set := r.live(now)
	if set.ring != nil {
		r.renew(set, now)
	}
	return set.epoch
}

// Ready reports whether there are keys to verify with now. It fetches nothing: without tokens, keys grow old.
func (r *Remote) Ready() bool { return r.live(r.cfg.Now()).ring != nil }

// Load makes sure that the keys are fresh, and waits for that no longer than ctx: a program that cannot do without calls
// it at its start. It returns [token.ErrKeysUnavailable] with the reason when they cannot be had, also when older ones go
// on verifying; and at once while the last failure is too fresh for another try.
func (r *Remote) Load(ctx context.Context) error {
	now := r.cfg.Now()
	set := r.live(now)
	if set.ring != nil && within(now, set.fetched, r.cfg.MaxAge) {
		return nil
	}
	_, err := r.await(ctx, set)
	return err
}

// live returns the current keys. Those that have become too old go for good, whatever the clock says next, and take their
// epoch along.
func (r *Remote) live(now time.Time) *keySet {
	set := r.current.Load()
	if set.ring != nil && since(now, set.fetched) >= r.life {
		r.current.CompareAndSwap(set, &keySet{epoch: set.epoch + 1})
		set = r.current.Load()
	}
	return set
}

// renew starts a fetch beside the caller when the keys are no longer fresh.
func (r *Remote) renew(set *keySet, now time.Time) {
	if within(now, set.fetched, r.cfg.MaxAge) {
		return
	}
	if !r.mu.TryLock() {
		return // somebody else sees to it, and no token waits for a lock
	}
	defer r.mu.Unlock()
	if r.flight == nil && r.current.Load() == set && !r.backingOff(now) {
		r.start()
	}
}

// await returns keys that are newer than those the caller has seen.
func (r *Remote) await(ctx context.Context, seen *keySet) (*keySet, error) {
	if ctx.Err() != nil {
		return nil, unavailable(ctx.Err())
	}
	f, err := r.join(seen)
	if err != nil {
		return nil, unavailable(err)
	}
	if r.waiting.Add(1) > maxWaiting {
		r.waiting.Add(-1)
		return nil, unavailable(errors.New("too many requests wait for them"))
	}
	defer r.waiting.Add(-1)
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	if f.err != nil {
		return nil, unavailable(f.err)
	}
	return f.set, nil
}

func unavailable(reason error) error { return fmt.Errorf("%w: %w", token.ErrKeysUnavailable, reason) }

// join returns the fetch that is under way, or the one that has just ended, or starts one if it may.
func (r *Remote) join(seen *keySet) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if set := r.current.Load(); set != seen && set.ring != nil {
		return &flight{done: ended, set: set}, nil
	}
	if r.flight == nil {
		if r.backingOff(r.cfg.Now()) {
			return nil, r.failure
		}
		r.start()
	}
	return r.flight, nil
}

var ended = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// backingOff reports whether the last fetch failed so recently that the next one has to wait: a second after the first
// failure, then twice as long each time, up to Cooldown.
func (r *Remote) backingOff(now time.Time) bool {
	if r.failures == 0 {
		return false
	}
	pause := firstBackoff << min(r.failures-1, 20)
	return within(now, r.failedAt, min(pause, r.cfg.Cooldown))
}

// start begins a fetch. The caller holds mu.
func (r *Remote) start() {
	r.flight = &flight{done: make(chan struct{})}
	go r.fly(r.flight)
}

func (r *Remote) fly(f *flight) {
	defer close(f.done)
	began := r.cfg.Now()
	keys, ignored, err := r.fetch()
	var ring *token.Ring
	if err == nil {
		ring, err = token.NewRing(nil, keys...)
	}
	if err == nil {
		var changed bool
		if f.set, changed = r.install(ring, keys, began); changed {
			r.cfg.Logger.Info("verification keys have changed", "url", r.shown, "keys", len(keys), "ignored", summary(ignored))
		}
	}
	f.err = err
	switch {
	case err != nil && r.failures == 0:
		r.cfg.Logger.Warn("verification keys cannot be fetched", "url", r.shown, "err", err)
	case err == nil && r.failures > 0:
		r.cfg.Logger.Info("verification keys can be fetched again", "url", r.shown, "failures", r.failures)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight = nil
	if err != nil {
		r.failures, r.failedAt, r.failure = r.failures+1, r.cfg.Now(), err
	} else {
		r.failures, r.failure = 0, nil
	}
}

// install puts fetched keys in place of the current ones. The epoch stays where nothing has changed, so that what was
// verified stays remembered.
func (r *Remote) install(ring *token.Ring, keys []*token.Key, fetched time.Time) (set *keySet, changed bool) {
	kids := make(map[string]bool, len(keys))
	for _, key := range keys {
		kids[key.ID()] = true
	}
	for {
		old := r.current.Load()
		set = &keySet{ring: ring, kids: kids, epoch: old.epoch, fetched: fetched}
		changed = old.ring == nil || !bytes.Equal(old.ring.JWKS(), ring.JWKS())
		if changed {
			set.epoch++
		}
		if r.current.CompareAndSwap(old, set) { // or the old ones have become too old meanwhile
			return set, changed
		}
	}
}

// since returns how long ago something was, by the clock that has gone further: the monotonic one stands still while a
// machine sleeps, the other one may be set back. It is negative only where there is no monotonic clock, after a step back
// behind then.
func since(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// within reports whether something was less than d ago. After a step of the clock behind then nobody knows, and it is not:
// one fetch is made, which counts from the clock as it is now.
func within(now, then time.Time, d time.Duration) bool {
	age := since(now, then)
	return age >= 0 && age < d
}
