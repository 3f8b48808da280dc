package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Config is what a Store may be told. The zero Config is good.
type Config struct {
	// Now is the store's clock. Default [time.Now].
	Now func() time.Time

	// Logger hears of outages and checkpoints, never of rows. Default [slog.Default].
	Logger *slog.Logger

	// BusyTimeout is how long a write waits while another process writes, before it fails with
	// [tokenjar.ErrStoreUnavailable]. Default 1 s.
	BusyTimeout time.Duration

	// Readers is the number of connections that read. Default: 4, or the number of processors if that is more.
	Readers int

	// Queue is the number of writes that may wait. One more is turned away at once with
	// [tokenjar.ErrStoreUnavailable]. Default 1024.
	Queue int
}

// A Store is a [tokenjar.Store] in one SQLite file, which also keeps the users and the audit trail. It is safe for concurrent use, and
// several processes of one machine may have the file open.
type Store struct {
	path string
	now  func() time.Time

	writer      *writer
	checkpoints *checkpointer
	readers     *sql.DB
	reads       stmts
	versions    versions
	auditRows   int64 // kept at most

	closing sync.Once
	closed  atomic.Bool
}

var (
	_ tokenjar.Store      = (*Store)(nil)
	_ tokenjar.UserStore  = (*Store)(nil)
	_ tokenjar.UserAdmin  = (*Store)(nil)
	_ tokenjar.AuditStore = (*Store)(nil)
)

// Open opens the database file at path, creates it (mode 0600) when there is none in an existing directory, and brings
// its schema up to date. It starts two goroutines; [Store.Close] stops them.
//
// It fails, and says why, when the file is empty, not a SQLite database, another program's, newer than this program, not
// writable, or on a file system that cannot lock. It does not keep a second server away: see [Store.Lock].
func Open(ctx context.Context, path string, cfg Config) (*Store, error) {
	return open(ctx, path, cfg, tuning{})
}

// tuning is what tests and benchmarks change of a store.
type tuning struct {
	steps      []string // migrations; nil: those of the program
	hooks      hooks
	batch      int           // maxBatch
	auditRows  int64         // maxAuditRows
	checkpoint int           // checkpointEvery
	pause      int64         // walPause
	idle       time.Duration // idleAfter
}

func open(ctx context.Context, path string, cfg Config, t tuning) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open database: %w", err)
		}
	}()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.BusyTimeout = orDefault(cfg.BusyTimeout, time.Second)
	cfg.Readers = orDefault(cfg.Readers, max(4, runtime.GOMAXPROCS(0)))
	cfg.Queue = orDefault(cfg.Queue, defaultQueue)
	if t.steps == nil {
		if t.steps, err = migrations(migrationFiles); err != nil {
			return nil, err
		}
	}

	if path, err = prepareFile(ctx, path); err != nil {
		return nil, err
	}
	dialer := func(busy time.Duration, readOnly bool) func(context.Context) (*conn, error) {
		name := dsn(path, busy, readOnly)
		return func(ctx context.Context) (*conn, error) { return dial(ctx, name) }
	}
	first, err := dialer(cfg.BusyTimeout, false)(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, inWords(err, storeError("connect", err)))
	}
	if err := migrate(ctx, first, t.steps); err != nil {
		first.close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if t.hooks.connected != nil {
		if err := t.hooks.connected(first); err != nil {
			first.close()
			return nil, err
		}
	}
	readers, err := sql.Open("sqlite", dsn(path, cfg.BusyTimeout, true))
	if err != nil {
		first.close()
		return nil, storeError("open", err)
	}
	readers.SetMaxOpenConns(cfg.Readers)
	readers.SetMaxIdleConns(cfg.Readers)

	w := &writer{
		dial: dialer(cfg.BusyTimeout, false), now: cfg.Now, log: cfg.Logger, batch: orDefault(t.batch, maxBatch),
		hooks: t.hooks, queue: make(chan *operation, cfg.Queue), done: make(chan struct{}), conn: first,
	}
	c := &checkpointer{
		dial: dialer(0, false), log: cfg.Logger, gate: &w.gate, every: orDefault(t.checkpoint, checkpointEvery),
		pause: orDefault(t.pause, walPause), idle: orDefault(t.idle, idleAfter),
		dirty: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	w.commits = c.committed
	s := &Store{
		path: path, now: cfg.Now, writer: w, checkpoints: c,
		readers: readers, reads: stmts{prepare: readers.PrepareContext},
		versions:  versions{dial: dialer(cfg.BusyTimeout, true)},
		auditRows: orDefault(t.auditRows, maxAuditRows),
	}
	go w.run()
	go c.run()
	return s, nil
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Close commits the writes that are waiting, refuses further calls with [tokenjar.ErrStoreUnavailable], empties the
// write-ahead log into the database, and stops what Open started. It may be called twice.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.writer.stop()
		s.closed.Store(true)
		close(s.checkpoints.stop)
		<-s.checkpoints.done
		s.versions.close()
		if err = s.readers.Close(); err != nil {
			err = storeError("close", err)
		}
	})
	return err
}

// row runs a statement on a connection that reads; it yields at most one row.
func (s *Store) row(ctx context.Context, query string, args ...any) scanner {
	if s.closed.Load() {
		return failed{errClosed}
	}
	stmt, err := s.reads.get(ctx, query)
	if err != nil {
		return failed{s.readError(err)}
	}
	return stmt.QueryRowContext(ctx, args...)
}

// rows does the same for any number of rows.
func rows[T any](
	ctx context.Context, s *Store, scan func(scanner) (T, error), query string, args ...any,
) ([]T, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	stmt, err := s.reads.get(ctx, query)
	if err != nil {
		return nil, s.readError(err)
	}
	found, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, s.readError(err)
	}
	list, err := collect(found, scan)
	return list, s.readError(err)
}

// readError names the one case that database/sql tells by text alone: that the pool was closed meanwhile.
func (s *Store) readError(err error) error {
	if err != nil && resultCode(err) == 0 && s.closed.Load() {
		return errClosed
	}
	return err
}

// versions keeps the connection that watches the file for changes.
type versions struct {
	dial func(context.Context) (*conn, error)

	mu     sync.Mutex
	conn   *conn
	epoch  int64 // counts connections: SQLite's numbers compare within one only
	closed bool
}

// DataVersion returns a number that is another one after any connection but its own has committed: this store's writer
// or another process. It reads no table and costs microseconds. It is never 0.
func (s *Store) DataVersion(ctx context.Context) (int64, error) {
	const op = "read data version"
	if err := ctx.Err(); err != nil {
		return 0, storeError(op, err)
	}
	v := &s.versions
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return 0, storeError(op, errClosed)
	}
	if v.conn == nil {
		c, err := v.dial(ctx)
		if err != nil {
			return 0, storeError(op, err)
		}
		v.conn = c
		v.epoch++
	}
	// Not ctx: an interrupted statement would cost the connection.
	n, err := v.conn.number(uninterrupted, `PRAGMA data_version`)
	if err != nil {
		v.conn.close()
		v.conn = nil
		return 0, storeError(op, err)
	}
	return v.epoch<<32 | n&0xffffffff, nil
}

func (v *versions) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	v.conn.close()
	v.conn = nil
}

// clock returns the store's time as it is kept: UTC, whole milliseconds.
func clock(now func() time.Time) time.Time { return now().UTC().Truncate(time.Millisecond) }
