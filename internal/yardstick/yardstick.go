// Package yardstick measures what a handler costs beside another one, for benchmarks. Machines are noisy, so both are
// measured in turns, many short rounds in one run: the difference of the least disturbed rounds of both is reported, and
// that of the medians.
package yardstick

import (
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"
)

// A Spread is what the rounds of a measurement come to.
type Spread []float64

// At returns the value below which that share of the rounds lies: 0 is the least, 0.5 the median.
func (s Spread) At(share float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[int(share*float64(len(sorted)-1))]
}

// sink is an answer nobody reads.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// Each times n calls of a handler, in ns a call. The i-th call gets r(i).
func Each(h http.Handler, n int, r func(i int) *http.Request) float64 {
	w := &sink{http.Header{}}
	start := time.Now()
	for i := range n {
		clear(w.h)
		h.ServeHTTP(w, r(i))
	}
	return float64(time.Since(start)) / float64(n)
}

// Cost returns the allocations and bytes of one call, of n.
func Cost(h http.Handler, n int, r func(i int) *http.Request) (allocs, size float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Each(h, n, r)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n), float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
}

// Compare measures what with costs more than without for one request, in rounds of n calls that take turns, and reports
// it.
func Compare(b *testing.B, without, with http.Handler, r *http.Request, n, rounds int) {
	same := func(int) *http.Request { return r }
	var bare, full Spread
	for range rounds * b.N {
		bare = append(bare, Each(without, n, same))
		full = append(full, Each(with, n, same))
	}
	allocs, size := Cost(with, n, same)
	bareAllocs, bareSize := Cost(without, n, same)
	Report(b, bare, full, allocs-bareAllocs, size-bareSize)
}

// Report reports what the rounds with a handler took more than those without, and what it allocates.
func Report(b *testing.B, without, with Spread, allocs, size float64) {
	b.ReportMetric(0, "ns/op") // of no meaning here
	b.ReportMetric(with.At(0)-without.At(0), "added-ns-min")
	b.ReportMetric(with.At(.5)-without.At(.5), "added-ns-median")
	b.ReportMetric(clockNow(), "time.Now-ns") // how fast the machine is just now: about 45 undisturbed
	b.ReportMetric(allocs, "added-allocs")
	b.ReportMetric(size, "added-B")
}

// clockNow is what reading the clock costs, which is part of every hit.
func clockNow() float64 {
	var rounds Spread
	for range 500 {
		start := time.Now()
		for range 100 {
			time.Now()
		}
		rounds = append(rounds, float64(time.Since(start))/100)
	}
	return rounds.At(0)
}
