package torture

import (
	"context"
	"math"
	"sync"
	"time"
)

// A budget bounds what a run does to a server: Burst requests at once, a rate on average, and a number in all.
type budget struct {
	rate  float64 // a second
	limit int
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	mu    sync.Mutex
	room  float64
	asOf  time.Time
	total int
}

func newBudget(rate float64, limit int, now func() time.Time, sleep func(context.Context, time.Duration) error) *budget {
	return &budget{rate: rate, limit: limit, now: now, sleep: sleep, room: Burst, asOf: now()}
}

// take waits until a request may be sent.
func (b *budget) take(ctx context.Context) error {
	for {
		b.mu.Lock()
		wait := b.until(1)
		if b.total >= b.limit {
			b.mu.Unlock()
			return breakOff("the %d requests are used up that a run may send", b.limit)
		}
		if wait == 0 {
			b.room--
			b.total++
			b.mu.Unlock()
			return ctx.Err()
		}
		b.mu.Unlock()
		if err := b.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// ready waits until n requests, at most Burst, may be sent at one moment.
func (b *budget) ready(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		wait := b.until(float64(min(n, Burst)))
		b.mu.Unlock()
		if wait == 0 {
			return nil
		}
		if err := b.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// until returns how long it takes until there is room for n. It is called with the lock held.
func (b *budget) until(n float64) time.Duration {
	if math.IsInf(b.rate, 1) {
		b.room = Burst
		return 0
	}
	now := b.now()
	if passed := now.Sub(b.asOf).Seconds(); passed > 0 {
		b.room = min(Burst, b.room+passed*b.rate)
	}
	b.asOf = now
	if b.room >= n {
		return 0
	}
	return max(time.Millisecond, time.Duration((n-b.room)/b.rate*float64(time.Second)))
}

func (b *budget) spent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}
