package tokenjartest

import (
	"sync"
	"time"
)

// A Clock is a clock that tests set. It stands still until it is told to move. The zero Clock shows the same time as
// NewClock(time.Time{}). It is safe for concurrent use and must not be copied.
type Clock struct {
	mu  sync.Mutex
	now time.Time // zero: never set
}

// start is when a clock begins that is not told when: the moment of Go's time layouts, in another year.
var start = time.Date(2026, time.January, 2, 15, 4, 5, 0, time.UTC)

// NewClock returns a clock that shows a time. The zero time is 2026-01-02 15:04:05 UTC, the same in every run; take
// time.Now() for a program part of which reads the machine's clock.
func NewClock(at time.Time) *Clock {
	c := &Clock{}
	c.Set(at)
	return c
}

// Now returns the time that the clock shows, in UTC. It fits wherever tokenjar takes a Now function: clock.Now.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *Clock) read() time.Time {
	if c.now.IsZero() {
		return start
	}
	return c.now
}

// Advance moves the clock on, or back by a negative duration. What is due by then is due with the next request: nothing
// runs inside of Advance.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.read().Add(d)
}

// Set makes the clock show a time; the zero time is as in [NewClock].
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = at.Round(0).UTC() // without the monotonic part, by which times would be compared
}
