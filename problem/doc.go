// Package problem turns errors into what a client is told: an RFC 9457 problem document with a stable code, the next
// thing to do, and a request id.
//
// The table in table.go is the only place where an error meets an HTTP status. What it does not know is 500 with the
// detail in the log and nothing of it in the answer. Package middleware and package httpapi write their refusals with
// [Write]; a program that embeds tokenjar may do the same, so that its clients meet one form.
package problem
