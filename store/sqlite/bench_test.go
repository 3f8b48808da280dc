package sqlite

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/yardstick"
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

// With a million sessions, taken at random:
//
//	go test ./store/sqlite -run '^$' -bench 'Rows|Sustained|Prune' -benchtime 1x

func BenchmarkRows(b *testing.B) {
	yardstick.BenchmarkRows(b, table(b, 1_000, nil), table(b, 1_000_000, nil))
}

// The bare commit is an UPDATE of one row by the same driver.
func BenchmarkSustained(b *testing.B) {
	path := dbPath(b)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	bare := raw(b, path, `PRAGMA journal_mode = WAL`, `CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)`, `INSERT INTO t VALUES (1, 0)`,
		`PRAGMA wal_autocheckpoint = 1000`) // as SQLite has it
	yardstick.BenchmarkSustained(b, table(b, 1_000_000, nil), func() error {
		_, err := bare.exec(b.Context(), `UPDATE t SET n = n + 1 WHERE id = 1`)
		return err
	})
}

func BenchmarkPrune(b *testing.B) {
	yardstick.BenchmarkPrune(b, table(b, yardstick.PruneSessions, yardstick.PruneOver))
}

// table opens a store and fills it.
func table(b *testing.B, n int, over func(int) bool) *yardstick.Table {
	b.Helper()
	var flush, ahead atomic.Int64 // nanoseconds
	path, cfg := dbPath(b), quiet()
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	store := openAt(b, path, cfg, tuning{hooks: hooks{commit: func() error {
		time.Sleep(time.Duration(flush.Load()))
		return nil
	}}})
	sessions, err := yardstick.NewSessions(b.Context(), store, n, over)
	if err != nil {
		b.Fatal(err)
	}
	until(b, "the log is empty", func() bool { return size(b, path+"-wal") == 0 })
	return &yardstick.Table{
		Store: store, Sessions: sessions,
		Flush: func(d time.Duration) { flush.Store(int64(d)) },
		Ahead: func(d time.Duration) { ahead.Store(int64(d)) },
		Log:   func() float64 { return float64(size(b, path+"-wal")) / 1e6 },
	}
}
