package proxy

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"
)

// An answer is where the reverse proxy puts what the service answers. It has a head of its own, so that nothing of what we say
// can be lost or doubled, and interim answers stay with us: what they say of cookies and links was judged by nobody.
type answer struct {
	w        http.ResponseWriter
	x        *exchange
	header   http.Header
	begun    bool
	interim  int       // answers before it
	extended time.Time // when the client was last given more time
}

// maxInterim is how many interim answers (RFC 9110, section 15.2) a service may send before its answer.
const maxInterim = 10

var errInterim = errors.New("proxy: the service sends interim answers without end")

// documents are fields that we set for answers of our own, and a service sets as it likes.
var documents = []string{
	"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy",
}

// Header returns the head of the service's answer.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols && !a.begun {
		if a.interim++; a.interim > maxInterim { // net/http bounds none that somebody is told of
			a.x.cancel(errInterim)
		}
		return
	}
	if a.begun {
		return
	}
	a.begun = true
	h := a.w.Header()
	for _, name := range documents {
		delete(h, name)
	}
	for name, values := range a.header {
		switch {
		case name == "Vary":
			h[name] = append(h[name], values...)
		case name == "Trailer":
		default:
			h[name] = values
		}
	}
	a.w.WriteHeader(status)
}

// Write sends a piece of the body. The client may take its time for each piece, not for the whole.
func (a *answer) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(a.extended) > streamDeadline/6 {
		a.extended = now
		extend(a.w)
	}
	return a.w.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.w }

// Hijack takes the connection over, for a WebSocket.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return a.x.takeOver(conn), rw, nil
}
