package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// maxAnswerHeader bounds the head of a service's answer, in bytes, interim answers included.
const maxAnswerHeader = 64 << 10

// newTransport returns connections to one service.
func newTransport(r Route) *http.Transport {
	dialer := &net.Dialer{Timeout: r.ConnectTimeout, Control: onlyServices}
	return &http.Transport{
		Proxy:                  nil, // what HTTP_PROXY says is not for services behind us
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    r.ConnectTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 alone
		ResponseHeaderTimeout:  r.HeaderTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // what the browser accepts is passed on
		MaxIdleConns:           0,    // no limit in all
		MaxIdleConnsPerHost:    r.MaxRequests,
		IdleConnTimeout:        90 * time.Second,
		ReadBufferSize:         8 << 10,
		WriteBufferSize:        8 << 10,
	}
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

// slots bound how many requests a service gets at once. Nobody waits for one: whoever does not get it is told to come back.
type slots chan struct{}

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) give() { <-s }

// afterSilence calls cut unless it is stopped or something was heard for so long.
type afterSilence struct {
	timer *time.Timer
	limit time.Duration
}

func newAfterSilence(limit time.Duration, cut context.CancelCauseFunc) afterSilence {
	return afterSilence{time.AfterFunc(limit, func() { cut(errSilent) }), limit}
}

func (a afterSilence) heard() { a.timer.Reset(a.limit) }
func (a afterSilence) stop()  { a.timer.Stop() }
