// Package sqlite keeps sessions, users, the audit trail and the key ring in one SQLite file: the store of one node.
//
// It owns the file, its schema and its write-ahead log. One goroutine writes, and commits together what is waiting
// (writer.go); another copies the log into the database (checkpoint.go); any number of calls read meanwhile. What a
// method reported is on disk (synchronous=FULL). Whether a refresh token may be spent is decided by
// [tokenjar.Session.Judge]; this package only finds the row and writes the verdict.
//
// The driver is modernc.org/sqlite, which needs no C compiler. No error of it leaves this package: its codes become the
// sentinels of the root package (errors.go).
package sqlite
