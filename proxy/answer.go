package proxy

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// An answer is where the reverse proxy puts what the service answers. It has a head of its own, so that nothing of what we say
// can be lost or doubled, and interim answers stay with us: what they say of cookies and links was judged by nobody.
type answer struct {
	w        http.ResponseWriter
	x        *exchange
	header   http.Header
	begun    bool
	held     bool      // of a stream: what is written would not be sent at once
	interim  int       // answers so far
	extended time.Time // when the client was last given more time

	writing sync.Mutex // the reverse proxy flushes from a goroutine of its own
}

// documents are fields that we set for answers of our own, and a service sets as it likes.
var documents = []string{
	"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy",
}

// Header returns the head of the service's answer.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		if a.interim++; a.interim > maxInterim {
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
	if a.x.body.isLeft() {
		// Otherwise net/http would read what is left first, and the client, which may be waiting for this, be told last.
		h["Connection"] = []string{"close"}
	}
	a.extend() // the service may have taken longer than the server allows for
	a.w.WriteHeader(status)
	if a.held {
		a.FlushError()
	}
}

// maxInterim is how many interim answers a service may send before the one that counts (RFC 9110, section 15.2).
const maxInterim = 1000

var errInterim = errors.New("proxy: the service sends interim answers without end")

// extend gives the client more time, as long as it reads.
func (a *answer) extend() {
	limit := a.x.route.proxy.timing.piece
	if now := time.Now(); now.Sub(a.extended) > limit/6 {
		a.extended = now
		http.NewResponseController(a.w).SetWriteDeadline(now.Add(limit))
	}
}

// Write sends a piece of the body. The client may take its time for each piece, not for the whole.
func (a *answer) Write(b []byte) (int, error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.extend()
	n, err := a.w.Write(b)
	if a.held {
		http.NewResponseController(a.w).Flush()
	}
	return n, err
}

// FlushError sends what has been written, for http.ResponseController.
func (a *answer) FlushError() error {
	a.writing.Lock()
	defer a.writing.Unlock()
	return http.NewResponseController(a.w).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.w }

// Hijack takes the connection over, for a WebSocket.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return a.x.takeOver(conn, rw.Reader), rw, nil
}
