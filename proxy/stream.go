package proxy

import (
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

// lingering is how long a client may take to read and answer the Close frame.
const lingering = time.Second

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

// A framed is one side of a WebSocket. It may end between two frames of what is sent.
type framed struct {
	io.ReadWriteCloser
	masked bool // what is sent

	mu     sync.Mutex
	sent   frames
	ending []byte // a Close frame that waits for the end of the frame before it
	ended  bool   // nothing is sent any more
	closed bool
	linger *time.Timer
}

// Write sends what the other side has sent.
func (c *framed) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	if c.ending == nil {
		n, err := c.ReadWriteCloser.Write(b)
		c.sent.pass(b[:n])
		return n, err
	}
	// Up to the end of the frame that has begun.
	n := 0
	for n < len(b) && !c.sent.between() {
		c.sent.pass(b[n : n+1])
		n++
	}
	if _, err := c.ReadWriteCloser.Write(b[:n]); err != nil {
		return 0, err
	}
	if c.sent.between() {
		c.finish()
	}
	if n < len(b) {
		return n, net.ErrClosed
	}
	return n, nil
}

// end sends a Close frame, at once or after the frame that has begun, and closes the connection when the other side has had
// time to answer.
func (c *framed) end(code uint16, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.closed || c.ending != nil {
		return
	}
	c.ending = closeFrame(code, reason, c.masked)
	c.linger = time.AfterFunc(lingering, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = true
		c.shut()
	})
	if c.sent.between() {
		c.finish()
	}
}

// finish sends the Close frame. What the other side still sends is read and dropped by whoever reads, until it closes.
func (c *framed) finish() {
	c.ended = true
	if d, ok := c.ReadWriteCloser.(interface{ SetWriteDeadline(time.Time) error }); ok {
		d.SetWriteDeadline(time.Now().Add(lingering))
	}
	c.ReadWriteCloser.Write(c.ending)
	if half, ok := c.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	go func() { // so that the Close frame is not lost with what nobody has read
		io.Copy(io.Discard, c.ReadWriteCloser)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.shut()
	}()
}

// Close closes the connection, unless it is ending by itself.
func (c *framed) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linger != nil && !c.closed {
		return nil
	}
	return c.shut()
}

func (c *framed) shut() error {
	if c.closed {
		return nil
	}
	c.closed = true
	if c.linger != nil {
		c.linger.Stop()
	}
	return c.ReadWriteCloser.Close()
}

// A framedConn is the client's side, as a connection that was taken over.
type framedConn struct {
	net.Conn
	*framed
}

func (c framedConn) Read(b []byte) (int, error)  { return c.Conn.Read(b) }
func (c framedConn) Write(b []byte) (int, error) { return c.framed.Write(b) }
func (c framedConn) Close() error                { return c.framed.Close() }

// bindSocket ends both sides of a WebSocket when the session ends.
func bindSocket(ctx context.Context, client, service *framed) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		if errors.Is(cause, context.Canceled) { // the stream itself is over
			return
		}
		client.end(closing(cause))
		service.end(closeGoingAway, "")
	})
}

// An eventBody is the body of an event stream. It ends with the context.
type eventBody struct {
	io.ReadCloser
	ctx  context.Context
	stop func() bool
	once sync.Once
	over func()
}

func newEventBody(ctx context.Context, body io.ReadCloser, over func()) *eventBody {
	return &eventBody{ReadCloser: body, ctx: ctx, over: over, stop: context.AfterFunc(ctx, func() { body.Close() })}
}

// Read reads what the service sends. When the session has ended it says that the service has sent all: the answer is whole as
// far as HTTP can tell, and the browser asks again.
func (b *eventBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.ctx.Err() != nil && !errors.Is(context.Cause(b.ctx), context.Canceled) {
		return 0, io.EOF
	}
	return n, err
}

func (b *eventBody) Close() error {
	b.stop()
	b.once.Do(b.over)
	return b.ReadCloser.Close()
}

// streamDeadline is how long a client may take to read one piece of a stream.
const streamDeadline = 30 * time.Second

// extend lets an answer go on beyond the server's time for whole answers, as long as the client reads.
func extend(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(streamDeadline))
}
