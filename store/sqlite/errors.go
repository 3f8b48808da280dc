package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/tokenjar/tokenjar"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors of the driver stop here. They become the root package's sentinels by result code, never by text, and their own
// text goes no further: it may hold statements, column names and values. What is left is the name of the operation, the
// sentinel and the code.

var (
	errClosed    = errors.New("store is closed")
	errQueueFull = errors.New("too many operations are waiting")
	errDamaged   = errors.New("a stored value is not what was written") // by us, at least
)

// unavailableCodes are the primary result codes under which nothing may be concluded about a row: the database could
// not be asked, or did not confirm. Some pass by themselves (busy, full), some need an operator (corrupt).
var unavailableCodes = map[int]string{
	sqlite3.SQLITE_PERM:      "no permission",
	sqlite3.SQLITE_BUSY:      "busy",
	sqlite3.SQLITE_LOCKED:    "locked",
	sqlite3.SQLITE_NOMEM:     "out of memory",
	sqlite3.SQLITE_READONLY:  "read-only",
	sqlite3.SQLITE_INTERRUPT: "interrupted",
	sqlite3.SQLITE_IOERR:     "I/O error",
	sqlite3.SQLITE_CORRUPT:   "corrupt",
	sqlite3.SQLITE_FULL:      "disk full",
	sqlite3.SQLITE_CANTOPEN:  "cannot open",
	sqlite3.SQLITE_PROTOCOL:  "locking protocol",
	sqlite3.SQLITE_NOTADB:    "not a database",
}

// resultCode returns the extended result code of an error of the driver, or 0.
func resultCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// primary cuts an extended result code to its primary one.
func primary(code int) int { return code & 0xff }

// storeError returns what callers see of err: the operation, a sentinel, and nothing that the driver said.
func storeError(op string, err error) error {
	if err == nil {
		return nil
	}
	code := resultCode(err)
	if state, ok := unavailableCodes[primary(code)]; ok {
		return fmt.Errorf("%s: %w (sqlite: %s, %d)", op, tokenjar.ErrStoreUnavailable, state, code)
	}
	_, invalid := errors.AsType[*tokenjar.ValidationError](err)
	switch {
	case code == sqlite3.SQLITE_CONSTRAINT_UNIQUE, code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
		code == sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%s: %w", op, tokenjar.ErrConflict)
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	case invalid, errors.Is(err, tokenjar.ErrNotFound), errors.Is(err, tokenjar.ErrConflict),
		errors.Is(err, tokenjar.ErrInvalidCredentials), errors.Is(err, tokenjar.ErrStoreUnavailable):
		return fmt.Errorf("%s: %w", op, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w: %w", op, tokenjar.ErrStoreUnavailable, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", op, tokenjar.ErrStoreUnavailable, context.DeadlineExceeded)
	case errors.Is(err, errClosed), errors.Is(err, errQueueFull), errors.Is(err, errDamaged):
		return fmt.Errorf("%s: %w: %w", op, tokenjar.ErrStoreUnavailable, err)
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone):
		return fmt.Errorf("%s: %w: the connection was lost", op, tokenjar.ErrStoreUnavailable)
	case code != 0:
		return fmt.Errorf("%s: the database refused the statement (sqlite: %d)", op, code)
	default:
		return fmt.Errorf("%s: unexpected error of the database driver (%T)", op, err)
	}
}

// fatal reports whether an error inside a transaction ends the whole of it. SQLite may have rolled back by itself then
// (https://sqlite.org/lang_transaction.html, section 3), so that whatever ran next would be committed one by one.
func fatal(err error) bool {
	_, unavailable := unavailableCodes[primary(resultCode(err))]
	return unavailable || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}
