package postgres

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxConnections is how many connections a store keeps at most, unless the DSN says otherwise (pool_max_conns).
const maxConnections = 16

// connectTimeout is how long a server may take to let a connection in, unless the DSN says otherwise.
const connectTimeout = 3 * time.Second

// pingTimeout is how long a connection that was idle may take to show that it is alive.
const pingTimeout = time.Second

// poolConfig reads a DSN and adds what every connection needs.
func poolConfig(dsn string, timeout time.Duration) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errDSN // the driver's text repeats what it could not read, a password perhaps
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = maxConnections
	}
	cfg.PingTimeout = pingTimeout
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10
	if cfg.ConnConfig.ConnectTimeout == 0 || cfg.ConnConfig.ConnectTimeout > time.Minute { // 2 minutes: the driver's default
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	if cfg.ConnConfig.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return nil, errExecMode
	}
	switch check := cfg.ConnConfig.ValidateConnect; {
	case check == nil && (strings.Contains(dsn, "target_session_attrs") || os.Getenv("PGTARGETSESSIONATTRS") != ""): // any
		return nil, errServers
	case check == nil:
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	case !same(check, pgconn.ValidateConnectTargetSessionAttrsReadWrite) && !same(check, pgconn.ValidateConnectTargetSessionAttrsPrimary):
		return nil, errServers
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "tokenjar"
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { return prepareSession(ctx, c, timeout) }
	return cfg, nil
}

var (
	errDSN = advise(errors.New("the address of the database cannot be read"), "write it as postgres://user@host:5432/database")
	// Of two statements in one simple query the second would have the time of the first (tx.first).
	errExecMode = advise(errors.New("default_query_exec_mode cannot be chosen"), "remove it from the database URL")
	// What ended on the primary a moment ago may live on a standby.
	errServers = advise(errors.New("target_session_attrs may be read-write or primary: a standby does not know yet what has just ended"),
		"remove it from the database URL, and PGTARGETSESSIONATTRS from the environment")
)

// same reports whether two functions are one.
func same(a, b pgconn.ValidateConnectFunc) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// prepareSession makes the settings of a connection that the store relies on. They are set by a statement, not at the
// start of the connection, because poolers refuse settings there.
//
// A commit that was reported is on disk, here and, where there are synchronous standbys, there: so synchronous_commit is at
// least "on". The server gives up a statement when its caller has, and a lock earlier, so that the connection goes on;
// what a process leaves open that dies or is cut off does not hold its locks for long.
//
// The last six are for the planner. Every statement of ours has an index for its rows, and is to use it: a table that has not
// been analyzed yet, or has grown since, looks so small that one batch of rotations was planned to walk all of its sessions.
// Where a walk is left all the same, of a table of one row for example, it counts as so costly that servers before version 18
// compile the statement first: fifty milliseconds for what takes a tenth of one. So nothing is compiled.
func prepareSession(ctx context.Context, c *pgx.Conn, timeout time.Duration) error {
	_, err := c.Exec(ctx, `
SELECT set_config('synchronous_commit',
         CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
       set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false),
       set_config('idle_in_transaction_session_timeout', $1, false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('bytea_output', 'hex', false), set_config('timezone', 'UTC', false),
       set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
       set_config('enable_mergejoin', 'off', false), set_config('enable_material', 'off', false),
       set_config('random_page_cost', '1', false), set_config('jit', 'off', false)`,
		pgx.QueryExecModeSimpleProtocol, strconv.FormatInt(timeout.Milliseconds(), 10), strconv.FormatInt(timeout.Milliseconds()/2, 10))
	return err
}

// A place is where in a server the store is.
type place struct {
	schema  string
	channel string // of notifications
}

// lookAround checks that the server is one that keeps what it reports, and returns the schema that the connection's
// search_path leads to.
func lookAround(ctx context.Context, c *pgx.Conn, log *slog.Logger) (place, error) {
	var schema *string
	var path, fsync string
	err := c.QueryRow(ctx, `SELECT current_schema(), current_setting('search_path'), current_setting('fsync')`).Scan(&schema, &path, &fsync)
	if err != nil {
		return place{}, inWords(err, storeError("look at the server", err))
	}
	if schema == nil {
		var closed *string
		err := c.QueryRow(ctx, `
SELECT min(nspname::text)
  FROM pg_catalog.pg_namespace, regexp_split_to_table(current_setting('search_path'), ',') AS part, trim(both ' "' FROM part) AS named
 WHERE nspname = CASE named WHEN '$user' THEN current_user ELSE named END AND NOT has_schema_privilege(oid, 'USAGE')`).Scan(&closed)
		if err != nil {
			return place{}, inWords(err, storeError("look at the server", err))
		}
		if closed != nil {
			return place{}, advise(fmt.Errorf("the user may not use the schema %s", *closed),
				fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO it", *closed))
		}
		return place{}, advise(fmt.Errorf("none of the schemas in search_path (%s) exists", path), "CREATE SCHEMA first")
	}
	if fsync == "off" {
		log.Warn("the database server runs with fsync=off: what it confirms is lost when its machine fails")
	}
	// Notifications are heard in the whole database, so the schema is part of the name, in a form that is never too long.
	sum := sha256.Sum256([]byte(*schema))
	return place{schema: *schema, channel: "tokenjar_" + hex.EncodeToString(sum[:8])}, nil
}

// warnIfReadable logs that what goes over a connection can be read on the way.
//
// It looks at the connection that was made, since that alone knows: the mode may come from PGSSLMODE, the host from PGHOST,
// both from a service file, and with sslmode=prefer it is the server that decides. Who writes sslmode=disable into the DSN
// has chosen it. That a connection which is encrypted need not have been is for those to say who have the URL.
func warnIfReadable(dsn string, conn net.Conn, log *slog.Logger) {
	if _, encrypted := conn.(*tls.Conn); encrypted || strings.Contains(dsn, "sslmode=disable") {
		return
	}
	if server, ok := conn.RemoteAddr().(*net.TCPAddr); ok && !server.IP.IsLoopback() {
		log.Warn("the connection to the database is not encrypted: say sslmode=verify-full, or, for a network that is yours alone, disable",
			"server", server.String())
	}
}

// errPooled says that something between us and the server deals out its connections anew for each transaction.
var errPooled = advise(errors.New("a pooler in transaction mode is between this program and the server, and would lose the settings of "+
	"its connections"), "name the server itself, or a pool in session mode")

// errOneConnection says that a pooler has not enough connections for one node.
var errOneConnection = advise(errors.New("the pooler in front of the server gives no second connection"),
	"let it have as many as this program may make (pool_max_conns and three)")

// notPooled refuses a pooler in transaction mode. Behind a pooler the server's process is not the one that was named at
// the start of the connection. In session mode it stays the same while somebody else has a transaction open; in
// transaction mode whoever comes next gets the one that is free. That somebody is a connection made for it, since the pool may
// have but one.
func notPooled(ctx context.Context, c *pgx.Conn, within time.Duration) error {
	process := func(ctx context.Context, c *pgx.Conn) (pid uint32, err error) {
		err = c.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pid)
		return pid, err
	}
	mine, err := process(ctx, c)
	if err != nil || mine == c.PgConn().PID() {
		return err
	}
	theirs, again := uint32(0), uint32(0)
	err = func() error {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		other, err := pgx.ConnectConfig(ctx, c.Config())
		if err != nil {
			return err
		}
		defer other.Close(context.WithoutCancel(ctx))
		begun, err := other.Begin(ctx)
		if err != nil {
			return err
		}
		defer begun.Rollback(ctx)
		if theirs, err = process(ctx, other); err != nil {
			return err
		}
		again, err = process(ctx, c)
		return err
	}()
	switch {
	case err != nil && ctx.Err() == nil && pgconn.Timeout(err):
		return errOneConnection
	case err == nil && (theirs == mine || again != mine):
		return errPooled
	}
	return err
}
