package yardstick

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// A Table is a store with sessions, and what its package lets a benchmark change and see of it. The benchmarks of all
// stores have the same names and report the same units, which test/figures prints, one row for each store.
type Table struct {
	Store    tokenjar.SessionStore
	Sessions *Sessions
	Flush    func(time.Duration) // has each commit take longer
	Ahead    func(time.Duration) // has the store's clock go before ours
	Log      func() float64      // the size of the write-ahead log, in MB
}

// refresh is Sessions.Refresh where nothing may fail. It may be called in any goroutine.
func (t *Table) refresh(b *testing.B, clients int, more func() bool) Refreshes {
	b.Helper()
	r, err := t.Sessions.Refresh(b.Context(), clients, more)
	if err != nil {
		b.Error(err)
	}
	return r
}

// BenchmarkRows measures what a large table costs a rotation, beside a small one and in turns with it, as the disk is and
// with a millisecond more for each flush.
func BenchmarkRows(b *testing.B, few, many *Table) {
	for _, flush := range []time.Duration{0, time.Millisecond} {
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("flush=%v/clients=%d", flush, clients), func(b *testing.B) {
				few.Flush(flush)
				many.Flush(flush)
				var little, much, ratio Spread
				for range 5 * b.N {
					one := few.refresh(b, clients, For(1500*time.Millisecond))
					two := many.refresh(b, clients, For(1500*time.Millisecond))
					little, much = append(little, one.Rate), append(much, two.Rate)
					ratio = append(ratio, two.Rate/one.Rate)
				}
				b.ReportMetric(little.At(.5), "few/s")
				b.ReportMetric(much.At(.5), "many/s")
				reportSpread(b, ratio, "ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkSustained has 64 clients refresh for a minute, and measures for five seconds before and after how often a bare
// commit, one after another, is done a second.
func BenchmarkSustained(b *testing.B, t *Table, commit func() error) {
	bare := func() float64 {
		n, begin := 0, time.Now()
		for more := For(5 * time.Second); more(); n++ {
			if err := commit(); err != nil {
				b.Fatal(err)
			}
		}
		return float64(n) / time.Since(begin).Seconds()
	}
	alone := Spread{bare()}
	var rates, waits, log Spread
	watch := time.NewTicker(100 * time.Millisecond)
	defer watch.Stop()
	for range 6 * b.N {
		done := make(chan Refreshes, 1)
		go func() { done <- t.refresh(b, 64, For(10*time.Second)) }()
		for running := true; running; {
			select {
			case <-watch.C:
				log = append(log, t.Log())
			case r := <-done:
				rates, waits, running = append(rates, r.Rate), append(waits, r.Wait...), false
			}
		}
	}
	last := t.Log()
	log = append(log, last)
	alone = append(alone, bare())
	reportSpread(b, rates, "rotations/s")
	b.ReportMetric((alone[0]+alone[1])/2, "bare/s")
	b.ReportMetric(waits.At(.5), "p50-ms")
	b.ReportMetric(waits.At(.99), "p99-ms")
	b.ReportMetric(waits.At(1), "longest-ms")
	b.ReportMetric(last, "log-MB")
	b.ReportMetric(log.At(1), "log-MB-most")
	b.ReportMetric(0, "ns/op")
}

// What BenchmarkPrune wants in its table: 10⁵ sessions that are over, scattered among a million others.
const PruneSessions = 1_100_000

// PruneOver says which of them are over.
func PruneOver(i int) bool { return i%11 == 10 }

// BenchmarkPrune measures how long rotations of 8 clients wait while sessions are pruned, ten thousand at a time, and in
// turns with it for as long without.
func BenchmarkPrune(b *testing.B, t *Table) {
	const rounds, each = 10, 10_000
	t.Ahead(time.Minute) // so that all that are to be over are
	var longest, p99, longestAlone, p99Alone Spread
	var took time.Duration
	for range rounds {
		var pruning atomic.Bool
		pruning.Store(true)
		begin := time.Now()
		go func() {
			defer pruning.Store(false)
			if n, _, err := t.Store.PruneSessions(b.Context(), 0, each); err != nil || n != each {
				b.Errorf("pruned %d: %v", n, err)
			}
		}()
		r := t.refresh(b, 8, pruning.Load)
		lasted := time.Since(begin)
		took += lasted
		longest, p99 = append(longest, r.Wait.At(1)), append(p99, r.Wait.At(.99))
		r = t.refresh(b, 8, For(lasted))
		longestAlone, p99Alone = append(longestAlone, r.Wait.At(1)), append(p99Alone, r.Wait.At(.99))
	}
	b.ReportMetric(took.Seconds(), "s")
	b.ReportMetric(p99.At(.5), "p99-ms")
	b.ReportMetric(p99Alone.At(.5), "p99-ms-alone")
	reportSpread(b, longest, "longest-ms")
	reportSpread(b, longestAlone, "longest-ms-alone")
	b.ReportMetric(0, "ns/op")
}

// reportSpread reports the median, the least and the most of the rounds.
func reportSpread(b *testing.B, s Spread, unit string) {
	b.ReportMetric(s.At(.5), unit)
	b.ReportMetric(s.At(0), unit+"-least")
	b.ReportMetric(s.At(1), unit+"-most")
}
