package tokenjartest

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/tokenjar/tokenjar/problem"
)

// A Response is an answer, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte

	t     testing.TB
	asked string // method and path, for messages
}

// Text returns the body as text.
func (r *Response) Text() string { return string(r.Body) }

// Want fails the test unless the answer has that status, and says what it is instead.
func (r *Response) Want(status int) *Response {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("%s: got status %d, want %d: %s", r.asked, r.Status, status, r.excerpt())
	}
	return r
}

// JSON decodes the body into v, as [json.Unmarshal] does. It fails the test when that cannot be done.
func (r *Response) JSON(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		r.t.Fatalf("%s: status %d: the body is not what was expected: %v: %s", r.asked, r.Status, err, r.excerpt())
	}
}

// Code returns why tokenjar refused the request, and "" if it was not tokenjar that did.
func (r *Response) Code() problem.Code { return problem.Code(r.Header.Get(problem.Header)) }

// Cookies returns the cookies that the answer sets, in order. One with a MaxAge below zero is a deletion.
func (r *Response) Cookies() []*http.Cookie { return (&http.Response{Header: r.Header}).Cookies() }

// excerpt is as much of the body as a message has room for.
func (r *Response) excerpt() string {
	const room = 1000
	if len(r.Body) == 0 {
		return "(no body)"
	}
	if len(r.Body) > room {
		return string(r.Body[:room]) + "…"
	}
	return string(r.Body)
}
