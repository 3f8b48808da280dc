// Package answer wraps a ResponseWriter so that an answer which depends on a credential is safe for caches, and so that
// cookies of ours reach the browser whatever the handler does. Package session and package middleware write through it.
package answer

import (
	"bufio"
	"net"
	"net/http"
	"strings"
)

// What a guarded answer looks like in a cache. An answer that sets a cookie of ours is stored by nobody. Any other is
// private to its user, whatever the handler said, and varies with the credentials.

// A Writer is a ResponseWriter that sets its headers at the last moment, when the handler can no longer undo it. Finish
// must be called when the handler is done.
type Writer struct {
	http.ResponseWriter
	cookies   []*http.Cookie
	overtaken func() bool // the cookies have been overtaken while the handler was at work
	delivered func()      // to be told when the head has left; nil when nobody has to be told any more
	written   int         // bytes of the body, while somebody has to be told
	begun     bool
	fields    [3]string // room for the values of header fields
}

// heldBack is more of an answer than net/http keeps to itself before the first of it leaves: 2 KiB of a body and 4 KiB of
// a connection.
const heldBack = 8 << 10

// Carry has the answer set cookies, unless overtaken reports, when the answer begins, that newer ones have been given out.
// delivered is called once, when the head of the answer has left or never will: what a handler has written may wait in a
// buffer for as long as the handler is at work.
func (a *Writer) Carry(cookies []*http.Cookie, overtaken func() bool, delivered func()) {
	a.leave()
	a.cookies, a.overtaken, a.delivered = cookies, overtaken, delivered
}

// Unwrap lets http.ResponseController reach the connection.
func (a *Writer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader begins the answer, unless the status is an interim one.
func (a *Writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		a.begin()
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write begins the answer.
func (a *Writer) Write(b []byte) (int, error) {
	a.begin()
	n, err := a.ResponseWriter.Write(b)
	if a.delivered != nil {
		if a.written += n; a.written >= heldBack {
			a.leave()
		}
	}
	return n, err
}

// Hijack hands the connection over, for handlers that ask for an http.Hijacker.
func (a *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.leave()
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Flush sends what has been written, for streams that ask for an http.Flusher.
func (a *Writer) Flush() {
	a.begin()
	http.NewResponseController(a.ResponseWriter).Flush()
	a.leave()
}

// CloseNotify is for handlers that ask for an [http.CloseNotifier], as gin's streams do. Where nothing below has one, the
// channel never fires; the request's context tells as well.
func (a *Writer) CloseNotify() <-chan bool {
	if below, ok := a.ResponseWriter.(http.CloseNotifier); ok {
		return below.CloseNotify()
	}
	return nil
}

// Finish sets the headers of an answer whose handler wrote nothing at all.
func (a *Writer) Finish() {
	defer a.leave()
	a.begin()
}

func (a *Writer) leave() {
	if delivered := a.delivered; delivered != nil {
		a.delivered = nil
		delivered()
	}
}

func (a *Writer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	h := a.Header()
	if a.overtaken != nil && a.overtaken() {
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
// unless no-store makes it needless (RFC 9111, section 5.2.2). Beside must-understand some caches pass no-store over.
func privately(lines []string) string {
	all := strings.Join(lines, ",")
	if strings.Contains(all, `"`) {
		return "no-store" // lists of field names in quotes: too rare to split, too easy to split wrongly
	}
	kept := []string{}
	private, noStore, mustUnderstand := false, false, false
	for part := range strings.SplitSeq(all, ",") {
		part = strings.TrimSpace(part)
		name, _, hasValue := strings.Cut(part, "=")
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "", name == "public", name == "s-maxage":
			continue
		case name == "no-store":
			noStore = true
		case name == "must-understand":
			mustUnderstand = true
		case name == "private":
			if hasValue {
				continue // for some fields alone
			}
			private = true
		}
		kept = append(kept, part)
	}
	if !private && (!noStore || mustUnderstand) {
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
