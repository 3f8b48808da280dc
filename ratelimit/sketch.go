package ratelimit

import (
	"context"
	"hash/maphash"
	"math/bits"
	"time"

	"github.com/throttled/throttled/v2"
)

// The source that comes with throttled keeps the least recently used keys out: whoever sends enough other names has the
// count of his victim forgotten, and begins anew. A source that refuses new keys when it is full would lock out everybody
// else instead. So there are no keys here, and nothing is ever put out.
//
// A sketch is four rows of cells. A key has one cell in each row, by a hash with a secret seed, and shares each with
// other keys. A cell holds a time, that until which its keys have used up their rate; what is in it passes by itself.
// A key's time is the least of its four cells, and a try raises all four to at least the new time (a count-min sketch with
// conservative update; Cormode and Muthukrishnan 2005, Estan and Varghese 2002). Then
//
//   - a key's time is never earlier than its own tries make it: no flood gives anybody a try;
//   - it is later only where other keys have used up all four of its cells at that moment. With as many keys used up as
//     the sketch is made for, that is the lot of one stranger in forty at most, with a tenth of them of one in 100,000,
//     and until the next refill; nobody can choose whom, for the seed is secret.
type sketch struct {
	clock steadyClock
	seed  maphash.Seed
	shift int                 // of a 32-bit hash to an index
	cells [sketchRows][]int64 // nanoseconds of clock
}

const sketchRows = 4

var _ throttled.GCRAStoreCtx = (*sketch)(nil)

// newSketch returns a sketch for so many keys that have used up their rate at one time.
func newSketch(keys int, now func() time.Time) *sketch {
	width := bits.Len(uint(2*keys - 1)) // twice as many cells in each row, rounded up to a power of two
	s := &sketch{clock: steadyClock{now: now, last: now(), at: 1}, seed: maphash.MakeSeed(), shift: 32 - width}
	for i := range s.cells {
		s.cells[i] = make([]int64, 1<<width)
	}
	return s
}

// of returns the cells of a key: four hashes out of the two halves of one (Kirsch and Mitzenmacher 2006).
func (s *sketch) of(key string) (cells [sketchRows]*int64) {
	h := maphash.String(s.seed, key)
	a, b := uint32(h), uint32(h>>32)|1
	for i := range s.cells {
		cells[i] = &s.cells[i][a>>s.shift]
		a += b
	}
	return cells
}

// GetWithTime implements [throttled.GCRAStoreCtx]. A key that was never seen has a time that has long passed, which is
// the same to the algorithm as none.
func (s *sketch) GetWithTime(_ context.Context, key string) (int64, time.Time, error) {
	return least(s.of(key)), s.clock.read(), nil
}

// CompareAndSwapWithTTL implements [throttled.GCRAStoreCtx]. It is atomic because the limiter asks one at a time.
func (s *sketch) CompareAndSwapWithTTL(_ context.Context, key string, old, until int64, _ time.Duration) (bool, error) {
	cells := s.of(key)
	if least(cells) != old {
		return false, nil
	}
	for _, c := range cells {
		*c = max(*c, until)
	}
	return true, nil
}

// SetIfNotExistsWithTTL implements [throttled.GCRAStoreCtx].
func (s *sketch) SetIfNotExistsWithTTL(ctx context.Context, key string, until int64, ttl time.Duration) (bool, error) {
	return s.CompareAndSwapWithTTL(ctx, key, 0, until, ttl)
}

func least(cells [sketchRows]*int64) int64 {
	return min(*cells[0], *cells[1], *cells[2], *cells[3])
}

// A steadyClock adds up how a clock goes forward and leaves out how it steps back: times that are kept by it are not
// suddenly hours ahead. It begins at nought.
type steadyClock struct {
	now  func() time.Time
	last time.Time
	at   time.Duration
}

func (c *steadyClock) read() time.Time {
	now := c.now()
	c.at += max(now.Sub(c.last), 0)
	c.last = now
	return time.Unix(0, int64(c.at))
}
