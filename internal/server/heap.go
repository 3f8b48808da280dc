package server

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// A server that keeps little in memory has a small heap, and Go collects a small heap very often: a hundred times a
// second under load, for next to nothing. So while collections come thick and fast, the heap may grow by a fixed amount
// before the next one; once nothing has made one necessary for a while, everything is as usual and the memory goes back
// to the system. A heap larger than the floor is treated as Go treats it.

const (
	heapFloor      = 32 << 20 // bytes
	leastHeap      = 4 << 20  // bytes: Go's own floor at 100 percent
	usualGCPercent = 100
	gcOften        = time.Second // collections that follow each other sooner
	gcSeldom       = time.Minute // and those that come later: Go makes one every two minutes in any case
)

// HeapFloor lets the heap grow by floor bytes between two collections while they would come often. It does nothing when
// the operator has set GOGC. A memory limit (GOMEMLIMIT) goes before it in any case, and it takes no more than a quarter
// of one.
//
// It changes the collector of the whole process, so there is to be one at a time. stop ends it.
func HeapFloor(floor int64) (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		floor = min(floor, limit/4)
	}
	t := &heapTuner{floor: float64(floor), percent: usualGCPercent, last: time.Now()}
	t.watch()
	return t.stop
}

type heapTuner struct {
	floor float64

	mu      sync.Mutex
	percent int
	raised  bool
	stopped bool
	last    time.Time // of the latest collection
}

// watch has the next collection tell us: it finds an object that nobody holds.
func (t *heapTuner) watch() {
	runtime.AddCleanup(new([64]byte), (*heapTuner).collected, t)
}

func (t *heapTuner) collected() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	now := time.Now()
	t.set(t.next(now.Sub(t.last), float64(live[0].Value.Uint64())))
	t.last = now
	t.watch()
}

// next returns the percentage for a live heap, after a pause between two collections.
func (t *heapTuner) next(pause time.Duration, live float64) int {
	switch {
	case pause < gcOften:
		t.raised = true
	case pause > gcSeldom:
		t.raised = false
	}
	if !t.raised {
		return usualGCPercent
	}
	most := t.floor * 100 / leastHeap // with it, Go's own floor becomes ours
	return int(max(usualGCPercent, min(t.floor*100/max(live, 1), most)))
}

// set changes the percentage unless that would change little: it stops the program for a moment.
func (t *heapTuner) set(percent int) {
	if d := percent - t.percent; percent == usualGCPercent && d != 0 || d*10 > t.percent || -d*10 > t.percent {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
}

func (t *heapTuner) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.set(usualGCPercent)
}
