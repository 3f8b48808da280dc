package server

import (
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/store/memory"
)

func TestNextPercentage(t *testing.T) {
	const mib = 1 << 20
	tuner := &heapTuner{floor: 32 * mib}
	for _, row := range []struct {
		name  string
		pause time.Duration
		live  float64
		want  int
	}{
		{"nothing is happening: as usual", 10 * time.Second, mib, 100},
		{"collections come often: up to the floor", 10 * time.Millisecond, mib, 800},
		{"a heap of 4 MiB", 10 * time.Millisecond, 4 * mib, 800},
		{"a heap of 8 MiB may grow by 32", 10 * time.Millisecond, 8 * mib, 400},
		{"a heap of 16 MiB may grow by 32", 100 * time.Millisecond, 16 * mib, 200},
		{"they come less often because of it: as it was", 10 * time.Second, 8 * mib, 400},
		{"a heap above the floor is Go's to judge", 10 * time.Millisecond, 100 * mib, 100},
		{"and below again", 10 * time.Millisecond, 16 * mib, 200},
		{"nothing has happened for two minutes: the memory goes back", 2 * time.Minute, 8 * mib, 100},
		{"no live heap known yet", time.Millisecond, 0, 800},
	} {
		if got := tuner.next(row.pause, row.live); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
}

// gcPercent tells the percentage in force.
func gcPercent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

func collections() uint64 {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

var sink []byte

// litter makes garbage and returns how often it was collected.
func litter(bytes int) uint64 {
	before := collections()
	for range bytes / 4096 {
		sink = make([]byte, 4096)
	}
	return collections() - before
}

// awaitFloor allocates until the floor acts: it does after two collections within a second.
func awaitFloor() {
	for deadline := time.Now().Add(10 * time.Second); gcPercent() <= usualGCPercent && time.Now().Before(deadline); {
		litter(16 << 20)
	}
}

func TestTheFloorSparesCollectionsAndStopGivesItBack(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(usualGCPercent))
	runtime.GC()
	without := litter(512 << 20)
	stop := HeapFloor(64 << 20)
	awaitFloor()
	with := litter(512 << 20)
	if with == 0 || with*3 > without {
		t.Errorf("got %d collections with the floor and %d without", with, without)
	}
	stop()
	if got := gcPercent(); got != usualGCPercent {
		t.Errorf("after the stop: %d percent", got)
	}
	litter(64 << 20)
	if got := gcPercent(); got != usualGCPercent {
		t.Errorf("after the stop and further collections: %d percent", got)
	}
}

func TestWhatTheOperatorHasSetIsLeftAlone(t *testing.T) {
	t.Setenv("GOGC", "50")
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	stop := HeapFloor(64 << 20)
	litter(256 << 20)
	if got := gcPercent(); got != 50 {
		t.Errorf("GOGC=50 became %d", got)
	}
	stop()
	if got := gcPercent(); got != 50 {
		t.Errorf("GOGC=50 became %d at the stop", got)
	}

	t.Setenv("GOGC", "")
	debug.SetGCPercent(usualGCPercent)
	// A limit far above what this process holds, so that a quarter of it raises the percentage for certain.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(4 << 30))
	stop = HeapFloor(1 << 40)
	defer stop()
	awaitFloor()
	if got := gcPercent(); got <= usualGCPercent || got > (1<<30)*100/leastHeap {
		t.Errorf("GOMEMLIMIT=4GiB: the floor is none, or more than a quarter of it: %d percent", got)
	}
}

// Requests and collections a second, with and without the floor, in turns within one run:
//
//	go test -run '^$' -bench HeapFloor -benchtime 3s ./internal/server
func BenchmarkHeapFloor(b *testing.B) {
	b.Setenv("GOGC", "")
	s, err := Open(b.Context(), func() config.Config {
		cfg := config.Defaults()
		cfg.Listen = "127.0.0.1:0"
		return cfg
	}(), benchSecret(b), memory.New(memory.Config{}), Options{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	server := s.httpServer(s.Handler())
	server.ConnState = s.listener.state
	go server.Serve(s.listener)
	defer server.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	defer transport.CloseIdleConnections()
	for _, row := range []struct {
		name  string
		floor int64
	}{{"without", 0}, {"floor", heapFloor}, {"without", 0}, {"floor", heapFloor}, {"without", 0}, {"floor", heapFloor}} {
		b.Run(row.name, func(b *testing.B) {
			debug.SetGCPercent(usualGCPercent)
			if row.floor > 0 {
				defer HeapFloor(row.floor)()
				litter(64 << 20) // so that it is in force
			}
			before := collections()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, _ := http.NewRequest("GET", s.URL()+"/auth/session", nil)
					res, err := transport.RoundTrip(r)
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			})
			b.ReportMetric(float64(collections()-before)/b.Elapsed().Seconds(), "gc/s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
		})
	}
}

func benchSecret(b *testing.B) tokenjar.Secret {
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		b.Fatal(err)
	}
	return secret
}
