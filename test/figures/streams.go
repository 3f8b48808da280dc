package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// streams measures what open WebSockets and idle connections hold in memory, and how long after a sign-out the last WebSocket
// of the session is closed.
func (r *run) streams() error {
	echo, err := r.startIn("bare-", r.bare)
	if err != nil {
		return err
	}
	defer echo.kill()
	dir, err := r.prepare(1, 0)
	if err != nil {
		return err
	}
	settings := settings + fmt.Sprintf("log: {level: warn}\nroutes:\n  - {path: /live, upstream: %q, websocket: true, token: none, max_per_session: 10000}\n", echo.url)
	if err := os.WriteFile(filepath.Join(dir, "tokenjar.yaml"), []byte(settings), 0o600); err != nil {
		return err
	}
	s, err := start(dir, r.tokenjar, "serve")
	if err != nil {
		return err
	}
	defer s.kill()
	r.table("Streams and idle connections (one run)", "", "")
	time.Sleep(r.settle)
	empty, err := s.resident()
	if err != nil {
		return err
	}
	r.row("resident memory, nobody connected", number(empty)+" MB")
	c := newClient(s)
	defer c.close()
	if err := c.mustLogin(username(0)); err != nil {
		return err
	}
	sockets := make([]net.Conn, r.sockets)
	for i := range sockets {
		if sockets[i], err = c.socket("/live"); err != nil {
			return fmt.Errorf("WebSocket %d: %w", i, err)
		}
		defer sockets[i].Close()
	}
	time.Sleep(r.settle)
	open, err := s.resident()
	if err != nil {
		return err
	}
	r.row(fmt.Sprintf("with %d WebSockets", len(sockets)), fmt.Sprintf("%s MB, %s kB each", number(open), number((open-empty)*1e3/float64(len(sockets)))))
	first, last, err := c.untilClosed(sockets)
	if err != nil {
		return err
	}
	r.row("from the beginning of a sign-out to the first of them closed", number(milliseconds(first))+" ms")
	r.row("to the last", number(milliseconds(last))+" ms")
	idle := 0
	for range r.unused {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return err
		}
		defer conn.Close()
		idle++
	}
	time.Sleep(r.settle)
	connected, err := s.resident()
	if err != nil {
		return err
	}
	r.row(fmt.Sprintf("after that, with %d idle connections (beyond 8,192 the oldest are closed)", idle), number(connected)+" MB")
	return nil
}

// startIn starts a program in a folder of its own.
func (r *run) startIn(name, program string, args ...string) (*server, error) {
	dir, err := os.MkdirTemp(r.dir, name)
	if err != nil {
		return nil, err
	}
	return start(dir, program, args...)
}

// socket opens a WebSocket.
func (c *client) socket(path string) (net.Conn, error) {
	conn, err := net.Dial("tcp", c.server.address)
	if err != nil {
		return nil, err
	}
	host := strings.TrimPrefix(c.server.url, "http://")
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nCookie: access_token=%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host, c.server.url, c.cookies["access_token"])
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("got %d", res.StatusCode)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// untilClosed signs out and returns how long after that began the first and the last WebSocket had its Close frame.
func (c *client) untilClosed(sockets []net.Conn) (first, last time.Duration, err error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		times []time.Time
	)
	for _, conn := range sockets {
		wg.Go(func() {
			var head [4]byte
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			_, readErr := conn.Read(head[:])
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			if readErr == nil && head[0] != 0x88 || readErr != nil {
				err = fmt.Errorf("a WebSocket got %x and %v, not a Close frame", head, readErr)
			}
		})
	}
	time.Sleep(100 * time.Millisecond) // all of them read
	begin := time.Now()
	_, signOut := c.want(http.MethodPost, "/auth/logout", "")
	wg.Wait()
	if signOut != nil {
		err = signOut
	}
	if err != nil {
		return 0, 0, err
	}
	first, last = time.Hour, 0
	for _, t := range times {
		first, last = min(first, t.Sub(begin)), max(last, t.Sub(begin))
	}
	return first, last, nil
}
