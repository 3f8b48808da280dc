package cli

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A server goes on when nobody reads its log. What is logged waits in a queue of whole lines, and one goroutine writes
// them, each with one Write and in order. When the queue is full, lines are dropped and counted, and the next one that
// has room stands behind one that says how many are missing there. Whoever needs each event reads the audit trail.

const (
	mostLogLines = 4096
	mostLogBytes = 4 << 20
	flushWithin  = time.Second // at the stop
)

// A logWriter is such a queue. Its methods are safe for concurrent use.
type logWriter struct {
	to     io.Writer
	missed func(n int64) []byte // the line that says so

	mu      sync.Mutex
	lines   [][]byte
	bytes   int   // in lines
	unsaid  int64 // dropped since the last line that had room
	closed  bool
	wake    chan struct{} // holds one
	done    chan struct{} // closed when all is written after the close
	dropped atomic.Int64
}

// newLogWriter starts the goroutine that writes. The caller closes it in the end.
func newLogWriter(to io.Writer, missed func(n int64) []byte) *logWriter {
	w := &logWriter{to: to, missed: missed, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes a line. It never waits for whoever reads, and never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.lines) >= mostLogLines || w.bytes+len(line) > mostLogBytes {
		w.unsaid++
		w.dropped.Add(1)
		return len(line), nil
	}
	w.sayMissed()
	w.push(append([]byte(nil), line...)) // slog uses its buffer again
	return len(line), nil
}

// sayMissed puts the line about missing ones where they are missing. The caller holds mu.
func (w *logWriter) sayMissed() {
	if w.unsaid > 0 {
		w.push(w.missed(w.unsaid))
		w.unsaid = 0
	}
}

// push adds a line. The caller holds mu.
func (w *logWriter) push(line []byte) {
	w.lines, w.bytes = append(w.lines, line), w.bytes+len(line)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// pop takes the oldest line, nil if there is none. more is false when none will come.
func (w *logWriter) pop() (line []byte, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) == 0 {
		w.lines = nil
		return nil, !w.closed
	}
	line, w.lines[0] = w.lines[0], nil
	w.lines, w.bytes = w.lines[1:], w.bytes-len(line)
	return line, true
}

func (w *logWriter) run() {
	defer close(w.done)
	for {
		line, more := w.pop()
		switch {
		case line != nil:
			w.to.Write(line) // what a broken pipe loses cannot be told to anybody
		case !more:
			return
		default:
			<-w.wake
		}
	}
}

// Dropped returns how many lines were dropped since the start.
func (w *logWriter) Dropped() int64 { return w.dropped.Load() }

// close writes what is left, for so long at most, and reports whether all of it could be written. Lines that come later
// are dropped.
func (w *logWriter) close(within time.Duration) bool {
	w.mu.Lock()
	if !w.closed {
		w.sayMissed()
		w.closed = true
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	w.mu.Unlock()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-w.done:
		return true
	case <-timer.C:
		return false
	}
}
