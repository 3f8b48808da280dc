// Package upstreamtest has services for tests of the proxy. A [Recorder] keeps the bytes it gets and answers with bytes; a
// [Reader] is a program that tells how its language understood a request. They disagree on spellings.
package upstreamtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Request is what a [Recorder] got.
type Request struct {
	Bytes  string // head and body, as they came
	Method string
	Target string
	Fields []Field // in their order
	Body   string
	Conn   int  // the connection it came on, counted from 1
	Broken bool // the connection ended, or could not be understood, before the request did
}

// A Field is a line of a head.
type Field struct{ Name, Value string }

// Values returns the values of all fields of a name, which is compared as HTTP does.
func (r Request) Values(name string) []string {
	var all []string
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}

// An Answer is what a [Recorder] writes.
type Answer struct {
	Bytes string
	Close bool // the connection, afterwards
	Reset bool // it, with what was not read thrown away

	Pause time.Duration // between the halves of Bytes

	Then <-chan struct{} // not nil: wait for it, and then close
	Gone chan<- struct{} // not nil: wait until the other side closes, and close it
}

// OK is an ordinary answer.
func OK(body string) Answer {
	return Answer{Bytes: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)}
}

// A Recorder is a service that keeps what it gets, byte for byte, and reads strictly: what HTTP/1.1 does not have is a fault
// of whoever sent it.
type Recorder struct {
	URL string

	listener net.Listener
	mu       sync.Mutex
	answer   func(Request) Answer
	requests []Request
	faults   []string
	conns    int
	forgets  bool
}

// NewRecorder starts a service until the test ends. The test fails if it was sent what is no HTTP/1.1.
func NewRecorder(t testing.TB) *Recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorder{URL: "http://" + listener.Addr().String(), listener: listener}
	go r.accept()
	t.Cleanup(func() {
		listener.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, f := range r.faults {
			t.Errorf("the service was sent what is no HTTP/1.1: %s", f)
		}
	})
	return r
}

// Answer says how requests are answered from now on; nil is OK("ok").
func (r *Recorder) Answer(f func(Request) Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// Take returns the requests since the last Take.
func (r *Recorder) Take() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.requests
	r.requests = nil
	return all
}

// Forget makes it keep no requests, of which a test sends too many.
func (r *Recorder) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgets = true
}

// Conns returns how many connections there have been.
func (r *Recorder) Conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns
}

func (r *Recorder) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns++
		n := r.conns
		r.mu.Unlock()
		go r.serve(conn, n)
	}
}

func (r *Recorder) serve(conn net.Conn, n int) {
	defer conn.Close()
	kept := &keeper{r: conn}
	in := bufio.NewReader(kept)
	for {
		req, err := read(in)
		req.Conn = n
		unread := in.Buffered()
		req.Bytes = string(kept.bytes[:len(kept.bytes)-unread])
		kept.bytes = append([]byte(nil), kept.bytes[len(kept.bytes)-unread:]...)
		if err != nil && req.Bytes == "" {
			return
		}
		req.Broken = err != nil
		r.mu.Lock()
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			r.faults = append(r.faults, fmt.Sprintf("%v: %q", err, req.Bytes))
		}
		if !r.forgets {
			r.requests = append(r.requests, req)
		}
		answer := r.answer
		r.mu.Unlock()
		if err != nil {
			return
		}
		a := OK("ok")
		if answer != nil {
			a = answer(req)
		}
		if a.Reset {
			conn.(*net.TCPConn).SetLinger(0)
		}
		half := 0
		if a.Pause > 0 {
			half = len(a.Bytes) / 2
			io.WriteString(conn, a.Bytes[:half])
			time.Sleep(a.Pause) // a network that is slow, not an event that is waited for
		}
		_, err = io.WriteString(conn, a.Bytes[half:])
		switch {
		case a.Gone != nil:
			io.Copy(io.Discard, in)
			close(a.Gone)
			return
		case a.Then != nil:
			<-a.Then
			return
		case err != nil || a.Close || a.Reset:
			return
		}
	}
}

// keeper keeps what is read.
type keeper struct {
	r     io.Reader
	bytes []byte
}

func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	k.bytes = append(k.bytes, p[:n]...)
	return n, err
}

// read reads one request, strictly.
func read(in *bufio.Reader) (req Request, err error) {
	line, err := readLine(in)
	if err != nil {
		return req, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" {
		return req, fmt.Errorf("request line %q", line)
	}
	req.Method, req.Target = parts[0], parts[1]
	for {
		line, err := readLine(in)
		if err != nil {
			return req, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return req, fmt.Errorf("field %q", line)
		}
		req.Fields = append(req.Fields, Field{name, textproto.TrimString(value)})
	}
	codings, lengths := req.Values("Transfer-Encoding"), req.Values("Content-Length")
	switch {
	case len(codings)+len(lengths) > 1 || len(req.Values("Host")) != 1:
		return req, errors.New("a second framing, or not one Host")
	case len(codings) == 1 && codings[0] == "chunked":
		req.Body, err = readChunks(in)
		return req, err
	case len(codings) == 1:
		return req, fmt.Errorf("coding %q", codings[0])
	case len(lengths) == 1:
		n, err := strconv.ParseUint(lengths[0], 10, 31)
		if err != nil {
			return req, fmt.Errorf("length %q", lengths[0])
		}
		body := make([]byte, n)
		if _, err = io.ReadFull(in, body); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		req.Body = string(body)
		return req, err
	}
	return req, nil
}

func readChunks(in *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := readLine(in)
		if err != nil {
			return body.String(), err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return body.String(), fmt.Errorf("chunk size %q", line)
		}
		if _, err := io.CopyN(&body, in, int64(n)); err != nil {
			return body.String(), io.ErrUnexpectedEOF
		}
		end, err := readLine(in)
		if err != nil {
			return body.String(), err
		}
		if end != "" {
			return body.String(), fmt.Errorf("behind a chunk, or in a trailer: %q", end)
		}
		if n == 0 {
			return body.String(), nil
		}
	}
}

func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil { // reset or closed
		return "", io.ErrUnexpectedEOF
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.Contains(text, "\r") {
		return "", fmt.Errorf("line %q", line)
	}
	return text, nil
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
}
