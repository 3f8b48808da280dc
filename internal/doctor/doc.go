// Package doctor examines a running server from outside, as a browser would meet it, and names what keeps cookies from being
// set or sent: the scheme, the cookies' attributes, CORS, a proxy in front, clocks and sizes.
//
// It asks little and changes nothing: without an account it sends requests that anybody may send, and never tries a password.
// With one it signs in, walks the whole way of a session with a cookie jar as strict as browsers are, and signs out. What is
// judged are answers that were captured: judgements are functions of them. What it looks like in a terminal is internal/cli's.
package doctor
