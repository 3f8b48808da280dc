package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxAnswerHeader bounds the head of a service's answer, in bytes, interim answers included.
const maxAnswerHeader = 64 << 10

// newTransport returns connections to one service. most is how many of them may wait for a request.
func newTransport(r Route, most int) *http.Transport {
	dialer := newDialer(r)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &serviceConn{Conn: conn, limit: r.IdleTimeout}, nil
	}
	return &http.Transport{
		Proxy:       nil, // what HTTP_PROXY says is not for services behind us
		DialContext: dial, DialTLSContext: dialTLS(dial, r.ConnectTimeout),
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 alone
		ResponseHeaderTimeout:  r.HeaderTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // what the browser accepts is passed on
		MaxIdleConns:           0,    // no limit in all
		MaxIdleConnsPerHost:    most,
		IdleConnTimeout:        90 * time.Second,
		ReadBufferSize:         8 << 10,
		WriteBufferSize:        8 << 10,
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialTLS returns what opens TLS connections: both steps together have that time. The transport by itself would give the
// handshake as much time again.
func dialTLS(dial dialFunc, within time.Duration) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secured := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secured, nil
	}
}

// newDialer returns what connects to a service.
func newDialer(r Route) *net.Dialer {
	return &net.Dialer{Timeout: r.ConnectTimeout, Control: onlyServices}
}

// A serviceConn is a connection to a service, which must take what it is sent.
type serviceConn struct {
	net.Conn
	limit time.Duration // for one piece
	armed atomic.Int64  // when the limit was last set, in Unix nanoseconds
}

// Write gives a service that takes nothing the time it has for a pause, and no more: the transport would wait for ever.
func (c *serviceConn) Write(b []byte) (int, error) {
	now := time.Now()
	if last := c.armed.Load(); now.Sub(time.Unix(0, last)) > c.limit/4 || now.UnixNano() < last {
		c.armed.Store(now.UnixNano())
		c.SetWriteDeadline(now.Add(c.limit))
	}
	return c.Conn.Write(b)
}

// CloseWrite says that nothing more is sent, for WebSockets.
func (c *serviceConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}

// onlyServices refuses connections to addresses that are no service's: a name may lead to another address than it did at
// the start.
func onlyServices(_, address string, _ syscall.RawConn) error {
	p, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	addr := p.Addr()
	if addr.IsUnspecified() { // which is this machine
		return nil
	}
	return checkAddress(addr)
}

// buffers are what bodies are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }

// afterSilence cuts what falls silent. The zero one waits for nothing. It is not safe for concurrent use.
type afterSilence struct{ timer *time.Timer }

// begin calls cut after the limit, unless stop or begin is called before.
func (a *afterSilence) begin(limit time.Duration, cut context.CancelCauseFunc) {
	if a.timer == nil {
		a.timer = time.AfterFunc(limit, func() { cut(errSilent) })
	} else {
		a.timer.Reset(limit)
	}
}

func (a *afterSilence) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
