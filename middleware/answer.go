package middleware

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

// What a guarded answer looks like in a cache. An answer that sets a cookie of ours is stored by nobody. Any other is
// private to its user, whatever the handler said, and varies with the credentials.

// answer is a ResponseWriter that sets the guard's headers at the last moment, when the handler can no longer undo it.
type answer struct {
	http.ResponseWriter
	cookies  []*http.Cookie
	outdated func() bool // the cookies have been overtaken while the handler was at work
	begun    bool
	context  requestContext // of a request that speaks for somebody
	fields   [3]string      // room for the values of header fields
}

func newAnswer(w http.ResponseWriter) *answer { return &answer{ResponseWriter: w} }

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		a.begin()
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(b)
}

// Hijack hands the connection over, for handlers that ask for an http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Flush sends what has been written, for streams that ask for an http.Flusher.
func (a *answer) Flush() {
	a.begin()
	http.NewResponseController(a.ResponseWriter).Flush()
}

// finish is for a handler that wrote nothing at all.
func (a *answer) finish() { a.begin() }

func (a *answer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	h := a.Header()
	if a.outdated != nil && a.outdated() {
		a.cookies = nil // the browser has newer ones, or was signed out
	}
	for _, c := range a.cookies {
		h.Add("Set-Cookie", c.String())
	}
	protectCaches(h, len(a.cookies) > 0, &a.fields)
}

// ProtectCaches makes the headers of an answer safe for caches: no-store when it sets a cookie of ours, otherwise at
// least private. What overrules Cache-Control in some caches is removed.
func ProtectCaches(h http.Header, setsCookie bool) { protectCaches(h, setsCookie, new([3]string)) }

// protectCaches does so with room for the values it sets, which is the answer's alone.
func protectCaches(h http.Header, setsCookie bool, room *[3]string) {
	var control []string
	for name, values := range h {
		// Compared without case: a handler may have put "ETag" or "CDN-Cache-Control" into the map as it is written.
		switch cacheFieldOf(name) {
		case controlsCaches:
			control = append(control, values...)
			delete(h, name)
		case overrulesControl:
			delete(h, name)
		case validates:
			if setsCookie {
				delete(h, name)
			}
		}
	}
	room[0], room[1] = "Cookie", "Authorization"
	if h["Vary"] == nil {
		h["Vary"] = room[0:2:2]
	} else {
		addVary(h, room[:2]...)
	}
	switch {
	case setsCookie:
		room[2] = "no-store"
	case control == nil:
		room[2] = "private"
	default:
		room[2] = privately(control)
	}
	h["Cache-Control"] = room[2:3:3]
}

type cacheField int

const (
	controlsCaches   cacheField = iota + 1 // Cache-Control
	overrulesControl                       // in some caches
	validates                              // or dates an answer that may be stored
)

// cacheFieldOf tells what a field is to caches; 0: nothing.
func cacheFieldOf(name string) cacheField {
	const cdn = "-cdn-cache-control"
	switch is := func(other string) bool { return strings.EqualFold(name, other) }; len(name) {
	case len("etag"):
		if is("etag") {
			return validates
		}
	case len("expires"):
		if is("expires") {
			return validates
		}
	case len("cache-control"): // and "last-modified"
		if is("cache-control") {
			return controlsCaches
		}
		if is("last-modified") {
			return validates
		}
	case len("x-accel-expires"):
		if is("x-accel-expires") {
			return overrulesControl
		}
	default:
		if is("surrogate-control") || is(cdn[1:]) || len(name) >= len(cdn) && strings.EqualFold(name[len(name)-len(cdn):], cdn) {
			return overrulesControl
		}
	}
	return 0
}

// privately returns the directives of a Cache-Control field without those that allow shared caches, and with private
// unless no-store makes it needless (RFC 9111, section 5.2.2).
func privately(lines []string) string {
	all := strings.Join(lines, ",")
	if strings.Contains(all, `"`) {
		return "no-store" // lists of field names in quotes: too rare to split, too easy to split wrongly
	}
	kept := []string{}
	private := false
	for part := range strings.SplitSeq(all, ",") {
		part = strings.TrimSpace(part)
		name, _, hasValue := strings.Cut(part, "=")
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "", name == "public", name == "s-maxage":
			continue
		case name == "no-store":
			private = true
		case name == "private":
			if hasValue {
				continue // for some fields alone
			}
			private = true
		}
		kept = append(kept, part)
	}
	if !private {
		kept = append([]string{"private"}, kept...)
	}
	return strings.Join(kept, ", ")
}

func addVary(h http.Header, names ...string) {
	have := strings.ToLower(strings.Join(h["Vary"], ","))
	for _, name := range names {
		found := false
		for part := range strings.SplitSeq(have, ",") {
			part = strings.TrimSpace(part)
			found = found || part == "*" || part == strings.ToLower(name)
		}
		if !found {
			h.Add("Vary", name)
		}
	}
}

// GrantCookies builds the cookies that carry a grant.
func (g *Guard) GrantCookies(grant tokenjar.Grant) ([]*http.Cookie, error) {
	now := g.now()
	access, err := g.cookies.Access(grant.AccessToken, max(grant.AccessExpires.Sub(now), time.Second))
	if err != nil {
		return nil, fmt.Errorf("access cookie: %w", err)
	}
	life := grant.RefreshExpires.Sub(now)
	if life <= 0 {
		return nil, tokenjar.ErrSessionEnded
	}
	if !grant.Remember {
		life = 0 // a session cookie; the server's limits hold all the same
	}
	refresh, err := g.cookies.Refresh(grant.RefreshToken, life)
	if err != nil {
		return nil, fmt.Errorf("refresh cookie: %w", err)
	}
	token, err := g.cookies.CSRF(g.csrfTokens().Issue(grant.SessionID), life)
	if err != nil {
		return nil, fmt.Errorf("csrf cookie: %w", err)
	}
	return append(g.cookies.Expired(), access, refresh, token), nil
}

// ClearCookies builds the deletions of all our cookies.
func (g *Guard) ClearCookies() []*http.Cookie { return g.cookies.Clear() }

// CSRFCookie builds the CSRF cookie of a session, which lives as long as its refresh cookie.
func (g *Guard) CSRFCookie(sess tokenjar.Session) (*http.Cookie, error) {
	life := sess.IdleExpiresAt.Sub(g.now())
	if life <= 0 {
		return nil, tokenjar.ErrSessionEnded // by this node's clock; the store's may differ a little
	}
	if !sess.Remember {
		life = 0
	}
	return g.cookies.CSRF(g.csrfTokens().Issue(sess.ID), life)
}

// SetGrant puts a grant's cookies on an answer that the guard wraps, whatever its handler does from here on.
func (g *Guard) SetGrant(w http.ResponseWriter, grant tokenjar.Grant) error {
	cookies, err := g.GrantCookies(grant)
	if err != nil {
		return err
	}
	a, ok := w.(*answer)
	if !ok {
		return problem.New(problem.Internal)
	}
	a.cookies = cookies
	a.outdated = func() bool { return g.service.Outdated(grant) }
	return nil
}
