package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Most requests are bodiless ones to a service on plain HTTP, and http.Transport has two goroutines for each of its
// connections, which hand every request and every answer over twice. A direct sends such a request and reads its answer in
// the goroutine that asks. Nothing of HTTP is written or parsed here: that is http.Request.Write and http.ReadResponse.
//
//   - A connection is used again only when its answer was read to the end, nothing follows it, and nothing has arrived
//     since: an answer that nobody asked for would be taken for the next client's.
//   - A request whose used connection turns out to be closed, before one byte of an answer, is sent once more on a new
//     one. Only methods that may be repeated come here (RFC 9110, section 9.2.2), and only without a body.
//   - Whatever is different (a body, an upgrade, TLS, another method) is the transport's.
type direct struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	address string
	wait    time.Duration // for the head of an answer
	most    int           // connections that wait for a request
	others  http.RoundTripper

	mu    sync.Mutex
	idle  []*link // the one used last is at the end
	sweep *time.Timer
}

// linkIdle is how long a connection waits for a request before it is closed.
const linkIdle = 90 * time.Second

// newDirect returns a RoundTripper for one service, beside the transport. most is how many connections may wait.
func newDirect(t *http.Transport, host string, r Route, most int) *direct {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "80")
	}
	return &direct{dial: newDialer(r).DialContext, address: host, wait: r.HeaderTimeout, most: most, others: t}
}

// RoundTrip implements [http.RoundTripper].
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if !isDirect(req) {
		return d.others.RoundTrip(req)
	}
	ctx := req.Context()
	l := d.take()
	for used := l != nil; ; used = false {
		if l == nil {
			conn, err := d.dial(ctx, "tcp", d.address)
			if err != nil {
				return nil, err
			}
			l = newLink(conn)
		}
		res, err := d.exchange(ctx, l, req)
		if err == nil {
			return res, nil
		}
		l.conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !used || !l.silent || !isClosed(err) {
			return nil, err
		}
		l = nil
	}
}

// isDirect reports whether a request has no body, may be repeated, and asks for no other protocol.
func isDirect(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	return req.URL.Scheme == "http" && (req.Body == nil || req.Body == http.NoBody) && req.ContentLength == 0 &&
		len(req.Header["Upgrade"]) == 0
}

// isClosed reports whether the other side had closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// A link is one connection to the service. One goroutine uses it at a time.
type link struct {
	conn    net.Conn
	silence *silence
	r       *bufio.Reader
	w       *bufio.Writer
	left    int64 // bytes that may still be read for the head of an answer
	silent  bool  // nothing has been read since the request was sent
	since   time.Time
}

func newLink(conn net.Conn) *link {
	l := &link{conn: conn, silence: newSilence(conn), w: bufio.NewWriterSize(conn, 8<<10)}
	l.r = bufio.NewReaderSize(l, 8<<10)
	return l
}

// Read implements io.Reader for the buffer, which bounds the head of an answer: http.ReadResponse does not.
func (l *link) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLongHead
	}
	n, err := l.conn.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	l.silent = l.silent && n == 0
	return n, err
}

var errLongHead = errors.New("proxy: the head of the answer is too long")

// exchange sends a request and reads the head of its answer.
func (d *direct) exchange(ctx context.Context, l *link, req *http.Request) (_ *http.Response, err error) {
	l.left, l.silent = maxAnswerHeader, true
	stop := context.AfterFunc(ctx, func() { l.conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if err != nil {
			stop()
		}
	}()
	l.conn.SetDeadline(time.Now().Add(d.wait))
	if ctx.Err() != nil { // its end may have come before the deadline was set
		return nil, ctx.Err()
	}
	if err := req.Write(l.w); err != nil {
		return nil, err
	}
	if err := l.w.Flush(); err != nil {
		return nil, err
	}
	// The service needs a moment. Who else has something to do goes first: then the answer is there more often, and a read
	// that finds nothing is spared.
	runtime.Gosched()
	var res *http.Response
	for range maxInterim {
		if res, err = http.ReadResponse(l.r, req); err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	if res.StatusCode < 200 {
		return nil, errors.New("proxy: the service does not come to an answer")
	}
	l.left = math.MaxInt64
	l.conn.SetDeadline(time.Time{}) // the pauses of a body are counted elsewhere
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	body := &linkBody{ReadCloser: res.Body, d: d, r: l.r, stop: stop, again: !res.Close && !req.Close, counted: res.ContentLength >= 0}
	body.link.Store(l)
	res.Body = body
	return res, nil
}

// A linkBody gives the connection back when it has been read to the end. It may be closed while it is read: whoever takes the
// link out first disposes of it, and nobody else touches it.
type linkBody struct {
	io.ReadCloser
	d       *direct
	r       *bufio.Reader        // the link's
	link    atomic.Pointer[link] // nil: given back, or closed
	stop    func() bool
	again   bool // the connection may be used again
	counted bool // its length is known
	ended   bool // it has been read to the end; only Read uses it
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
	again := b.again && b.r.Buffered() == 0
	l := b.link.Swap(nil)
	if l == nil { // closed meanwhile; all of it has been read all the same
		b.ended = true
		return n, err
	}
	if b.ended = true; b.stop() && again {
		b.d.give(l)
	} else {
		l.conn.Close()
	}
	return n, err
}

// ready reports whether a piece of it has come, so that Read does not wait.
func (b *linkBody) ready() bool { return b.ended || b.counted && b.r.Buffered() > 0 }

// Close implements io.Closer. What has not been read is the next answer's beginning for nobody: the connection ends.
func (b *linkBody) Close() error {
	if l := b.link.Swap(nil); l != nil {
		b.stop()
		l.conn.Close()
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
		if time.Since(l.since) < linkIdle && l.silence.holds() {
			return l
		}
		l.conn.Close()
	}
}

func (d *direct) give(l *link) {
	l.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) >= d.most {
		l.conn.Close()
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
		d.idle[old].conn.Close()
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
		l.conn.Close()
	}
	d.idle = nil
	if t, ok := d.others.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
