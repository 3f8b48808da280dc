package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
)

// Every call takes one connection, for as long as the database works for it. A statement that has begun is not interrupted
// when its caller leaves: that would cost the connection, and the next caller would wait for a new one. It ends by
// itself, within the store's timeout.

const defaultQueue = 1024

// do runs one call on a connection of its own. It returns early when the context ends; what was begun may then still be
// done, or not.
func (s *Store) do(ctx context.Context, run func(context.Context, *pgxpool.Conn) error) error {
	if s.calls.Add(1) > s.queue {
		s.calls.Add(-1)
		return errQueueFull
	}
	return s.through(ctx, s.pool, func() { s.calls.Add(-1) }, run)
}

// poll runs one call on the connection that is kept for what every node asks for all the time: whether keys or sessions
// have changed. However many calls wait for the others, a node hears of it.
func (s *Store) poll(ctx context.Context, run func(context.Context, *pgxpool.Conn) error) error {
	return s.through(ctx, s.polls, func() {}, run)
}

// through runs one call on a connection of a pool, and end once that is free again.
func (s *Store) through(ctx context.Context, pool *pgxpool.Pool, end func(), run func(context.Context, *pgxpool.Conn) error) error {
	if err := ctx.Err(); err != nil {
		end()
		return err
	}
	c, err := s.acquire(ctx, pool)
	if err != nil {
		end()
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer end()
		done <- s.on(c, ctx, run)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// An answer that is there already is the better one.
	select {
	case err := <-done:
		return err
	default:
		return ctx.Err()
	}
}

// on runs one call on a connection and hands that back.
func (s *Store) on(c *pgxpool.Conn, ctx context.Context, run func(context.Context, *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	err := run(ctx, c)
	ended := c.Conn().IsClosed()
	c.Release()
	if ended || !errors.Is(err, context.DeadlineExceeded) {
		s.note(err)
	}
	return err
}

// acquire waits for a connection.
func (s *Store) acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	wait, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	c, err := pool.Acquire(wait)
	if err == nil {
		return c, nil
	}
	if s.closed.Load() {
		return nil, errClosed
	}
	// Who waited in vain for a connection that others use has not lost one.
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if busy := errors.Is(err, context.DeadlineExceeded) && !connecting; ctx.Err() == nil && !busy {
		s.note(err)
	}
	return nil, err
}

// resetEvery is how often all connections are replaced at most.
const resetEvery = time.Second

// note sees to it that one lost connection is the last of its kind: all that were made before it are replaced, before
// each of them fails somebody. It logs the beginning and the end of an outage.
func (s *Store) note(err error) {
	switch {
	case lost(err):
		now := int64(time.Since(s.opened))
		if last := s.reset.Load(); now >= last && s.reset.CompareAndSwap(last, now+int64(resetEvery)) {
			s.pool.Reset()
			s.polls.Reset()
		}
		if s.failing.CompareAndSwap(false, true) {
			s.log.Error("database does not answer", "err", storeError("connection", err))
		}
	case s.failing.Load():
		if s.failing.CompareAndSwap(true, false) {
			s.log.Info("database answers again")
		}
	}
}

// A tx is what an operation sees of the transaction it runs in, at Read Committed.
type tx struct {
	pgx.Tx
	ctx   context.Context
	store *Store
	now   int64 // the store's clock once first has returned
	news  []string
}

// attempts is how often a transaction is tried that the server undid because it and another waited for each other.
const attempts = 4

// write runs fn in a transaction and waits until that is committed. On any error the zero T is returned and nothing has
// been written, except that an error while committing, or a context that ends, leaves it in doubt.
func write[T any](ctx context.Context, s *Store, op string, fn func(*tx) (T, error)) (T, error) {
	var zero T
	result := new(T) // not touched again by a caller who left early
	err := s.do(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		*result, err = tried(ctx, s, c, fn)
		return err
	})
	if err != nil {
		return zero, storeError(op, err)
	}
	return *result, nil
}

// tried runs a transaction, and again when the server has undone it for another's sake.
func tried[T any](ctx context.Context, s *Store, c *pgxpool.Conn, fn func(*tx) (T, error)) (result T, err error) {
	for range attempts {
		result, err = transaction(ctx, s, c, fn)
		if state := sqlState(err); state != stateDeadlock && state != stateSerialization {
			break
		}
	}
	return result, err
}

func transaction[T any](ctx context.Context, s *Store, c *pgxpool.Conn, fn func(*tx) (T, error)) (result T, err error) {
	begun, err := c.Begin(ctx)
	if err != nil {
		return result, err
	}
	defer begun.Rollback(ctx) // does nothing after a commit
	t := &tx{Tx: begun, ctx: ctx, store: s}
	if result, err = fn(t); err != nil {
		return result, err
	}
	if err := t.tell(); err != nil {
		return result, err
	}
	return result, begun.Commit(ctx)
}

// confirmSQL makes the COMMIT after it wait as one that changes a row does: for the disk, and for the synchronous standby
// where there is one. It writes a message into the log that nobody reads. A transaction id alone would not do: the
// server flushes, and waits, only for what has written to the log.
const confirmSQL = `SELECT pg_logical_emit_message(true, 'tokenjar', '')`

// confirm has a transaction that changes nothing wait for its commit as others do. What it has seen is then as safe as
// what it would have written: commits are flushed, and sent to the standby, in their order.
func (t *tx) confirm() error {
	_, err := t.exec(confirmSQL)
	return err
}

// first runs the statement that takes the transaction's lock, and reads the store's clock after it, in one round trip. It
// yields at most one row.
func (t *tx) first(query string, args ...any) scanner {
	b := new(pgx.Batch)
	b.Queue(query, args...)
	b.Queue(`SELECT now FROM `+nowSQL, t.store.at())
	return firstRow{t, t.SendBatch(t.ctx, b)}
}

// lock takes a lock by its name, until the transaction ends. Two names that share a hash wait for each other, and nothing
// more.
func (t *tx) lock(name string) error {
	var locked bool
	return t.first(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0)) IS NOT NULL`,
		"tokenjar "+t.store.place.schema+" "+name).Scan(&locked)
}

// clock reads the store's clock where there is nothing to lock.
func (t *tx) clock() error { return t.row(`SELECT now FROM `+nowSQL, t.store.at()).Scan(&t.now) }

// firstRow is the answer of both statements.
type firstRow struct {
	t       *tx
	results pgx.BatchResults
}

func (r firstRow) Scan(dest ...any) error {
	err := r.results.QueryRow().Scan(dest...)
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		if err := r.results.QueryRow().Scan(&r.t.now); err != nil {
			r.results.Close()
			return err
		}
	}
	if closed := r.results.Close(); err == nil {
		err = closed
	}
	return err
}

// exec runs a statement and reports how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	tag, err := t.Exec(t.ctx, query, args...)
	return tag.RowsAffected(), err
}

// row runs a statement that yields at most one row.
func (t *tx) row(query string, args ...any) scanner { return t.QueryRow(t.ctx, query, args...) }

// ids runs a statement that yields one column of text.
func (t *tx) ids(query string, args ...any) ([]string, error) {
	rows, err := t.Query(t.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(r scanner) (string, error) {
		var id text
		err := r.Scan(&id)
		return string(id), err
	})
}

// A scanner is a row, or the error in its place.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows and closes them.
func collect[T any](rows pgx.Rows, scan func(scanner) (T, error)) ([]T, error) {
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

// query reads with one statement: rows that it has seen at one moment.
func query[T any](ctx context.Context, s *Store, op string, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	return queryBy(ctx, s.do, op, scan, query, args...)
}

// queryBy does so by do, or by poll.
func queryBy[T any](
	ctx context.Context, do func(context.Context, func(context.Context, *pgxpool.Conn) error) error, op string,
	scan func(scanner) (T, error), query string, args ...any,
) ([]T, error) {
	list := new([]T)
	err := do(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, query, args...)
		if err == nil {
			*list, err = collect(rows, scan)
		}
		return err
	})
	if err != nil {
		return nil, storeError(op, err)
	}
	return *list, nil
}

// one reads one row; [tokenjar.ErrNotFound] when there is none.
func one[T any](ctx context.Context, s *Store, op string, scan func(scanner) (T, error), sql string, args ...any) (T, error) {
	list, err := query(ctx, s, op, scan, sql, args...)
	if err == nil && len(list) == 0 {
		err = storeError(op, tokenjar.ErrNotFound)
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return list[0], nil
}

// statement runs one statement that is a transaction of its own, and reports how many rows it changed.
func (s *Store) statement(ctx context.Context, op, query string, args ...any) (int, error) {
	var n atomic.Int64 // not read by a caller who left early
	err := s.do(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		tag, err := c.Exec(ctx, query, args...)
		n.Store(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, storeError(op, err)
	}
	return int(n.Load()), nil
}
