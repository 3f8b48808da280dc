package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// advice is an error of a start, with what to do about it: at the end of its text for whoever prints that alone, and apart
// for a program that has a line of its own for it.
type advice struct {
	err  error
	hint string
}

func advise(err error, hint string) error { return &advice{err, hint} }

func (a *advice) Error() string { return a.err.Error() + ": " + a.hint }
func (a *advice) Unwrap() error { return a.err }

// Hint says what to do.
func (a *advice) Hint() string { return a.hint }

// inWords says what an error means for a start; public is what storeError made of cause.
func inWords(cause, public error) error {
	means := func(problem, hint string) error { return advise(fmt.Errorf("%s: %w", problem, public), hint) }
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var connecting *pgconn.ConnectError
	switch state := sqlState(cause); {
	case cause == nil:
		return nil
	case errors.Is(cause, errPooled), state == stateNoStatement, state == stateStatementTaken:
		return errPooled
	case errors.Is(cause, errOneConnection):
		return errOneConnection
	case state == stateInvalidPassword, state == stateInvalidAuth:
		return means("the server refuses this user or password",
			"check user and password of the database URL, PGPASSWORD or PGPASSFILE, and pg_hba.conf")
	case state == stateNoDatabase:
		return means("there is no such database", "make it with createdb, or CREATE DATABASE")
	case state == stateNoPermission:
		return means("the user may not create or write tables there",
			"let it own the database, or GRANT CREATE, USAGE ON SCHEMA … TO it")
	case state == stateTooMany:
		return means("the server has no connection left", "raise its max_connections, or lower pool_max_conns here")
	case errors.Is(cause, syscall.ECONNREFUSED), errors.Is(cause, syscall.ENOENT):
		return means("nothing answers there", "see whether PostgreSQL runs, and whether host and port are right")
	case state == stateNoParameter && errors.As(cause, &connecting):
		return means(fmt.Sprintf("the server does not know a parameter of the database URL (%s)",
			strings.Join(ownParameters(connecting.Config), ", ")), "correct it, or remove it")
	case errors.As(cause, &certificate):
		return means("the certificate of the server is not trusted, or is another host's",
			"name its authority with sslrootcert=…, and the host as the certificate does")
	case errors.As(cause, &connecting) && strings.Contains(cause.Error(), refusedTLS):
		return means("the server offers no TLS", "set ssl = on there; sslmode=disable goes without, for a network that is yours alone")
	case errors.As(cause, &dns):
		return means("the host name of the database URL is not known", "correct it, or see whether names are resolved here")
	case state == stateReadOnly, errors.Is(cause, pgconn.ErrReadOnlyConnection):
		return means("the server is read-only, a standby perhaps", "name the primary, or all hosts")
	case errors.As(cause, &connecting) && pgconn.Timeout(cause):
		return means("there was no answer in time", "see whether host and port are right, and whether a firewall lets us through")
	case errors.Is(cause, context.DeadlineExceeded):
		return means("the server let us in and then did not answer in time", "see whether it is overloaded, or somebody holds a lock")
	default:
		return public
	}
}

// refusedTLS is how the driver, not the server, says that there is no TLS: it has no value for it.
const refusedTLS = "server refused TLS connection"

// ownParameters are the names of those parameters of a connection that the server has to know and not each one does.
func ownParameters(c *pgconn.Config) []string {
	names := slices.Sorted(maps.Keys(c.RuntimeParams))
	return slices.DeleteFunc(names, func(name string) bool { return name == "application_name" || name == "search_path" })
}

// tablesInWords is inWords for a statement that uses the tables of a schema.
func tablesInWords(schema string, cause, public error) error {
	if sqlState(cause) == stateNoPermission {
		return advise(fmt.Errorf("the user may not read or write the tables: %w", public),
			fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO it", schema))
	}
	return inWords(cause, public)
}
