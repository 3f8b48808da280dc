package proxy_test

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// Both ends of a WebSocket (RFC 6455), as far as the tests need them. They are written by hand so that they can do what no
// library would.

// The opcodes.
const (
	text   = 1
	blob   = 2
	closes = 8
	ping   = 9
	pong   = 10
)

// A peer is one end.
type peer struct {
	net.Conn
	r      *bufio.Reader
	client bool // masks what it sends
	answer *http.Response
	t      testing.TB
}

// A frame is one frame.
type frame struct {
	fin     bool
	op      byte
	masked  bool
	payload []byte
}

// bytes writes a frame.
func (p *peer) bytes(f frame) []byte {
	head := []byte{f.op, 0}
	if f.fin {
		head[0] |= 0x80
	}
	switch n := len(f.payload); {
	case n < 126:
		head[1] = byte(n)
	case n < 1<<16:
		head[1] = 126
		head = binary.BigEndian.AppendUint16(head, uint16(n))
	default:
		head[1] = 127
		head = binary.BigEndian.AppendUint64(head, uint64(n))
	}
	if !p.client {
		return append(head, f.payload...)
	}
	head[1] |= 0x80
	key := [4]byte{1, 2, 3, 4}
	head = append(head, key[:]...)
	for i, c := range f.payload {
		head = append(head, c^key[i%4])
	}
	return head
}

// send sends a whole message.
func (p *peer) send(op byte, payload string) {
	p.t.Helper()
	p.write(p.bytes(frame{fin: true, op: op, payload: []byte(payload)}))
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.Conn.Write(b); err != nil {
		p.t.Errorf("write: %v", err)
	}
}

// next reads a frame.
func (p *peer) next() (f frame, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(p.r, head); err != nil {
		return f, err
	}
	f.fin, f.op, f.masked = head[0]&0x80 != 0, head[0]&0x0f, head[1]&0x80 != 0
	size := uint64(head[1] & 0x7f)
	long := make([]byte, map[uint64]int{126: 2, 127: 8}[size])
	if _, err := io.ReadFull(p.r, long); err != nil {
		return f, err
	}
	switch len(long) {
	case 2:
		size = uint64(binary.BigEndian.Uint16(long))
	case 8:
		size = binary.BigEndian.Uint64(long)
	}
	var key [4]byte
	if f.masked {
		if _, err := io.ReadFull(p.r, key[:]); err != nil {
			return f, err
		}
	}
	f.payload = make([]byte, size)
	_, err = io.ReadFull(p.r, f.payload)
	if f.masked {
		for i := range f.payload {
			f.payload[i] ^= key[i%4]
		}
	}
	return f, err
}

// want fails the test unless the next frame is this one.
func (p *peer) want(op byte, payload string) frame {
	p.t.Helper()
	f, err := p.next()
	if err != nil || f.op != op || string(f.payload) != payload {
		p.t.Fatalf("got opcode %d, %d bytes %.60q and %v, want opcode %d, %.60q", f.op, len(f.payload), f.payload, err, op, payload)
	}
	if f.masked == p.client {
		p.t.Errorf("masked: %v", f.masked)
	}
	return f
}

// wantClose fails the test unless the next frame is a Close frame with that.
func (p *peer) wantClose(code uint16, reason string) {
	p.t.Helper()
	p.want(closes, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// wantEnd fails the test unless nothing more comes.
func (p *peer) wantEnd() {
	p.t.Helper()
	if f, err := p.next(); err == nil {
		p.t.Errorf("got opcode %d, %.60q, want the end", f.op, f.payload)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		p.t.Errorf("the connection is open: %v", err)
	}
}

func closePayload(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// A socketService takes WebSockets and hands its ends to the test.
type socketService struct {
	*httptest.Server
	ends   chan *peer
	before func(r *http.Request) // the handshake is answered
}

func newSocketService(t *testing.T) *socketService {
	s := &socketService{ends: make(chan *peer, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.before != nil {
			s.before(r)
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 101 Welcome\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", acceptOf(r.Header.Get("Sec-WebSocket-Key")))
		if offered := r.Header.Get("Sec-WebSocket-Protocol"); offered != "" {
			fmt.Fprintf(conn, "Sec-WebSocket-Protocol: %s\r\n", strings.TrimSpace(strings.Split(offered, ",")[0]))
		}
		io.WriteString(conn, "\r\n")
		conn.SetDeadline(time.Now().Add(patience))
		s.ends <- &peer{Conn: conn, r: rw.Reader, t: t}
	}))
	t.Cleanup(s.Close)
	return s
}

func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// end returns the service's end of the newest WebSocket.
func (s *socketService) end(t *testing.T) *peer {
	t.Helper()
	p := <-s.ends
	t.Cleanup(func() { p.Close() })
	return p
}

// tcp returns the connection below.
func tcp(c net.Conn) *net.TCPConn {
	if secured, ok := c.(*tls.Conn); ok {
		return secured.NetConn().(*net.TCPConn)
	}
	return c.(*net.TCPConn)
}

// handshake sends a WebSocket handshake as a browser of this client would, and returns the end and the status of the answer.
func handshake(t *testing.T, app *tokenjartest.App, c *tokenjartest.Client, path string, changes ...string) (*peer, int) {
	t.Helper()
	host := strings.TrimPrefix(app.URL, "https://")
	conn, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	fields := []string{
		"Host: " + host, "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Origin: " + app.URL, "Sec-Fetch-Site: same-origin",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key,
	}
	var cookies []string
	for _, each := range c.Cookies() {
		cookies = append(cookies, each.Name+"="+each.Value)
	}
	if len(cookies) > 0 {
		fields = append(fields, "Cookie: "+strings.Join(cookies, "; "))
	}
	early := ""
	for _, change := range changes { // "Name: value" replaces, "-Name" removes, "!bytes" come behind
		if rest, ok := strings.CutPrefix(change, "!"); ok {
			early = rest
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(change, "-"), ":")
		fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, name+":") })
		if !strings.HasPrefix(change, "-") {
			fields = append(fields, change)
		}
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\n"+strings.Join(fields, "\r\n")+"\r\n\r\n"+early); err != nil {
		t.Fatal(err)
	}
	p := &peer{Conn: conn, r: bufio.NewReader(conn), client: true, t: t}
	if p.answer, err = http.ReadResponse(p.r, nil); err != nil {
		t.Fatalf("the handshake: %v", err)
	}
	if p.answer.StatusCode == 101 && p.answer.Header.Get("Sec-WebSocket-Accept") != acceptOf(key) {
		t.Errorf("the handshake: %v", p.answer.Header)
	}
	return p, p.answer.StatusCode
}

// connect opens a WebSocket and returns both ends.
func connect(t *testing.T, app *tokenjartest.App, c *tokenjartest.Client, s *socketService, changes ...string) (client, service *peer) {
	t.Helper()
	client, status := handshake(t, app, c, "/ws/chat", changes...)
	if status != 101 {
		body, _ := io.ReadAll(client.answer.Body)
		t.Fatalf("the handshake: %d %s", status, body)
	}
	return client, s.end(t)
}

// patience is how long something may take that happens at once on an idle machine.
const patience = time.Minute

// Limits that tests wait out. A busy machine may keep any of us from running for seconds, so nothing may have to succeed
// within the quick one; within the other it may.
const (
	quick    = 300 * time.Millisecond
	tolerant = 3 * time.Second
)

// newTimedApp is newApp with other limits of streams and bodies.
func newTimedApp(t *testing.T, cfg tokenjartest.Config, timing proxy.Timing, routes ...proxy.Route) (*tokenjartest.App, *proxy.Proxy) {
	t.Helper()
	app := tokenjartest.New(t, cfg)
	p, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	p.SetTiming(timing)
	app.Serve(p)
	return app, p
}

// settled waits until a proxy has no stream open.
func settled(t *testing.T, p *proxy.Proxy) {
	t.Helper()
	until(t, "no stream is open", func() bool { st := p.Stats(); return st.WebSockets == 0 && st.EventStreams == 0 })
}

// until waits for what nobody tells of.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
