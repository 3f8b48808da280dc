// Package tokenjar keeps JWT sessions in HttpOnly cookies, so that browser code never holds a token.
//
// This package is what the product does, without HTTP and without SQL: a [Service] signs users in, renews their
// sessions, ends them and verifies tokens. Around it:
//
//   - package session puts it in front of a net/http handler; package middleware has rules for methods, routes and users
//   - package httpapi serves sign-in, renewal and sign-out as JSON operations
//   - package store/sqlite and package store/memory keep sessions, users and the sealed key ring
//   - packages token, jwks, cookie, csrf, password and middleware are usable alone, by programs without sessions of ours
//   - package tokenjartest signs users in for the tests of a program
//
// Start with [New]; examples/embed is a complete program.
//
// # What is promised
//
// One row is one session, however often it is refreshed. A refresh token is good once: its use gives a successor, whose
// id is derived from it, so that the same token shown again by a second tab or after a lost answer gives the same
// successor and never a second branch. A second use that nothing honest explains ends the session, and that session
// alone. [Session.Judge] is the whole table.
//
// Nothing is answered before it is committed. What has been revoked is refused at once by the [Service] that revoked
// it, and by others on the same store as soon as they have polled it. A store that does not answer is an error of its
// own, [ErrStoreUnavailable], and never makes anybody look signed out.
package tokenjar
