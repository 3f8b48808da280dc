package servertest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Raw is one TCP connection to the server. It writes bytes as they are and reads answers strictly.
type Raw struct {
	conn  net.Conn
	r     *bufio.Reader
	world *World
	t     testing.TB
}

// Raw connects to the server.
func (w *World) Raw(t testing.TB) *Raw {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &Raw{conn: conn, r: bufio.NewReader(conn), world: w, t: t}
}

// Write sends bytes. A server that has closed already is no fault of the test.
func (c *Raw) Write(text string) { io.WriteString(c.conn, text) }

// CloseWrite says that nothing more will be sent.
func (c *Raw) CloseWrite() { c.conn.(*net.TCPConn).CloseWrite() }

// Close ends the connection.
func (c *Raw) Close() { c.conn.Close() }

// A RawAnswer is an answer as it was sent.
type RawAnswer struct {
	Status int
	Head   string // status line and fields
	Body   string
	fields map[string][]string // by lower-case name
}

// Field returns the only field of a name, "" if there is none.
func (a RawAnswer) Field(name string) string {
	return strings.Join(a.fields[strings.ToLower(name)], " | ")
}

// Read reads one answer to a request with that method. It returns io.EOF when the connection has ended before one. A
// problem document must be one that the OpenAPI document describes somewhere: which request it answers, nobody knows here.
func (c *Raw) Read(method string) (RawAnswer, error) {
	a, err := c.read(method)
	if code := a.Field("X-Tokenjar-Problem"); err == nil && code != "" && a.Body != "" {
		if err := c.world.Contract(c.t).validate("/components/schemas/Problem", []byte(a.Body)); err != nil {
			c.t.Errorf("contract: %d %s: %v", a.Status, a.Body, err)
		}
	}
	return a, err
}

func (c *Raw) read(method string) (a RawAnswer, err error) {
	line, err := c.line()
	if err != nil {
		return a, io.EOF // also a reset: what matters is that there is no answer
	}
	proto, rest, _ := strings.Cut(line, " ")
	status, _, _ := strings.Cut(rest, " ")
	a.Status, err = strconv.Atoi(status)
	if err != nil || proto != "HTTP/1.1" && proto != "HTTP/1.0" || len(status) != 3 {
		return a, fmt.Errorf("no status line: %q", line)
	}
	a.Head, a.fields = line+"\r\n", map[string][]string{}
	for {
		line, err := c.line()
		if err != nil {
			return a, fmt.Errorf("the head ends early: %w", err)
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return a, fmt.Errorf("no field: %q", line)
		}
		name = strings.ToLower(name)
		a.fields[name] = append(a.fields[name], strings.TrimSpace(value))
		a.Head += line + "\r\n"
	}
	if method == "HEAD" || a.Status/100 == 1 || a.Status == 204 || a.Status == 304 {
		return a, nil
	}
	switch {
	case a.Field("Transfer-Encoding") == "chunked":
		return a, c.chunks(&a)
	case a.Field("Content-Length") != "":
		n, err := strconv.Atoi(a.Field("Content-Length"))
		if err != nil {
			return a, fmt.Errorf("Content-Length %q", a.Field("Content-Length"))
		}
		body := make([]byte, n)
		_, err = io.ReadFull(c.r, body)
		a.Body = string(body)
		return a, err
	}
	body, err := io.ReadAll(c.r)
	a.Body = string(body)
	return a, err
}

func (c *Raw) chunks(a *RawAnswer) error {
	var body bytes.Buffer
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", line)
		}
		if _, err := io.CopyN(&body, c.r, int64(n)); err != nil {
			return err
		}
		if end, err := c.line(); err != nil || end != "" {
			return fmt.Errorf("chunk ends with %q, %v", end, err)
		}
		if n == 0 {
			a.Body = body.String()
			return nil
		}
	}
}

func (c *Raw) line() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", fmt.Errorf("line ends without CR LF: %q", line)
	}
	return text, nil
}

// Answers sends bytes on a connection of their own and returns every answer until the server closes. The last request
// must make it do so. Each has the methods given, the last one for all further ones.
func (w *World) Answers(t testing.TB, text string, methods ...string) []RawAnswer {
	t.Helper()
	c := w.Raw(t)
	c.Write(text)
	var all []RawAnswer
	for i := 0; ; i++ {
		method := "GET"
		if len(methods) > 0 {
			method = methods[min(i, len(methods)-1)]
		}
		a, err := c.Read(method)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("answer %d: %v", i+1, err)
		}
		all = append(all, a)
	}
}

// Host returns the Host field under which the server is reached.
func (w *World) Host() string {
	_, host, _ := strings.Cut(w.URL, "://")
	return host
}
