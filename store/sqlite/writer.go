package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite has one writer at a time, and a commit costs a flush of the disk. So one goroutine writes: it takes whatever
// is waiting, runs it in one transaction, and commits it with one flush. Under load a flush is shared by all who came
// while the one before it was on its way.
//
//   - Each operation runs in a savepoint. What it refuses (not found, conflict) undoes that operation alone.
//   - Nobody is answered before COMMIT has returned nil. If the transaction fails, everybody in it is told that the store
//     is unavailable, and nothing of it is there.
//   - The queue is bounded: who does not fit is turned away at once, which is how overload is shed.

const (
	defaultQueue = 1024
	maxBatch     = 256
)

// An operation is one method call that writes.
type operation struct {
	ctx   context.Context
	run   func(*tx) error
	state atomic.Int32
	err   error      // what run returned
	done  chan error // takes one answer
}

const (
	stateWaiting int32 = iota
	stateTaken         // by the writer: it will be run and answered
	stateLeft          // by its caller: it must not be run
)

// A tx is what an operation sees of the transaction it runs in.
type tx struct {
	conn *conn
	now  time.Time // the store's clock when the operation began
}

// Operations are not interrupted half way: they are short, and each lock is waited for no longer than the busy timeout.
// A context with no end also spares the driver a goroutine for each statement.
var uninterrupted = context.Background()

// exec runs a statement and reports how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	return t.conn.exec(uninterrupted, query, args...)
}

// row runs a statement that yields at most one row.
func (t *tx) row(query string, args ...any) scanner {
	stmt, err := t.conn.stmts.get(uninterrupted, query)
	if err != nil {
		return failed{err}
	}
	return stmt.QueryRowContext(uninterrupted, args...)
}

// texts runs a statement that yields one column of text.
func (t *tx) texts(query string, args ...any) ([]string, error) {
	stmt, err := t.conn.stmts.get(uninterrupted, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(uninterrupted, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(r scanner) (string, error) {
		var s string
		err := r.Scan(&s)
		return s, err
	})
}

// write has the writer run fn and waits until it is committed. On any error the zero T is returned and nothing has been
// written, except that a context that ends while fn is being committed leaves it in doubt.
func write[T any](ctx context.Context, s *Store, op string, fn func(*tx) (T, error)) (T, error) {
	var zero T
	result := new(T) // not touched again by a caller who left early
	err := s.writer.do(ctx, func(t *tx) error {
		var err error
		*result, err = fn(t)
		return err
	})
	if err != nil {
		return zero, storeError(op, err)
	}
	return *result, nil
}

type writer struct {
	dial    func(context.Context) (*conn, error)
	now     func() time.Time
	log     *slog.Logger
	commits func(ops int) // told of each commit
	gate    sync.Mutex    // held during a transaction, so that the checkpointer can have one moment without
	batch   int           // operations in a transaction at most
	hooks   hooks

	mu     sync.RWMutex // guards closed, and queue against being closed during a send
	closed bool
	queue  chan *operation
	done   chan struct{} // closed when run has ended

	conn    *conn // nil: to be opened. Only run uses it.
	failing bool  // the last transaction failed
}

// hooks let tests reach into the writer.
type hooks struct {
	connected func(*conn) error // after a connection was opened
	commit    func() error      // in the place of the flush: an error makes COMMIT fail
}

// do queues an operation and waits for its answer.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &operation{ctx: ctx, run: run, done: make(chan error, 1)}
	if err := w.send(o); err != nil {
		return err
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
	}
	if o.state.CompareAndSwap(stateWaiting, stateLeft) {
		return ctx.Err()
	}
	// It is being run. An answer that is there already is the better one.
	select {
	case err := <-o.done:
		return err
	default:
		return ctx.Err()
	}
}

func (w *writer) send(o *operation) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- o:
		return nil
	default:
		return errQueueFull
	}
}

// stop refuses further operations, waits for those that are queued, and ends the connection.
func (w *writer) stop() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
}

// run is the writer's goroutine.
func (w *writer) run() {
	defer close(w.done)
	defer func() { w.conn.close() }()
	batch := make([]*operation, 0, w.batch)
	for first := range w.queue {
		batch = appendTaken(batch[:0], first)
	fill:
		for len(batch) < w.batch {
			select {
			case o, ok := <-w.queue:
				if !ok {
					break fill
				}
				batch = appendTaken(batch, o)
			default:
				break fill
			}
		}
		if len(batch) > 0 {
			w.commit(batch)
		}
		clear(batch) // let go of what the operations hold
	}
}

// appendTaken claims an operation for this batch, or answers one whose caller has gone.
func appendTaken(batch []*operation, o *operation) []*operation {
	if !o.state.CompareAndSwap(stateWaiting, stateTaken) {
		return batch
	}
	if err := o.ctx.Err(); err != nil {
		o.done <- err
		return batch
	}
	return append(batch, o)
}

// commit runs a batch and answers it.
func (w *writer) commit(batch []*operation) {
	w.gate.Lock()
	err := w.transaction(batch)
	w.gate.Unlock()
	if err != nil {
		if !w.failing { // once, not for each batch of an outage
			w.log.Error("database does not take writes", "err", storeError("commit", err), "operations", len(batch))
		}
		w.failing = true
		for _, o := range batch {
			o.done <- err
		}
		return
	}
	if w.failing {
		w.log.Info("database takes writes again")
	}
	w.failing = false
	w.commits(len(batch))
	for _, o := range batch {
		o.done <- o.err
	}
}

// transaction runs a batch in one transaction. An error means that nothing of it has been committed, as far as can be
// known: when the flush itself failed, a crash may still bring it back. Callers are told "in doubt" for that reason.
func (w *writer) transaction(batch []*operation) (err error) {
	if err := w.connect(); err != nil {
		return err
	}
	if _, err := w.conn.exec(uninterrupted, `BEGIN IMMEDIATE`); err != nil {
		if code := primary(resultCode(err)); code != sqlite3.SQLITE_BUSY && code != sqlite3.SQLITE_LOCKED {
			w.disconnect()
		}
		return w.unavailable(err)
	}
	defer func() {
		if err != nil {
			// SQLite may or may not have rolled back by itself. A new connection leaves no doubt, and is rare enough.
			w.conn.exec(uninterrupted, `ROLLBACK`)
			w.disconnect()
			err = w.unavailable(err)
		}
	}()
	for _, o := range batch {
		if err := w.step(o); err != nil {
			return err
		}
	}
	if w.hooks.commit != nil {
		if err := w.hooks.commit(); err != nil {
			return err
		}
	}
	_, err = w.conn.exec(uninterrupted, `COMMIT`)
	return err
}

// step runs one operation in a savepoint. It returns an error only when the whole transaction is lost.
func (w *writer) step(o *operation) error {
	if _, err := w.conn.exec(uninterrupted, `SAVEPOINT operation`); err != nil {
		return err
	}
	o.err = o.run(&tx{conn: w.conn, now: clock(w.now)})
	if o.err != nil {
		if fatal(o.err) {
			return o.err
		}
		if _, err := w.conn.exec(uninterrupted, `ROLLBACK TO operation`); err != nil {
			return err
		}
	}
	_, err := w.conn.exec(uninterrupted, `RELEASE operation`)
	return err
}

func (w *writer) connect() error {
	if w.conn != nil {
		return nil
	}
	c, err := w.dial(uninterrupted)
	if err == nil && w.hooks.connected != nil {
		err = w.hooks.connected(c)
	}
	if err != nil {
		c.close()
		return w.unavailable(err)
	}
	w.conn = c
	return nil
}

func (w *writer) disconnect() {
	w.conn.close()
	w.conn = nil
}

// unavailable makes sure that the failure of a transaction reads as such, whatever the code was: to those in it, it
// says nothing about their rows.
func (w *writer) unavailable(err error) error {
	if fatal(err) || errors.Is(err, tokenjar.ErrStoreUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %v", tokenjar.ErrStoreUnavailable, storeError("transaction", err))
}

// A scanner is a row, or the error in its place.
type scanner interface{ Scan(dest ...any) error }

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// collect reads all rows and closes them.
func collect[T any](rows *sql.Rows, scan func(scanner) (T, error)) ([]T, error) {
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}
