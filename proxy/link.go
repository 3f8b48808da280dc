package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// A link is one connection to a service, on which one request is sent at a time. One goroutine reads from it.
type link struct {
	conn    net.Conn
	raw     net.Conn // what conn is made of: itself, or what is below TLS
	records *records // of TLS; nil for none
	silence *silence // of raw
	r       *bufio.Reader
	w       *bufio.Writer
	left    int64 // bytes that may still be read for the head of an answer
	silent  bool  // nothing has been read since the request was begun
	fault   error // the last of reading since then
	since   time.Time

	interrupted atomic.Bool
}

// unlimited is what may be read of a body.
const unlimited = math.MaxInt64

func newLink(conn net.Conn) *link {
	l := &link{conn: conn, raw: conn, w: bufio.NewWriterSize(conn, 8<<10)}
	if secured, ok := conn.(*tls.Conn); ok {
		l.records = secured.NetConn().(*records)
		l.raw = l.records.Conn
	}
	l.silence = newSilence(l.raw)
	l.r = bufio.NewReaderSize(l, 8<<10)
	return l
}

// begin makes it ready for a request.
func (l *link) begin() { l.left, l.silent, l.fault = maxAnswerHeader, true, nil }

var past = time.Unix(1, 0)

// interrupt lets nobody read or write any more. It may be called at any time.
func (l *link) interrupt() {
	l.interrupted.Store(true)
	l.conn.SetDeadline(past)
}

// setDeadline, setReadDeadline and setWriteDeadline undo no interruption.
func (l *link) setDeadline(t time.Time)      { l.conn.SetDeadline(t); l.interruptAgain() }
func (l *link) setReadDeadline(t time.Time)  { l.conn.SetReadDeadline(t); l.interruptAgain() }
func (l *link) setWriteDeadline(t time.Time) { l.conn.SetWriteDeadline(t); l.interruptAgain() }

func (l *link) interruptAgain() {
	if l.interrupted.Load() {
		l.conn.SetDeadline(past)
	}
}

// cut ends the connection at once, without a word that might have to wait. It may be called at any time.
func (l *link) cut() { l.raw.Close() }

// Read implements io.Reader for the buffer, which bounds the head of an answer: http.ReadResponse does not.
func (l *link) Read(b []byte) (int, error) {
	if l.left <= 0 {
		l.fault = errLongHead
		return 0, errLongHead
	}
	n, err := l.conn.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	l.silent = l.silent && n == 0
	if err != nil {
		l.fault = err
	}
	return n, err
}

var errLongHead = errors.New("proxy: the head of the answer is too long")

// readHead reads the head of the answer to a request.
func (l *link) readHead(req *http.Request) (*http.Response, error) {
	for range maxInterim + 1 {
		res, err := http.ReadResponse(l.r, req)
		switch {
		case err != nil && l.fault != nil:
			return nil, l.fault // which the parser does not tell when a part of a line has come
		case err != nil:
			return nil, err
		case res.StatusCode < 100:
			return nil, errors.New("proxy: the service answers with a status that is none")
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, nil
		}
	}
	return nil, errors.New("proxy: the service does not come to an answer")
}

// isQuiet reports whether the connection is open and nothing has come since its last answer, after which the buffer was
// empty. Nobody may be reading.
func (l *link) isQuiet() bool { return l.isDrained() && l.silence.holds() }

// isDrained reports whether TLS keeps nothing back that has come: neither the rest of what has been opened, nor a piece that is
// not whole yet. What it keeps to itself, like a ticket for the next handshake, is read here.
func (l *link) isDrained() bool {
	if l.records == nil {
		return true
	}
	l.conn.SetReadDeadline(past) // so that nothing more is read
	var b [1]byte
	n, err := l.conn.Read(b[:])
	l.conn.SetReadDeadline(time.Time{})
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && l.records.areWhole()
}

// records follows the pieces of a TLS connection (RFC 8446, section 5.1) as they are read: five bytes of head, of which the last two
// are the length of what follows.
type records struct {
	net.Conn
	head [5]byte
	has  int // bytes of the head
	left int // bytes of the piece that are to come
}

func (r *records) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.follow(b[:n])
	return n, err
}

func (r *records) follow(b []byte) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			r.left -= n
			b = b[n:]
			continue
		}
		n := copy(r.head[r.has:], b)
		r.has += n
		b = b[n:]
		if r.has == len(r.head) {
			r.has, r.left = 0, int(r.head[3])<<8|int(r.head[4])
		}
	}
}

// areWhole reports whether what has been read ends with a piece.
func (r *records) areWhole() bool { return r.has == 0 && r.left == 0 }

// counted makes connections whose pieces are followed.
func counted(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &records{Conn: conn}, nil
	}
}
