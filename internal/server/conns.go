package server

import (
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/tokenjar/tokenjar/internal/metrics"
)

// Limits on connections. A client slower than these is cut off: it cannot hold a connection longer than all of them
// together.
const (
	headerTimeout  = 10 * time.Second // for the head of a request
	readTimeout    = 30 * time.Second // for head and body
	writeTimeout   = 60 * time.Second // from the head of a request to the end of its answer
	idleTimeout    = 120 * time.Second
	drainTimeout   = 10 * time.Second // for requests under way at the stop
	maxHeader      = 60 << 10         // bytes; net/http adds 4 KiB
	maxConnections = 8192
)

// limits are those constants, which tests shorten.
type limits struct {
	header, read, write, idle time.Duration
	connections               int
}

var usualLimits = limits{headerTimeout, readTimeout, writeTimeout, idleTimeout, maxConnections}

// httpServer returns a server for one listener, with every limit.
func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: s.limits.header, ReadTimeout: s.limits.read, WriteTimeout: s.limits.write, IdleTimeout: s.limits.idle,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is judged like everything else
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// connections bounds how many clients are connected at once, and never waits to accept another: at the bound, the
// connection that has been idle between two requests for longest is closed, which every client has to expect (RFC 9112,
// section 9.3.1); if there is none, the oldest that has not yet sent the head of its first request; and if every
// connection is being served, the new one. It is a listener, and its state method is for [http.Server.ConnState].
//
// A connection that a handler has taken over is no longer counted.
type connections struct {
	net.Listener
	most    int
	metrics *metrics.Metrics
	log     *slog.Logger

	mu     sync.Mutex
	open   map[net.Conn]*list.Element // in one of the lists, of *client
	fresh  list.List                  // without a request yet, the oldest first
	known  list.List                  // the others, the longest idle first; those that are being served are in between
	idle   int                        // how many of known are not being served
	warned time.Time
}

// A client is one connection. Its place in the list is left as it is while it is being served: that is twice for each request.
type client struct {
	net.Conn
	fresh, served bool
}

func newConnections(l net.Listener, most int, m *metrics.Metrics, log *slog.Logger) *connections {
	return &connections{Listener: l, most: most, metrics: m, log: log, open: map[net.Conn]*list.Element{}}
}

// Accept waits for the next connection. After an error net/http waits longer and longer, up to a second, before it
// tries again; here a file descriptor is freed for it, if that is what is missing.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			c.failed(err)
			return nil, err
		}
		if c.admit(conn) {
			return conn, nil
		}
		conn.Close()
	}
}

// admit takes a connection in, if need be in the place of another.
func (c *connections) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most {
		c.metrics.ConnShed()
		c.warn("too many connections: the longest idle are closed", "most", c.most)
		if !c.shed() {
			return false
		}
	}
	c.open[conn] = c.fresh.PushBack(&client{Conn: conn, fresh: true})
	c.metrics.ConnOpened()
	return true
}

// shed closes the connection that is missed least, and reports whether there was one.
func (c *connections) shed() bool {
	e := c.fresh.Front()
	if c.idle > 0 {
		for e = c.known.Front(); e.Value.(*client).served; {
			e = e.Next()
		}
	}
	if e == nil {
		return false
	}
	conn := e.Value.(*client).Conn
	c.forget(conn)
	conn.Close()
	return true
}

func (c *connections) failed(err error) {
	if errors.Is(err, net.ErrClosed) { // the stop
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.metrics.AcceptError()
	c.warn("connections cannot be accepted", "err", err)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		if c.shed() {
			c.metrics.ConnShed()
		}
	}
}

// warn logs at most once a minute: what it tells of comes in floods.
func (c *connections) warn(msg string, args ...any) {
	if now := time.Now(); now.Sub(c.warned) >= time.Minute {
		c.warned = now
		c.log.Warn(msg, args...)
	}
}

// state follows what a connection is doing.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.open[conn]
	if !ok { // shed a moment ago
		return
	}
	switch who := e.Value.(*client); state {
	case http.StateActive:
		if who.fresh {
			c.fresh.Remove(e)
			who.fresh = false
			c.open[conn] = c.known.PushBack(who)
		} else if !who.served {
			c.idle--
		}
		who.served = true
	case http.StateIdle:
		if who.served {
			who.served = false
			c.idle++
		}
		c.known.MoveToBack(e)
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
	}
}

func (c *connections) forget(conn net.Conn) {
	e := c.open[conn]
	switch who := e.Value.(*client); {
	case who.fresh:
		c.fresh.Remove(e)
	default:
		c.known.Remove(e)
		if !who.served {
			c.idle--
		}
	}
	delete(c.open, conn)
	c.metrics.ConnClosed()
}
