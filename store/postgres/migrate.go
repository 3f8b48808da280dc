package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The schema is the sum of migrations/NNNN_name.sql, in order and without gaps. Each runs once, in a transaction of its
// own that also moves the number of the last one in the table tokenjar_schema; one that is interrupted leaves nothing
// behind. Published files are never edited.

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the statements of each migration; the first has number 1.
func migrations(files fs.FS) ([]string, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // in order
	if err != nil {
		return nil, err
	}
	var list []string
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("%s should have number %04d", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		list = append(list, string(text))
	}
	return list, nil
}

// migrationLock is the key of the advisory lock that a migration holds, together with the schema's: "tkjr".
const migrationLock = 0x746b6a72

// migrate checks that the schema is ours, or empty, and brings it up to date. Several processes may do so at once: the
// lock lets one at a time look and go on.
func migrate(ctx context.Context, c *pgx.Conn, schema string, steps []string) error {
	for more := true; more; {
		var err error
		if more, err = migrateOne(ctx, c, schema, steps); err != nil {
			return err
		}
	}
	return nil
}

// migrateOne runs the next migration, if there is one, and reports whether there may be another.
func migrateOne(ctx context.Context, c *pgx.Conn, schema string, steps []string) (more bool, err error) {
	version, err := schemaVersion(ctx, c, schema)
	if err != nil {
		return false, err
	}
	if version == len(steps) {
		return false, nil
	}
	t, err := c.Begin(ctx)
	if err != nil {
		return false, inWords(err, storeError("begin migration", err))
	}
	defer t.Rollback(context.WithoutCancel(ctx)) // does nothing after a commit
	// A table of any size may have to be rewritten, and somebody else's migration to be waited for.
	if _, err := t.Exec(ctx, `SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`); err != nil {
		return false, storeError("begin migration", err)
	}
	if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext($2))`, migrationLock, schema); err != nil {
		return false, storeError("wait for another migration", err)
	}
	if version, err = schemaVersion(ctx, t, schema); err != nil {
		return false, err
	}
	switch {
	case version > len(steps):
		return false, advise(fmt.Errorf("the schema %s has version %d, this program knows versions up to %d", schema, version, len(steps)),
			"use the newer program that wrote it")
	case version < 0:
		return false, advise(fmt.Errorf("the schema %s has version %d: its table tokenjar_schema is damaged", schema, version),
			"restore the database from a backup")
	case version == len(steps):
		return false, nil // another process was faster
	case version == 0:
		if _, err := t.Exec(ctx, `
CREATE TABLE tokenjar_schema (
  id      integer NOT NULL PRIMARY KEY CHECK (id = 1),
  version integer NOT NULL
);
INSERT INTO tokenjar_schema (id, version) VALUES (1, 0)`); err != nil {
			return false, inWords(err, storeError("create tables", err))
		}
	}
	if _, err := t.Exec(ctx, steps[version]); err != nil {
		return false, inWords(err, storeError(fmt.Sprintf("migration %d", version+1), err))
	}
	if _, err := t.Exec(ctx, `UPDATE tokenjar_schema SET version = $1`, version+1); err != nil {
		return false, inWords(err, storeError("write schema version", err))
	}
	if err := t.Commit(ctx); err != nil {
		return false, storeError(fmt.Sprintf("commit migration %d", version+1), err)
	}
	return true, nil
}

// SchemaVersion returns the number of the last migration in the schema that a DSN leads to; 0 when none of our tables is
// there. It changes nothing, and fails with [tokenjar.ErrStoreUnavailable] after 5 seconds.
func SchemaVersion(ctx context.Context, dsn string) (version int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read schema version: %w", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	cfg, err := poolConfig(dsn, defaultTimeout)
	if err != nil {
		return 0, err
	}
	c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return 0, inWords(err, storeError("connect", err))
	}
	defer c.Close(context.WithoutCancel(ctx))
	where, err := lookAround(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	return schemaVersion(ctx, c, where.schema)
}

// schemaVersion returns the number of the last migration; 0 for a schema that has none of our tables yet. It fails when
// the schema has tables of such names that are not ours.
func schemaVersion(ctx context.Context, c interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, schema string) (version int, err error) {
	var ours bool
	var foreign *string
	err = c.QueryRow(ctx, `
SELECT coalesce(bool_or(relname = 'tokenjar_schema'), false), min(relname::text) FILTER (WHERE relname <> 'tokenjar_schema')
  FROM pg_catalog.pg_class
 WHERE relnamespace = $1::text::regnamespace
   AND relname IN ('tokenjar_schema', 'sessions', 'users', 'deleted_users', 'claims_changes', 'keyring', 'audit_events')`,
		pgx.Identifier{schema}.Sanitize()).Scan(&ours, &foreign)
	switch {
	case err != nil:
		return 0, inWords(err, storeError("look for tables", err))
	case ours:
		err := c.QueryRow(ctx, `SELECT version FROM tokenjar_schema`).Scan(&version)
		if errors.Is(err, pgx.ErrNoRows) {
			return 0, advise(fmt.Errorf("the table tokenjar_schema of schema %s is empty", schema), "restore the database from a backup")
		}
		return version, tablesInWords(schema, err, storeError("read tokenjar_schema", err))
	case foreign != nil:
		return 0, advise(fmt.Errorf("the schema %s has a table %s of another program", schema, *foreign),
			"use a database, or a schema, of its own")
	}
	return 0, nil
}
