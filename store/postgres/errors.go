package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tokenjar/tokenjar"
)

// Errors of the driver stop here. They become the root package's sentinels by SQLSTATE, never by text, and their own text
// goes no further: it may hold statements, column names and values. What is left is the name of the operation, the
// sentinel and the code.

var (
	errClosed    = errors.New("store is closed")
	errQueueFull = errors.New("too many operations are waiting")
	errDamaged   = errors.New("a stored value is not what was written") // by us, at least
)

// SQLSTATEs that are told apart (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	stateUniqueViolation  = "23505"
	stateReadOnly         = "25006"
	stateInvalidPassword  = "28P01"
	stateInvalidAuth      = "28000"
	stateNoDatabase       = "3D000"
	stateNoSchema         = "3F000"
	stateSerialization    = "40001"
	stateDeadlock         = "40P01"
	stateNoPermission     = "42501"
	stateNoParameter      = "42704"
	stateTooMany          = "53300"
	stateLockNotAvailable = "55P03"
	stateQueryCanceled    = "57014"
	stateNoStatement      = "26000" // that was prepared on another connection: there is a pooler
	stateStatementTaken   = "42P05"
)

// unavailable reports whether an error of this SQLSTATE says nothing about any row: the database could not be asked, did
// not confirm, or undid the transaction for a reason of its own. Some pass by themselves, some need an operator.
func unavailable(state string) bool {
	if len(state) != 5 {
		return false
	}
	switch state[:2] {
	case "08", // connection
		"25", // transaction state: read-only among them, after a failover
		"28", // authentication
		"40", // serialization, deadlock, "completion unknown"
		"53", // no disk space, no memory, too many connections
		"54", // a limit of the server: the queue of notifications is full
		"55", // locked, or not in a state to be asked
		"57", // cancelled, timed out, shutting down, starting up
		"58", // I/O
		"F0", // configuration file
		"XX": // internal, damaged data
		return true
	}
	switch state {
	case stateNoDatabase, stateNoSchema, stateNoPermission, stateNoStatement, stateStatementTaken,
		"42P01", "42703", "0A000": // somebody changes the schema
		return true
	}
	return false
}

// sqlState returns the SQLSTATE of an error that the server sent, or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// undone reports whether an error says for certain that the statement, or the transaction, has changed nothing: the
// server has answered, and is still there.
func undone(err error) bool {
	state := sqlState(err)
	if len(state) != 5 {
		return false
	}
	switch state[:2] {
	case "22", "23": // a value that cannot be taken
		return true
	}
	switch state {
	case stateSerialization, stateDeadlock, stateLockNotAvailable, stateQueryCanceled:
		return true
	}
	return false
}

// lost reports whether an error ends the connection, or makes it useless: others that were made before may be as well.
func lost(err error) bool {
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		return false
	}
	switch state := sqlState(err); {
	case state == "":
		return connectionError(err)
	case state == stateReadOnly, state[:2] == "08":
		return true
	case state[:2] == "57":
		return state != stateQueryCanceled
	}
	return false
}

// connectionError reports whether an error is of the connection: it could not be made, broke, or kept silent.
func connectionError(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || network || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, pgx.ErrTxCommitRollback)
}

// storeError returns what callers see of err: the operation, a sentinel, and nothing that the driver said.
func storeError(op string, err error) error {
	if err == nil {
		return nil
	}
	state := sqlState(err)
	_, invalid := errors.AsType[*tokenjar.ValidationError](err)
	switch {
	case state == stateUniqueViolation:
		return fmt.Errorf("%s: %w", op, tokenjar.ErrConflict)
	case unavailable(state):
		return fmt.Errorf("%s: %w (PostgreSQL: %s)", op, tokenjar.ErrStoreUnavailable, state)
	case state != "":
		return fmt.Errorf("%s: the database refused the statement (PostgreSQL: %s)", op, state)
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	case invalid, errors.Is(err, tokenjar.ErrNotFound), errors.Is(err, tokenjar.ErrConflict),
		errors.Is(err, tokenjar.ErrInvalidCredentials), errors.Is(err, tokenjar.ErrStoreUnavailable):
		return fmt.Errorf("%s: %w", op, err)
	case errors.Is(err, errClosed), errors.Is(err, errQueueFull), errors.Is(err, errDamaged):
		return fmt.Errorf("%s: %w: %w", op, tokenjar.ErrStoreUnavailable, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w: %w", op, tokenjar.ErrStoreUnavailable, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", op, tokenjar.ErrStoreUnavailable, context.DeadlineExceeded)
	case connectionError(err):
		return fmt.Errorf("%s: %w: the connection was lost, or cannot be made", op, tokenjar.ErrStoreUnavailable)
	default:
		return fmt.Errorf("%s: unexpected error of the database driver (%T)", op, err)
	}
}

// ctxError is what a call with nothing to do returns.
func ctxError(ctx context.Context, op string) error { return storeError(op, ctx.Err()) }
