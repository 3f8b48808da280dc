package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"
)

// The schema is the sum of migrations/NNNN_name.sql, in order and without gaps. Each runs once, in a transaction of its
// own that also moves the number of the last one in the file's header (PRAGMA user_version); one that is interrupted
// leaves nothing behind. Published files are never edited.

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

// migrate checks that the file is a database of ours that can be written, and brings its schema up to date. Several
// processes may do so at once: each step is run by the one that gets the write lock first.
func migrate(ctx context.Context, c *conn, steps []string) error {
	id, err := c.number(ctx, `PRAGMA application_id`)
	if err != nil {
		return inWords(err, storeError("read header", err))
	}
	if id != applicationID {
		return fmt.Errorf("the file is a SQLite database of another program (application id %d)", id)
	}
	var mode string
	if err := c.c.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return inWords(err, storeError("set journal mode", err))
	}
	if mode != "wal" {
		return fmt.Errorf("the file cannot be used with a write-ahead log (journal mode stays %q): "+
			"is it on a network file system?", mode)
	}
	for more := true; more; {
		if more, err = migrateOne(ctx, c, steps); err != nil {
			return err
		}
	}
	return nil
}

// migrateOne runs the next migration, if there is one, and reports whether there may be another.
func migrateOne(ctx context.Context, c *conn, steps []string) (more bool, err error) {
	if _, err := c.c.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return false, inWords(err, storeError("begin migration", err))
	}
	defer c.c.ExecContext(uninterrupted, `ROLLBACK`) // does nothing after COMMIT
	version, err := c.number(ctx, `PRAGMA user_version`)
	if err != nil {
		return false, storeError("read schema version", err)
	}
	switch {
	case version > int64(len(steps)):
		return false, fmt.Errorf("the database has schema version %d, this program knows versions up to %d: "+
			"use the newer program that wrote it", version, len(steps))
	case version < 0:
		return false, fmt.Errorf("the database has schema version %d: its header is damaged", version)
	case version == int64(len(steps)):
		// A file that cannot be written is better found now than at the first sign-in. BEGIN IMMEDIATE does not find it:
		// on such a file it begins to read. What is written here is rolled back.
		_, err := c.c.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version))
		return false, inWords(err, storeError("try to write", err))
	}
	if _, err := c.c.ExecContext(ctx, steps[version]); err != nil {
		return false, inWords(err, storeError(fmt.Sprintf("migration %d", version+1), err))
	}
	if _, err := c.c.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version+1)); err != nil {
		return false, storeError("write schema version", err)
	}
	if _, err := c.c.ExecContext(ctx, `COMMIT`); err != nil {
		return false, storeError(fmt.Sprintf("commit migration %d", version+1), err)
	}
	return true, nil
}

// inWords says what a result code means for a start; public is what storeError made of cause.
func inWords(cause, public error) error {
	switch primary(resultCode(cause)) {
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the file is not a SQLite database, or its header is damaged: %w", public)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("the file is damaged: restore it from a backup: %w", public)
	case sqlite3.SQLITE_READONLY:
		return fmt.Errorf("the file, or its directory, is read-only: %w", public)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("the file, or one beside it, cannot be opened: check owner and mode: %w", public)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("another process is writing to it: %w", public)
	default:
		return public
	}
}
