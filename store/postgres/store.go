package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
)

// Config is what a Store may be told. The zero Config is good.
type Config struct {
	// Now is the store's clock. Default: the database server's, which is the same for all nodes. Tests set it.
	Now func() time.Time

	// Logger hears of outages and of settings that are a risk, never of rows. Default [slog.Default].
	Logger *slog.Logger

	// Timeout is how long a call may wait for a connection, and then for the database, before it fails with
	// [tokenjar.ErrStoreUnavailable]; half of it for a row that another transaction holds. The contexts of the calls may
	// say less. Default 5 s.
	Timeout time.Duration

	// Queue is the number of calls that may be under way or wait. One more is turned away at once with
	// [tokenjar.ErrStoreUnavailable]. What nodes ask for all the time (KeyRing and News) is not counted: it has a
	// connection of its own. Default 1024.
	Queue int
}

const defaultTimeout = 5 * time.Second

// A Store is a [tokenjar.Store] in one schema of a PostgreSQL database, which also keeps the users and the audit trail. It
// is safe for concurrent use, and any number of processes may have the database open.
type Store struct {
	pool    *pgxpool.Pool
	polls   *pgxpool.Pool // of one connection: see poll
	place   place
	now     func() time.Time // nil: the server's
	log     *slog.Logger
	timeout time.Duration

	spender   *spender
	auditRows int64 // kept at most

	queue   int64
	calls   atomic.Int64 // under way or waiting
	failing atomic.Bool  // the last connection was lost, or could not be had
	opened  time.Time
	reset   atomic.Int64 // nanoseconds after opened before which connections are not replaced again

	closing sync.Once
	closed  atomic.Bool
}

var (
	_ tokenjar.Store      = (*Store)(nil)
	_ tokenjar.UserStore  = (*Store)(nil)
	_ tokenjar.UserAdmin  = (*Store)(nil)
	_ tokenjar.AuditStore = (*Store)(nil)
	_ tokenjar.Watcher    = (*Store)(nil)
)

// Open connects to the database that dsn names (a URL, or key=value pairs, as libpq takes them; what it leaves open is
// taken from PGPASSWORD, PGPASSFILE, a service file and so on), and brings the schema up to date that its search_path leads
// to. It starts goroutines; [Store.Close] stops them.
//
// Connections are made to a server that takes writes (target_session_attrs may say primary in its place, and nothing else),
// 16 at most (pool_max_conns), besides two for what nodes tell each other. One that others could read, to another machine and
// without TLS, is logged as a warning, unless the DSN has sslmode=disable. Open fails, and says why, when there is no server,
// when it does not let us in, and when the schema is another program's, newer than this program, or not ours to write. What to
// do about it is the end of the text, and what a method Hint() string of the error returns, where it wraps one.
func Open(ctx context.Context, dsn string, cfg Config) (*Store, error) {
	return open(ctx, dsn, cfg, tuning{})
}

// tuning is what tests and benchmarks change of a store.
type tuning struct {
	steps     []string // migrations; nil: those of the program
	batch     int      // maxBatch; 1: every spend is a statement of its own
	always    bool     // also a spend that is the only one goes as a batch
	workers   int      // spendWorkers
	auditRows int64    // maxAuditRows
	hooks     hooks
}

// hooks let tests reach into the store.
type hooks struct {
	batch  func(size int)  // before a batch is sent
	tracer pgx.QueryTracer // sees every statement
}

func open(ctx context.Context, dsn string, cfg Config, t tuning) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open database: %w", err)
		}
	}()
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.Timeout = orDefault(cfg.Timeout, defaultTimeout)
	cfg.Queue = orDefault(cfg.Queue, defaultQueue)
	if t.steps == nil {
		if t.steps, err = migrations(migrationFiles); err != nil {
			return nil, err
		}
	}
	config, err := poolConfig(dsn, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = t.hooks.tracer
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, storeError("connect", err)
	}
	s := &Store{
		pool: pool, now: cfg.Now, log: cfg.Logger, timeout: cfg.Timeout, opened: time.Now(),
		auditRows: orDefault(t.auditRows, maxAuditRows), queue: int64(cfg.Queue),
	}
	if s.place, err = setUp(ctx, pool, dsn, cfg, t.steps); err != nil {
		pool.Close()
		return nil, err
	}
	one := config.Copy()
	one.MaxConns, one.MinConns, one.MinIdleConns = 1, 0, 0 // it is made when it is asked for
	if s.polls, err = pgxpool.NewWithConfig(ctx, one); err != nil {
		pool.Close()
		return nil, storeError("connect", err)
	}
	s.spender = newSpender(s, t)
	return s, nil
}

// setUp makes the schema what the program needs.
func setUp(ctx context.Context, pool *pgxpool.Pool, dsn string, cfg Config, steps []string) (place, error) {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return place{}, inWords(err, storeError("connect", err))
	}
	defer c.Release()
	warnIfReadable(dsn, c.Conn().PgConn().Conn(), cfg.Logger)
	where, err := lookAround(ctx, c.Conn(), cfg.Logger)
	if err != nil {
		return place{}, err
	}
	if err := notPooled(ctx, c.Conn(), cfg.Timeout); err != nil {
		return place{}, inWords(err, storeError("look at the server", err))
	}
	if err := migrate(ctx, c.Conn(), where.schema, steps); err != nil {
		return place{}, err
	}
	// Tables that cannot be written are better found now than at the first sign-in. No row is touched.
	_, err = c.Exec(ctx, `UPDATE sessions SET name = name WHERE false`)
	return where, tablesInWords(where.schema, err, storeError("try to write", err))
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Close waits for the calls that are under way, refuses further ones with [tokenjar.ErrStoreUnavailable], and ends the
// connections, which takes up to 15 seconds where the server is cut off. It may be called twice.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		s.spender.stop()
		s.pool.Close()
		s.polls.Close()
	})
	return nil
}

// at is the injected time as statements take it: NULL for the server's own.
func (s *Store) at() *int64 {
	if s.now == nil {
		return nil
	}
	ms := s.now().UnixMilli()
	return &ms
}

// nowSQL is the store's time within a statement whose first parameter is [Store.at]: one value for the whole of it, whole
// milliseconds. It is the time at which the server took up the statement, so before a wait for a lock and before what
// the statement sees; a transaction reads it anew once it has its lock (tx.first).
const nowSQL = `(SELECT coalesce($1::bigint, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint) AS now) t`

// millis is a time as it is stored.
func millis(t time.Time) int64 { return t.UnixMilli() }

// nullMillis is a time that may be zero as it is stored.
func nullMillis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromNullMillis(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return fromMillis(*ms)
}
