package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A spread is what several rounds gave.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	s := spread{median: sorted[middle], least: sorted[0], most: sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		s.median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return s
}

// String writes a spread as "0.98 [0.95–1.01]".
func (s spread) String() string {
	return fmt.Sprintf("%s [%s–%s]", number(s.median), number(s.least), number(s.most))
}

// number writes three digits that count, and all that stand before the point.
func number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	places := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.FormatFloat(v, 'f', places, 64)
}

// percentile returns the value below which that share of the values lies; the values are sorted in place.
func percentile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(share*float64(len(values))))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ratios divides the rounds of one thing by those of another, each by its neighbour in time.
func ratios(of, by []float64) []float64 {
	list := make([]float64, len(of))
	for i := range of {
		list[i] = of[i] / by[i]
	}
	return list
}

// hammer has n workers do something again and again until the window is over, and waits until the last of them is done.
// It returns the first error.
func hammer(n int, window time.Duration, work func(worker int) error) error {
	deadline := time.Now().Add(window)
	return hammerWhile(n, func() bool { return time.Now().Before(deadline) }, work)
}

func hammerWhile(n int, more func() bool, work func(worker int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for worker := range n {
		wg.Go(func() {
			for more() {
				if err := work(worker); err != nil {
					mu.Lock()
					defer mu.Unlock()
					if first == nil {
						first = err
					}
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}

// rate returns how often a second n workers did something. It counts from the first time it was done to the last within
// the window, so that neither the beginning nor what is left half done counts for less. On a machine that is too slow for
// the window it goes on until there is something to count.
func rate(n int, window time.Duration, work func(worker int) error) (float64, error) {
	var (
		mu   sync.Mutex
		done []time.Time
	)
	deadline := time.Now().Add(window)
	const least = 3
	more := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Before(deadline) || len(done) < least
	}
	err := hammerWhile(n, more, func(worker int) error {
		err := work(worker)
		mu.Lock()
		defer mu.Unlock()
		done = append(done, time.Now())
		return err
	})
	if err != nil {
		return 0, err
	}
	counted := least
	for counted < len(done) && done[counted].Before(deadline) {
		counted++
	}
	return float64(counted-1) / done[counted-1].Sub(done[0]).Seconds(), nil
}
