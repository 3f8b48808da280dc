package sqlite

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Commits go to the write-ahead log; a checkpoint copies them into the database file so that the log can begin anew.
// SQLite would do that within a commit, which then waits for it. Here it runs beside the writer, on a connection of its
// own (https://sqlite.org/wal.html, section 3):
//
//   - PASSIVE after every checkpointEvery operations. It blocks nobody, but it can only copy what was there when it
//     began, and the log begins anew only when all of it is copied: under constant load, never.
//   - So when the log is longer than walPause, the writer is held for a second PASSIVE. That one has next to nothing left
//     to copy, and the next commit starts the log over.
//   - TRUNCATE after idleAfter without a commit, and when the store closes.
//
// The log's file is cut to walKeep when it starts over. What is left to make it grow is another process that reads
// without end; that is logged.
const (
	checkpointEvery = 1000            // operations
	walPause        = 4096            // pages of 4 KiB: 16 MiB
	walWarn         = 16 * walPause   // pages
	walKeep         = 16 << 20        // bytes
	idleAfter       = 1 * time.Second // without a commit
)

type checkpointer struct {
	dial  func(context.Context) (*conn, error)
	log   *slog.Logger
	gate  *sync.Mutex   // the writer's
	every int           // operations between two checkpoints
	pause int64         // pages beyond which the writer is held
	idle  time.Duration // without a commit, until TRUNCATE

	ops   int           // since the last signal to full; only the writer uses it
	dirty chan struct{} // there was a commit
	full  chan struct{} // there were many
	stop  chan struct{}
	done  chan struct{}

	conn   *conn // nil: to be opened
	warned bool
}

// committed is called by the writer after each commit.
func (c *checkpointer) committed(ops int) {
	signal(c.dirty)
	if c.ops += ops; c.ops >= c.every {
		c.ops = 0
		signal(c.full)
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // one is there already
	}
}

// run is the checkpointer's goroutine. An idle store has no timer running.
func (c *checkpointer) run() {
	defer close(c.done)
	defer func() { c.conn.close() }()
	idle := time.NewTimer(c.idle)
	idle.Stop()
	for {
		select {
		case <-c.stop:
			c.checkpoint(`PRAGMA wal_checkpoint(TRUNCATE)`)
			return
		case <-c.full:
			c.shorten()
		case <-c.dirty:
			idle.Reset(c.idle)
			c.untilIdle(idle)
		}
	}
}

// untilIdle returns when no commit has come for a while and the log is empty, or when the store is closing.
func (c *checkpointer) untilIdle(idle *time.Timer) {
	for {
		select {
		case <-c.stop:
			idle.Stop()
			return
		case <-c.full:
			c.shorten()
		case <-idle.C:
			select {
			case <-c.dirty:
			default:
				if log, _, ok := c.checkpoint(`PRAGMA wal_checkpoint(TRUNCATE)`); ok && log <= 0 {
					return
				}
			}
			idle.Reset(c.idle)
		}
	}
}

// shorten copies what the log holds, and sees to it that the log starts over when it is long.
func (c *checkpointer) shorten() {
	log, _, ok := c.checkpoint(`PRAGMA wal_checkpoint(PASSIVE)`)
	if !ok || log < c.pause {
		return
	}
	c.gate.Lock()
	log, copied, ok := c.checkpoint(`PRAGMA wal_checkpoint(PASSIVE)`)
	c.gate.Unlock()
	long := ok && copied < log && log > walWarn
	if long && !c.warned {
		c.log.Warn("write-ahead log keeps growing: another process reads without end", "pages", log)
	}
	c.warned = long
}

// checkpoint returns how many pages the log had and how many of them have been copied since it began. It never waits
// for a lock: what is not possible now will be later.
func (c *checkpointer) checkpoint(query string) (log, copied int64, ok bool) {
	if c.conn == nil {
		conn, err := c.dial(uninterrupted)
		if err != nil {
			c.log.Warn("checkpoint failed", "err", storeError("open", err))
			return 0, 0, false
		}
		c.conn = conn
	}
	var busy int64
	if err := c.conn.c.QueryRowContext(uninterrupted, query).Scan(&busy, &log, &copied); err != nil {
		c.log.Warn("checkpoint failed", "err", storeError("checkpoint", err))
		c.conn.close()
		c.conn = nil
		return 0, 0, false
	}
	return log, copied, busy == 0
}
