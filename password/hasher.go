package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// MaxBytes is the longest password that is hashed, in bytes of UTF-8. It bounds the work for what a request may
// bring, well above [Policy].Max characters.
const MaxBytes = 1024

// ErrLength is returned by [Hasher.Hash] for a password that is empty or exceeds [MaxBytes].
var ErrLength = errors.New("password: empty or longer than 1024 bytes")

// A BusyError says that all slots are taken and the queue is full.
type BusyError struct {
	// RetryAfter is when trying again makes sense, from the recent time of a hash: whole seconds, 1 to 30.
	RetryAfter time.Duration
}

// Error says so without figures, which are the answer's Retry-After.
func (e *BusyError) Error() string { return "password: too many hashes are waiting" }

// ProblemCode and ProblemRetryAfter say what a client is told: see package problem.
func (e *BusyError) ProblemCode() string { return "overloaded" }

// ProblemRetryAfter is RetryAfter.
func (e *BusyError) ProblemRetryAfter() time.Duration { return e.RetryAfter }

// Config is the cost of new hashes and how many run at once.
type Config struct {
	// Memory is in KiB. Default and least: 19456 (19 MiB).
	Memory uint32
	// Time is the number of passes over it. Default and least: 2.
	Time uint32
	// Threads is the number of lanes. Default and least: 1. Each lane of a hash takes a core.
	Threads uint8
	// Slots is how many hashes run at once. Default: GOMAXPROCS - 1, at least 1. More stall other requests, since
	// the Go scheduler interrupts a hash only every 10 ms.
	Slots int
	// Queue is how many more may wait. Default: 64.
	Queue int
}

// Hasher hashes and verifies within its slots. It is safe for concurrent use.
type Hasher struct {
	cost  cost
	slots chan struct{}
	queue int64

	waiting atomic.Int64
	average atomic.Int64         // nanoseconds of a hash, smoothed
	slowest atomic.Pointer[cost] // the dearest stored hash met so far, at least cost

	derive func(password, salt []byte, c cost, keyLen uint32) []byte // argon2id, replaced in tests
}

// New returns a Hasher. It refuses parameters below the defaults (OWASP's minimum) and above what [Hasher.Verify]
// accepts: 128 MiB, 16 passes, 16 lanes, and 512 MiB passed over in total.
func New(cfg Config) (*Hasher, error) {
	c := cost{memory: orDefault(cfg.Memory, 19456), time: orDefault(cfg.Time, 2), threads: orDefault(cfg.Threads, 1)}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("password: "+format, args...)) }
	if c.memory < 19456 || c.memory > maxMemory {
		fail("Memory: %d KiB: use 19456 to %d", c.memory, maxMemory)
	}
	if c.time < 2 || c.time > maxTime {
		fail("Time: %d passes: use 2 to %d", c.time, maxTime)
	}
	if c.threads > maxThreads {
		fail("Threads: %d lanes: use 1 to %d", c.threads, maxThreads)
	}
	if len(errs) == 0 && c.work() > maxWork {
		fail("Memory times Time: %d KiB: use at most %d", c.work(), maxWork)
	}
	if cfg.Slots < 0 || cfg.Slots > 1024 {
		fail("Slots: %d: use 1 to 1024, or 0 for all cores but one", cfg.Slots)
	}
	if cfg.Queue < 0 || cfg.Queue > 1<<20 {
		fail("Queue: %d: use 1 to %d, or 0 for 64", cfg.Queue, 1<<20)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	h := &Hasher{
		cost:   c,
		slots:  make(chan struct{}, orDefault(cfg.Slots, max(1, runtime.GOMAXPROCS(0)-1))),
		queue:  int64(orDefault(cfg.Queue, 64)),
		derive: argon2id,
	}
	h.slowest.Store(&h.cost)
	h.average.Store(int64(20 * time.Millisecond)) // until the first hash is measured
	return h, nil
}

// Hash returns the PHC string of a new hash with a random salt of 16 bytes and a tag of 32. The bytes are hashed as
// they are: that they are valid UTF-8 and fit the [Policy] is for the caller to check before.
//
// It returns [ErrLength], a [*BusyError] at once when slots and queue are full, or ctx.Err() when ctx ends while it
// waits; a hash that runs is finished.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if password == "" || len(password) > MaxBytes {
		return "", ErrLength
	}
	r := record{cost: h.cost, salt: make([]byte, saltSize)}
	rand.Read(r.salt) // never fails
	if err := h.within(ctx, func() { r.tag = h.derive([]byte(password), r.salt, r.cost, tagSize) }); err != nil {
		return "", err
	}
	return r.String(), nil
}

// Result is the outcome of [Hasher.Verify].
type Result struct {
	OK bool
	// Rehash says that the hash was made with other parameters than today's: the caller hashes the password anew
	// and stores that, without ending sessions. It is set only with OK.
	Rehash bool
}

// Verify reports whether phc is a hash of password. The tags are compared in constant time; an empty password and
// one over [MaxBytes] never match.
//
// It returns [ErrMalformed] for a stored hash that is empty, damaged, of another scheme or dearer than the maximum of
// [New]: the answer is then that for a wrong password, and somebody should look at the row. In all these cases, and
// for hashes cheaper than today's, it does as much work as otherwise (within a few percent; lanes differing from
// today's are not evened out). It returns [*BusyError] and ctx.Err() as [Hasher.Hash] does.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (Result, error) {
	r, err := parse(phc)
	if err != nil {
		if busy := h.VerifyNobody(ctx, password); busy != nil {
			return Result{}, busy
		}
		return Result{}, err
	}
	if password == "" || len(password) > MaxBytes {
		return Result{}, h.VerifyNobody(ctx, password)
	}
	var tag []byte
	err = h.within(ctx, func() {
		tag = h.derive([]byte(password), r.salt, r.cost, uint32(len(r.tag)))
		if rest, ok := h.slowest.Load().less(r.cost); ok {
			h.derive([]byte(password), r.salt, rest, tagSize) // makes up for the difference, see [Hasher.VerifyNobody]
		}
	})
	if err != nil {
		return Result{}, err
	}
	h.learn(r.cost)
	if subtle.ConstantTimeCompare(tag, r.tag) != 1 {
		return Result{}, nil
	}
	return Result{OK: true, Rehash: r.cost != h.cost || len(r.salt) != saltSize || len(r.tag) != tagSize}, nil
}

// VerifyNobody does the work of [Hasher.Verify] for a user that does not exist, and discards the result. The work is
// that of the dearest hash this Hasher has verified, today's at least. It returns [*BusyError] and ctx.Err() as
// Verify does, so overload looks the same too.
//
// One stored hash dearer than today's therefore makes every verification as dear, until the process starts anew after
// such hashes were replaced.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	password = password[:min(len(password), MaxBytes)]
	var salt [saltSize]byte
	return h.within(ctx, func() { h.derive([]byte(password), salt[:], *h.slowest.Load(), tagSize) })
}

// learn remembers the dearest cost met, so that unknown users cost no less than the users with such a hash.
func (h *Hasher) learn(c cost) {
	for {
		old := h.slowest.Load()
		if c.work() <= old.work() || h.slowest.CompareAndSwap(old, &c) {
			return
		}
	}
}

// within does work in one of the slots and measures it.
func (h *Hasher) within(ctx context.Context, work func()) error {
	if err := h.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-h.slots }()
	start := time.Now()
	work()
	took := int64(time.Since(start))
	old := h.average.Load()
	h.average.Store(old + (took-old)/8) // a lost update between two hashes does no harm
	return nil
}

// acquire takes a slot, waits for one in order of arrival, or refuses.
func (h *Hasher) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > h.queue {
		h.waiting.Add(-1)
		return &BusyError{RetryAfter: h.retryAfter()}
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Load returns how many hashes run and how many wait for a slot.
func (h *Hasher) Load() (running, waiting int) { return len(h.slots), int(max(h.waiting.Load(), 0)) }

// retryAfter is how long the full queue takes.
func (h *Hasher) retryAfter() time.Duration {
	seconds := math.Ceil(float64(h.queue) * time.Duration(h.average.Load()).Seconds() / float64(cap(h.slots)))
	return time.Duration(min(max(seconds, 1), 30)) * time.Second
}

func argon2id(password, salt []byte, c cost, keyLen uint32) []byte {
	return argon2.IDKey(password, salt, c.time, c.memory, c.threads, keyLen)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
