package servertest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Request builds a request as a page of the site would send it, without any credential. Changes are applied last.
func (w *World) Request(t testing.TB, method, path, body string, changes ...func(*http.Request)) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, w.URL+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if !isSafe(method) {
		r.Header.Set("Origin", w.Origin)
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

// Send sends such a request and forgets the cookies of the answer.
func (w *World) Send(t testing.TB, method, path, body string, changes ...func(*http.Request)) Answer {
	t.Helper()
	return w.Do(t, w.client, w.Request(t, method, path, body, changes...))
}

// Refused sends such a request and fails the test unless it is refused with that status and code, changes nothing and
// sets no cookie (INV-4, INV-6).
func (w *World) Refused(t testing.TB, status int, code, method, path, body string, changes ...func(*http.Request)) Answer {
	t.Helper()
	before := w.Digest(t)
	a := w.Send(t, method, path, body, changes...)
	if a.Status != status || a.Header.Get("X-Tokenjar-Problem") != code {
		t.Errorf("%s %s: got %d %s, want %d %s: %s",
			method, path, a.Status, a.Header.Get("X-Tokenjar-Problem"), status, code, a.Body)
	}
	if after := w.Digest(t); after != before {
		t.Errorf("INV-6 %s %s: refused with %d, yet something changed", method, path, a.Status)
	}
	return a
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// Header returns a change that sets a header; an empty value removes it.
func Header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
}

// AddHeader returns a change that adds a further field of a name.
func AddHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// RawCookie returns a change that replaces the Cookie field.
func RawCookie(value string) func(*http.Request) { return Header("Cookie", value) }

// Bearer returns a change that sets the Authorization field.
func Bearer(token string) func(*http.Request) { return Header("Authorization", "Bearer "+token) }

// NoSignal takes away what tells a browser's page: neither Origin nor Sec-Fetch-Site.
func NoSignal(r *http.Request) {
	r.Header.Del("Origin")
	r.Header.Del("Sec-Fetch-Site")
}

// CrossSite makes a request that of a page of another site.
func CrossSite(r *http.Request) {
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
}

type renewalKey struct{}

// Renewing declares that the session is renewed on the way, so that an answer carries cookies whatever its status.
func Renewing(r *http.Request) {
	*r = *r.WithContext(context.WithValue(r.Context(), renewalKey{}, true))
}
