package tokenjartest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/request"
)

// Changes of a request, for [Client.Send] and its like. Any func(*http.Request) is one. They come before what a client
// adds by itself, and what they have set stays: a field that a change sets to nil is left out.

// Header returns a change that sets a header field. An empty value leaves the field out, also one that a client would add.
func Header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if value == "" {
			r.Header[http.CanonicalHeaderKey(name)] = nil
			return
		}
		r.Header.Set(name, value)
	}
}

// WithoutCSRF leaves the CSRF header out, which a page of ours never forgets and a forged one cannot send: the answer to
// an unsafe request must be 403.
func WithoutCSRF(r *http.Request) { Header(csrf.Header, "")(r) }

// CrossSite makes a request that of a page of another site, in the same browser. It still bears the CSRF header unless
// [WithoutCSRF] stands beside it, so that a test sees which rule refuses.
func CrossSite(r *http.Request) {
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
}

// dress adds what the sender of a request to this app adds by itself.
func (c *Client) dress(r *http.Request) {
	add := func(name, value string) {
		name = http.CanonicalHeaderKey(name)
		if _, given := r.Header[name]; !given && value != "" {
			r.Header[name] = []string{value}
		}
	}
	if c.tokens != nil {
		add("Authorization", "Bearer "+c.AccessToken())
		return
	}
	add("Sec-Fetch-Site", "same-origin")
	if !request.IsSafe(r.Method) {
		add("Origin", c.app.URL)
		add(csrf.Header, c.cookie(c.app.csrf))
	}
}

// A sender dresses the requests to its app and leaves those to others as they are.
type sender struct {
	client *Client
	next   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	if base := s.client.app.base; r.URL.Scheme == base.Scheme && r.URL.Host == base.Host {
		r = r.Clone(r.Context())
		s.client.dress(r)
	}
	return s.next.RoundTrip(r)
}

// Request returns a request as a handler receives it, for tests with an [httptest.ResponseRecorder]: signed in as a user,
// who is made if need be, with the cookies and the CSRF header of a page of ours. The user "" is nobody. The body is as in
// [Client.Send].
//
// The requests of a user are of one session, for as long as its access token is good. Cookies in the recorded answer reach
// no jar: take a [Client] to test renewal, sign-out and the like.
func (a *App) Request(method, path, user string, body any, changes ...func(*http.Request)) *http.Request {
	a.t.Helper()
	if user == "" {
		return a.Anonymous().Request(method, path, body, changes...)
	}
	return a.visitor(user).Request(method, path, body, changes...)
}

// Context returns the context of the test with the identity that the guard finds for a user, claims included: for handlers
// that are called without the guard. It makes and signs in the user as [App.Request] does.
//
// Where any identity will do, [tokenjar.ContextWithIdentity] of a made-up one is simpler.
func (a *App) Context(user string) context.Context {
	a.t.Helper()
	return tokenjar.ContextWithIdentity(a.t.Context(), a.visitor(user).Identity())
}

// visitor returns a client of a user that is signed in now.
func (a *App) visitor(user string) *Client {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.visitors[user]; c != nil {
		if _, err := a.Service.Authenticate(c.AccessToken()); err == nil {
			return c.With(a.t)
		}
	}
	c := a.SignIn(user)
	a.visitors[user] = c
	return c
}

// Request returns a request as a handler receives it from this client: see [App.Request]. It is not for [Client.Do], which
// sends requests of [http.NewRequest].
func (c *Client) Request(method, path string, body any, changes ...func(*http.Request)) *http.Request {
	c.t.Helper()
	reader, media := c.encode(body)
	r := httptest.NewRequestWithContext(c.t.Context(), method, c.target(path), reader)
	prepare(r, media, changes)
	if c.jar != nil {
		for _, each := range c.jar.Cookies(r.URL) {
			r.AddCookie(each)
		}
	}
	c.dress(r)
	for name, values := range r.Header {
		if values == nil {
			delete(r.Header, name) // a server sees no field, rather than one without values
		}
	}
	return r
}

// target is the address of a path.
func (c *Client) target(path string) string {
	c.t.Helper()
	u, err := url.Parse(path)
	if err != nil || !strings.HasPrefix(path, "/") || u.Host != "" {
		c.t.Fatalf("tokenjartest: %q is no path: write one that begins with a slash", path)
	}
	return c.app.URL + path
}

func prepare(r *http.Request, media string, changes []func(*http.Request)) {
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	for _, change := range changes {
		change(r)
	}
}

// encode makes a body of what a test has in hand.
func (c *Client) encode(body any) (r io.Reader, media string) {
	c.t.Helper()
	switch body := body.(type) {
	case nil:
		return nil, ""
	case io.Reader:
		return body, ""
	case url.Values:
		return strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	case string:
		return strings.NewReader(body), "application/json"
	case []byte:
		return bytes.NewReader(body), "application/json"
	}
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(fmt.Errorf("tokenjartest: body: %w", err))
	}
	return bytes.NewReader(text), "application/json"
}
