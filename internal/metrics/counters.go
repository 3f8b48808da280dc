package metrics

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// mostSeries bounds how many combinations of labels one family keeps.
const mostSeries = 4096

// counters are the counters of one family by their labels. Finding one takes no lock and makes no garbage; a new one
// copies the table, which happens as often as there are combinations.
type counters[K comparable] struct {
	desc   *prometheus.Desc
	labels func(K) []string
	mu     sync.Mutex
	series atomic.Pointer[map[K]*atomic.Uint64]
}

func newCounters[K comparable](name string, labels func(K) []string) *counters[K] {
	c := &counters[K]{desc: describe(name), labels: labels}
	c.series.Store(&map[K]*atomic.Uint64{})
	return c
}

// add counts one under k, or under other when there are too many combinations already.
func (c *counters[K]) add(k, other K) {
	n, ok := (*c.series.Load())[k]
	if !ok {
		n = c.make(k, other)
	}
	n.Add(1)
}

func (c *counters[K]) make(k, other K) *atomic.Uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.series.Load()
	if len(old) >= mostSeries {
		k = other
	}
	if n, ok := old[k]; ok { // another was first
		return n
	}
	next := maps.Clone(old)
	next[k] = new(atomic.Uint64)
	c.series.Store(&next)
	return next[k]
}

func (c *counters[K]) collect(ch chan<- prometheus.Metric) {
	for k, n := range *c.series.Load() {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n.Load()), c.labels(k)...)
	}
}
