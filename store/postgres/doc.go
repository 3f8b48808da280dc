// Package postgres keeps sessions, users, the audit trail and the key ring in a PostgreSQL database: the store of many
// nodes.
//
// It owns the tables in one schema and a pool of connections. Nearly every rotation is one conditional UPDATE, many of
// them together when many wait (batch.go); everything else is a short transaction at Read Committed, whose locks are
// argued where they are taken. Whether a refresh token may be spent is decided by [tokenjar.Session.Judge]; this package
// only finds the row and writes the verdict. What ends a session is told to all nodes in the same transaction
// (watch.go).
//
// The driver is github.com/jackc/pgx/v5. No error of it leaves this package: the server's codes become the sentinels of
// the root package (errors.go).
package postgres
