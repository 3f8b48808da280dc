package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A service that sends back what it got, or a part of it, must not have it written into our log.
func TestWhatAServiceSendsIsNotLogged(t *testing.T) { // INV-3
	const canary = "eyJcanary"
	for name, text := range map[string]string{
		"the request":      "GET /x?code=" + canary + " HTTP/1.1\r\n\r\n",
		"a status":         "HTTP/1.1 " + canary + " OK\r\n\r\n",
		"a field":          "HTTP/1.1 200 OK\r\nBearer " + canary + "\r\n\r\n",
		"a length":         "HTTP/1.1 200 OK\r\nContent-Length: " + canary + "\r\n\r\n",
		"an encoding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + canary + "\r\n\r\n",
		"a protocol":       canary + "/1.1 200 OK\r\n\r\n",
		"a part of a head": "HTTP/1.1 200 OK\r\nSet-Cookie: " + canary,
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				one(r)
				io.WriteString(conn, text)
			})
			for _, method := range []string{"GET", "POST"} { // the second one by the transport
				_, err := ask(t, newTestDirect(t, address, time.Minute), method, "/")
				if err == nil {
					t.Fatal("no error")
				}
				if said := fault(fmt.Errorf("round trip: %w", err)); strings.Contains(said, "canary") || said == "" {
					t.Errorf("%s: %q is logged, of %v", method, said, err)
				}
			}
		})
	}
}

// The end of an answer and the end of a session may come at the same moment.
func TestABodyMayBeClosedWhileItsEndIsRead(t *testing.T) {
	address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) { echo(conn, r) })
	d := newTestDirect(t, address, time.Minute)
	for range 300 {
		l := d.take()
		if l == nil {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			l = newLink(conn)
		}
		res, err := d.exchange(t.Context(), l, directRequest(d, "GET", "/a"))
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		go func() {
			res.Body.Close()
			close(closed)
		}()
		body, err := io.ReadAll(res.Body)
		<-closed
		if err == nil && string(body) != "/a" {
			t.Fatalf("half an answer passes for a whole one: %q", body)
		}
	}
	if got, err := ask(t, d, "GET", "/b"); err != nil || got != "/b" {
		t.Errorf("afterwards: got %q and %v", got, err)
	}
}
