// Package httpapi is the HTTP contract: sign in, stay in, sign out, as JSON operations with an OpenAPI document made
// from the code.
//
// routes.go lists the operations and how each is judged before it runs; one file holds one of them. An operation is a
// function of structs that calls one use case of the root package. What stands before it, reading the body strictly
// and judging origin, credential and CSRF token, is gate.go on top of package middleware.
package httpapi
