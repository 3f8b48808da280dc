package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

// A stream that somebody signed in has opened lives as long as the session: see tokenjar.Service.Bind. At its end
//
//   - a WebSocket gets a Close frame with 4401 and the code of the problem, between two frames, and the service one with 1001
//   - an event stream ends as if the service had ended it; the browser asks again, and is told 401
//
// At the stop of the server streams end as well, with 1001, so that clients ask another node.

// errStopping ends all streams.
var errStopping = errors.New("proxy: stopping")

// timing are limits that tests shorten.
type timing struct {
	linger  time.Duration // for a client to read and answer a Close frame of ours
	closing time.Duration // for one side of a WebSocket to end after the other one has
	piece   time.Duration // for a client to read one piece of an answer or a stream
	body    time.Duration // for a client to send a body, beyond what its length explains: see requestBody
	stop    time.Duration // for all streams to end at the stop
}

var usualTiming = timing{
	linger: time.Second, closing: 5 * time.Second, piece: 30 * time.Second, body: 30 * time.Second, stop: 1250 * time.Millisecond,
}

// endedBySession reports whether a stream was ended because its session had, or nobody could tell whether it had.
func endedBySession(cause error) bool {
	for _, end := range []error{
		tokenjar.ErrSessionEnded, tokenjar.ErrSessionReused, tokenjar.ErrTokenExpired, tokenjar.ErrStoreUnavailable,
	} {
		if errors.Is(cause, end) {
			return true
		}
	}
	return false
}

// closing says how a WebSocket ends for a reason.
func closing(cause error) (code uint16, reason string) {
	switch {
	case errors.Is(cause, errStopping):
		return closeGoingAway, ""
	case errors.Is(cause, tokenjar.ErrStoreUnavailable):
		return closeTryLater, string(problem.StoreUnavailable)
	}
	return closeSession, string(problem.From(cause).Code)
}

// A framed is one side of a WebSocket. It may be ended between two frames of what is sent to it. From then on nothing more is
// sent, and what the other side still sends is read and dropped by those who copy, until it closes or its time is over.
type framed struct {
	io.ReadWriteCloser
	masked bool // what is sent
	timing timing

	mu     sync.Mutex // never held while something is sent
	ending []byte     // a Close frame that is to be sent as soon as none is under way
	timer  *time.Timer
	closed bool

	sending sync.Mutex // held while something is sent
	open    bool       // the handshake has been answered
	sent    frames
	ended   bool // nothing is sent any more
	patient time.Time
}

// Write sends what the other side has sent.
func (c *framed) Write(b []byte) (int, error) {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.open = true
	if c.ended {
		return len(b), nil
	}
	whole := len(b)
	if c.isEnding() {
		b = b[:c.sent.rest(b)] // up to the end of the frame that has begun
	}
	c.patience()
	n, err := c.ReadWriteCloser.Write(b)
	c.sent.pass(b[:n])
	if err != nil {
		return n, err
	}
	c.finish()
	return whole, nil
}

// patience bounds how long a client that reads nothing is waited for.
func (c *framed) patience() {
	d, ok := c.ReadWriteCloser.(interface{ SetWriteDeadline(time.Time) error })
	if now := time.Now(); ok && now.Sub(c.patient) > c.timing.piece/6 {
		c.patient = now
		d.SetWriteDeadline(now.Add(c.timing.piece))
	}
}

func (c *framed) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending != nil
}

// opened says that the handshake has been answered.
func (c *framed) opened() {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.open = true
	c.finish()
}

// end sends a Close frame, at once or after the frame that has begun, and closes the connection when the other side has had
// time to answer. It returns when the frame is sent or that time is over.
func (c *framed) end(code uint16, reason string) {
	if !c.begin(closeFrame(code, reason, c.masked), c.timing.linger) {
		return
	}
	c.sending.Lock() // whoever sends to a side that does not read is interrupted when the time is over
	defer c.sending.Unlock()
	c.finish()
}

// begin bounds how long the connection lives from now on.
func (c *framed) begin(ending []byte, within time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.ending != nil {
		return false
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.ending, c.timer = ending, time.AfterFunc(within, func() { c.Close() })
	return true
}

// finish sends the Close frame if there is one and it may be sent. It is called with sending held.
func (c *framed) finish() {
	if c.ended || !c.open || !c.sent.between() || !c.isEnding() {
		return
	}
	c.ended = true
	c.patience()
	c.ReadWriteCloser.Write(c.ending)
	if !c.masked { // a server closes first (RFC 6455, section 7.1.1)
		c.halfClose()
	}
}

func (c *framed) halfClose() error {
	half, ok := c.ReadWriteCloser.(interface{ CloseWrite() error })
	if !ok {
		return http.ErrNotSupported
	}
	return half.CloseWrite()
}

// CloseWrite passes on that the other side sends nothing more. This one may answer, but not for long.
func (c *framed) CloseWrite() error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	c.begin(nil, c.timing.closing)
	return c.halfClose()
}

// Close closes the connection, and interrupts who reads or sends.
func (c *framed) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	return c.ReadWriteCloser.Close()
}

// WriteTo implements [io.WriterTo], for io.Copy.
func (c *framed) WriteTo(w io.Writer) (int64, error) { return pump(w, c.ReadWriteCloser) }

// A framedConn is the client's side, as a connection that was taken over.
type framedConn struct {
	net.Conn
	*framed
	early   *bufio.Reader // what came before the handshake was answered
	reading bool
}

// Read is first called when the handshake has been answered.
func (c *framedConn) Read(b []byte) (int, error) {
	if !c.reading {
		c.reading = true
		c.opened()
	}
	if n := c.early.Buffered(); n > 0 {
		return c.early.Read(b[:min(n, len(b))])
	}
	return c.Conn.Read(b)
}

func (c *framedConn) Write(b []byte) (int, error)            { return c.framed.Write(b) }
func (c *framedConn) Close() error                           { return c.framed.Close() }
func (c *framedConn) WriteTo(w io.Writer) (n int64, _ error) { return pump(w, onlyReader{c}) }

type onlyReader struct{ io.Reader }

// large are buffers for those streams through which much goes.
var large buffers

// smallBuffer is what each side of a WebSocket holds all the time.
const smallBuffer = 2 << 10

// pump copies through a small buffer while little comes, as on most streams for most of the time.
func pump(dst io.Writer, src io.Reader) (copied int64, err error) {
	small := make([]byte, smallBuffer)
	buf := small
	defer func() {
		if len(buf) > smallBuffer {
			large.Put(buf)
		}
	}()
	for {
		n, err := src.Read(buf)
		if n > 0 {
			sent, err := dst.Write(buf[:n])
			copied += int64(sent)
			if err != nil {
				return copied, err
			}
		}
		switch {
		case err == io.EOF:
			return copied, nil
		case err != nil:
			return copied, err
		case n == smallBuffer && len(buf) == smallBuffer:
			buf = large.Get()
		case n <= smallBuffer && len(buf) > smallBuffer:
			large.Put(buf)
			buf = small
		}
	}
}

// bindSocket ends both sides of a WebSocket when the session ends.
func bindSocket(ctx context.Context, client, service *framed) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		if !endedBySession(cause) && !errors.Is(cause, errStopping) { // the stream itself is over
			return
		}
		go service.end(closeGoingAway, "") // neither waits for the other
		client.end(closing(cause))
	})
}

// An eventBody is the body of an event stream. It ends with the context.
type eventBody struct {
	io.ReadCloser
	x    *exchange
	ctx  context.Context
	stop func() bool
	once sync.Once
	over func()
}

func newEventBody(x *exchange, ctx context.Context, body io.ReadCloser, over func()) *eventBody {
	return &eventBody{ReadCloser: body, x: x, ctx: ctx, over: over, stop: context.AfterFunc(ctx, func() { body.Close() })}
}

// Read reads what the service sends. When the session has ended it says that the service has sent all: the answer is whole as
// far as HTTP can tell, and the browser asks again.
func (b *eventBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.ctx.Err() != nil {
		if cause := context.Cause(b.ctx); endedBySession(cause) || errors.Is(cause, errStopping) {
			n, err = 0, io.EOF
		}
	}
	b.x.note(err)
	return n, err
}

func (b *eventBody) Close() error {
	b.stop()
	b.once.Do(b.over)
	return b.ReadCloser.Close()
}
