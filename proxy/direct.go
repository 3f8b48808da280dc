package proxy

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// http.Transport lets a connection go before it looks whether something follows the answer. A request that takes it in that moment
// is given what follows: a service that answers one request twice then answers somebody else, once in some thousand times. It
// also has two goroutines for each connection, which hand every request and every answer over twice. A direct has neither: the
// goroutine that asks reads the answer. Nothing of HTTP is written or parsed here: that is http.Request.Write and
// http.ReadResponse.
//
//   - A connection is used again only when its request has been sent and its answer read to the end, nothing follows it, and
//     nothing has arrived since: an answer that nobody asked for would be taken for the next client's. What arrives later
//     than the next request has been sent cannot be told from its answer, in HTTP/1.1, by anybody.
//   - A request whose used connection turns out to be closed, before one byte of an answer, is sent once more on a new
//     one. Only if its method may be repeated (RFC 9110, section 9.2.2), and only without a body.
//   - Upgrades are the transport's, which uses none of its connections twice.
type direct struct {
	dial     dialFunc
	address  string
	wait     time.Duration // for the head of an answer, once the request has been sent
	pause    time.Duration // for the service to take a piece of a body
	most     int           // connections that wait for a request
	upgrades http.RoundTripper

	mu    sync.Mutex
	idle  []*link // the one used last is at the end
	sweep *time.Timer
}

// linkIdle is how long a connection waits for a request before it is closed.
const linkIdle = 90 * time.Second

// newDirect returns a RoundTripper for the one service at the origin of a URL. most is how many connections may wait.
func newDirect(service *url.URL, r Route, most int) *direct {
	d := &direct{
		dial: newDialer(r).DialContext, wait: r.HeaderTimeout, pause: r.IdleTimeout, most: most, upgrades: newTransport(r),
	}
	port := "80"
	if service.Scheme == "https" {
		d.dial, port = dialTLS(counted(d.dial), r.ConnectTimeout), "443"
	}
	d.address = net.JoinHostPort(service.Hostname(), cmp.Or(service.Port(), port))
	return d
}

// RoundTrip implements [http.RoundTripper].
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if len(req.Header["Upgrade"]) > 0 {
		return d.upgrades.RoundTrip(req)
	}
	ctx := req.Context()
	l := d.take()
	for used := l != nil; ; used = false {
		if l == nil {
			conn, err := d.dial(ctx, "tcp", d.address)
			if err != nil {
				if req.Body != nil {
					req.Body.Close()
				}
				return nil, err
			}
			l = newLink(conn)
		}
		res, err := d.exchange(ctx, l, req)
		if err == nil {
			return res, nil
		}
		l.cut()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !used || !l.silent || !isClosed(err) || !isRepeatable(req) {
			return nil, err
		}
		l = nil
	}
}

func hasBody(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody
}

// isRepeatable reports whether a request may be sent twice.
func isRepeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return !hasBody(req)
	}
	return false
}

// isClosed reports whether the other side had closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// exchange sends a request and reads the head of its answer.
func (d *direct) exchange(ctx context.Context, l *link, req *http.Request) (_ *http.Response, err error) {
	l.begin()
	stop := context.AfterFunc(ctx, l.interrupt)
	defer func() {
		if err != nil {
			stop()
		}
	}()
	var s *sending
	if hasBody(req) {
		s = d.startSending(l, req)
	} else if err := d.send(l, req); err != nil {
		return nil, err
	}
	res, err := l.readHead(req)
	if err != nil {
		return nil, s.explain(err)
	}
	s.hasAnswer()
	l.left = unlimited
	if s == nil {
		l.setWriteDeadline(time.Time{}) // what TLS has to say by itself while the body is read
	}
	l.setReadDeadline(time.Time{}) // the pauses of a body are counted elsewhere
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	body := &linkBody{
		ReadCloser: res.Body, d: d, r: l.r, stop: stop, sending: s, again: !res.Close && !req.Close, counted: res.ContentLength >= 0,
	}
	body.link.Store(l)
	res.Body = body
	return res, nil
}

// send sends a request without a body.
func (d *direct) send(l *link, req *http.Request) error {
	l.setDeadline(time.Now().Add(d.wait))
	if err := req.Write(l.w); err != nil {
		return err
	}
	if err := l.w.Flush(); err != nil {
		return err
	}
	// The service needs a moment. Who else has something to do goes first: then the answer is there more often, and a read
	// that finds nothing is spared.
	runtime.Gosched()
	return nil
}

// A linkBody gives the connection back when it has been read to the end. It may be closed while it is read: whoever takes the
// link out first disposes of it, and nobody else touches it.
type linkBody struct {
	io.ReadCloser
	d       *direct
	r       *bufio.Reader        // the link's
	link    atomic.Pointer[link] // nil: given back, or closed
	stop    func() bool
	sending *sending // of the request; nil: it is over
	again   bool     // the connection may be used again
	counted bool     // its length is known
	ended   bool     // it has been read to the end; only Read uses it
}

// Read implements io.Reader.
func (b *linkBody) Read(p []byte) (int, error) {
	switch {
	case b.ended:
		return 0, io.EOF
	case b.link.Load() == nil:
		return 0, net.ErrClosed // and not the end, which would make half an answer a whole one
	}
	n, err := b.ReadCloser.Read(p)
	if err != io.EOF {
		return n, err
	}
	again := b.again && b.sending.isDone() && b.r.Buffered() == 0
	l := b.link.Swap(nil)
	if l == nil { // closed meanwhile; all of it has been read all the same
		b.ended = true
		return n, err
	}
	if b.ended = true; b.stop() && again {
		b.d.give(l)
	} else {
		l.cut()
	}
	return n, err
}

// ready reports whether a piece of it has come, so that Read does not wait.
func (b *linkBody) ready() bool { return b.ended || b.counted && b.r.Buffered() > 0 }

// Close implements io.Closer. What has not been read is the next answer's beginning for nobody: the connection ends.
func (b *linkBody) Close() error {
	if l := b.link.Swap(nil); l != nil {
		b.stop()
		l.cut()
	}
	return nil
}

// take returns a connection that waits and is silent and open, nil if there is none.
func (d *direct) take() *link {
	for {
		d.mu.Lock()
		last := len(d.idle) - 1
		if last < 0 {
			d.mu.Unlock()
			return nil
		}
		l := d.idle[last]
		d.idle[last] = nil
		d.idle = d.idle[:last]
		d.mu.Unlock()
		if time.Since(l.since) < linkIdle && l.isQuiet() {
			return l
		}
		l.cut()
	}
}

func (d *direct) give(l *link) {
	l.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) >= d.most {
		l.cut()
		return
	}
	d.idle = append(d.idle, l)
	if d.sweep == nil {
		d.sweep = time.AfterFunc(linkIdle, d.closeOld)
	}
}

// closeOld closes what has not been used for long.
func (d *direct) closeOld() {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := 0
	for old < len(d.idle) && time.Since(d.idle[old].since) >= linkIdle {
		d.idle[old].cut()
		old++
	}
	d.idle = append(d.idle[:0], d.idle[old:]...)
	d.sweep = nil
	if len(d.idle) > 0 {
		d.sweep = time.AfterFunc(linkIdle, d.closeOld)
	}
}

// CloseIdleConnections closes what waits for a request.
func (d *direct) CloseIdleConnections() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.idle {
		l.cut()
	}
	d.idle = nil
}
