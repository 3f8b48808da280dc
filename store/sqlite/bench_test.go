package sqlite

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// BenchmarkRotate measures group commit against one transaction for each rotation, in turns on the same machine, and
// reports the ratio. The flush of a development machine may cost next to nothing, so the second half adds what a cloud
// volume takes.
//
//	go test ./store/sqlite -run '^$' -bench Rotate -benchtime 20x
func BenchmarkRotate(b *testing.B) {
	for _, flush := range []time.Duration{0, time.Millisecond} {
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("flush=%v/clients=%d", flush, clients), func(b *testing.B) {
				together, alone := newLoad(b, clients, 0, flush), newLoad(b, clients, 1, flush)
				const rounds = 4
				for b.Loop() {
					// One iteration is about a hundred rotations on each store, in turns.
					for range rounds {
						together.run(b, 1+25/clients)
						alone.run(b, 1+25/clients)
					}
				}
				b.ReportMetric(together.rate(), "rotations/s")
				b.ReportMetric(alone.rate(), "alone/s")
				b.ReportMetric(together.rate()/alone.rate(), "ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// A load is a store and its clients, each with a chain of tokens.
type load struct {
	store  *Store
	ids    []string
	next   []int64
	done   int
	within time.Duration
}

func newLoad(b *testing.B, clients, batch int, flush time.Duration) *load {
	hook := func() error { time.Sleep(flush); return nil }
	l := &load{store: openAt(b, dbPath(b), quiet(), tuning{batch: batch, hooks: hooks{commit: hook}})}
	for range clients {
		l.ids = append(l.ids, login(b, l.store))
		l.next = append(l.next, 1)
	}
	return l
}

func (l *load) run(b *testing.B, each int) {
	begin := time.Now()
	var wg sync.WaitGroup
	for i, id := range l.ids {
		wg.Go(func() {
			for range each {
				if _, err := l.store.Rotate(context.Background(), show(id, l.next[i])); err != nil {
					b.Error(err)
					return
				}
				l.next[i]++
			}
		})
	}
	wg.Wait()
	l.within += time.Since(begin)
	l.done += each * len(l.ids)
}

func (l *load) rate() float64 { return float64(l.done) / l.within.Seconds() }
