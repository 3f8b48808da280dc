// Package problem turns errors into what a client is told: an RFC 9457 problem document with a stable code, the next
// thing to do, and a request id.
//
// The table in table.go is the only place where a code meets an HTTP status. An error says which code is its own, see
// [From]; those of packages token, csrf and cookie are known here. What says nothing is 500 with the detail in the log and
// nothing of it in the answer. Packages middleware, session and httpapi write their refusals with [Write]; a program that
// embeds tokenjar may do the same, so that its clients meet one form.
//
// It knows nothing of sessions and users, so that a program which only verifies tokens gets none of them.
package problem
