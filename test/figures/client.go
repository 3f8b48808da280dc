package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A client is one browser on one connection. It writes and reads in the goroutine that calls it, so that what it measures
// is the server and not the hand-over between goroutines that net/http's client needs.
type client struct {
	server  *server
	conn    net.Conn
	reader  *bufio.Reader
	cookies map[string]string
}

// An answer is what came back, and how long it took from the first byte sent to the last byte read.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

func newClient(s *server) *client { return &client{server: s, cookies: make(map[string]string)} }

// clients returns n of them.
func clients(s *server, n int) []*client {
	list := make([]*client, n)
	for i := range list {
		list[i] = newClient(s)
	}
	return list
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func closeAll(list []*client) {
	for _, c := range list {
		c.close()
	}
}

// do sends what a page of the site would send, cookies and CSRF token included, and keeps the cookies that come back.
func (c *client) do(method, path, body string) (answer, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.server.address)
		if err != nil {
			return answer{}, err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	request := c.request(method, path, body)
	a := answer{}
	begin := time.Now()
	c.conn.SetDeadline(begin.Add(time.Minute))
	if _, err := c.conn.Write(request); err != nil {
		return a, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return a, err
	}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return a, err
	}
	a.took = time.Since(begin)
	a.status, a.header = response.StatusCode, response.Header
	for _, cookie := range response.Cookies() {
		c.cookies[cookie.Name] = cookie.Value
	}
	if response.Close {
		c.close()
	}
	return a, nil
}

func (c *client) request(method, path, body string) []byte {
	var b strings.Builder
	host := strings.TrimPrefix(c.server.url, "http://")
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: figures\r\nSec-Fetch-Site: same-origin\r\n", method, path, host)
	if len(c.cookies) > 0 {
		pairs := make([]string, 0, len(c.cookies))
		for name, value := range c.cookies {
			pairs = append(pairs, name+"="+value)
		}
		fmt.Fprintf(&b, "Cookie: %s\r\n", strings.Join(pairs, "; "))
	}
	if method != http.MethodGet {
		fmt.Fprintf(&b, "Origin: %s\r\nX-CSRFToken: %s\r\nContent-Length: %d\r\n", c.server.url, c.cookies["csrftoken"], len(body))
	}
	if body != "" {
		b.WriteString("Content-Type: application/json\r\n")
	}
	b.WriteString("\r\n" + body)
	return []byte(b.String())
}

// want is do for a request whose answer must be 200.
func (c *client) want(method, path, body string) (answer, error) {
	a, err := c.do(method, path, body)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a, err
}

// login signs a user in as a browser without cookies, if the server lets it.
func (c *client) login(user string) (answer, error) {
	clear(c.cookies)
	return c.do(http.MethodPost, "/auth/login", fmt.Sprintf(`{"username":%q,"password":%q}`, user, userPassword))
}

// mustLogin is login where nothing should be in its way.
func (c *client) mustLogin(user string) error {
	a, err := c.login(user)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("login: %d %s", a.status, a.body)
	}
	return err
}
