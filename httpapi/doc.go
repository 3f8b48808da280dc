// Package httpapi is the HTTP contract: sign in, stay in, sign out, as JSON operations with an OpenAPI document made
// from the code.
//
// routes.go lists the operations and how each is judged before it runs; one file holds one of them. An operation is a
// function of structs that calls one use case of the root package. What stands before it, reading the body strictly
// and judging origin, credential and CSRF token, is gate.go on top of package session.
//
// The document says of each operation with which problems it may answer, from the sets in refusals.go. Every answer that
// a test receives is held against it. A program with an OpenAPI document of its own takes [API.SecuritySchemes] and
// [API.SignedIn] from here.
package httpapi
