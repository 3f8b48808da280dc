package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scripted accepts connections and has each handled by a function that is told its number, from 1.
func scripted(t *testing.T, handle func(n int, conn net.Conn, r *bufio.Reader)) (address string, accepted *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	accepted = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n := int(accepted.Add(1))
			go func() {
				defer conn.Close()
				handle(n, conn, bufio.NewReader(conn))
			}()
		}
	}()
	return listener.Addr().String(), accepted
}

func newTestDirect(t *testing.T, address string, wait time.Duration) *direct {
	r := Route{ConnectTimeout: time.Minute, HeaderTimeout: wait, IdleTimeout: time.Minute, MaxRequests: 10}
	d := newDirect(newTransport(r, r.MaxRequests), address, r, r.MaxRequests)
	t.Cleanup(d.CloseIdleConnections)
	return d
}

// ask sends a request and returns what is answered.
func ask(t *testing.T, d *direct, method, path string) (string, error) {
	t.Helper()
	return askIn(t, t.Context(), d, method, path)
}

func askIn(t *testing.T, ctx context.Context, d *direct, method, path string) (string, error) {
	t.Helper()
	res, err := d.RoundTrip(directRequest(d, method, path).WithContext(ctx))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func directRequest(d *direct, method, path string) *http.Request {
	return &http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: d.address, Opaque: path}, Header: http.Header{}}
}

// one reads one request and returns its path.
func one(r *bufio.Reader) (string, error) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return "", err
	}
	io.Copy(io.Discard, req.Body)
	return req.RequestURI, nil
}

func answerWith(conn net.Conn, body string) {
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// echo answers each request with its path, until the connection ends.
func echo(conn net.Conn, r *bufio.Reader) {
	for {
		path, err := one(r)
		if err != nil {
			return
		}
		answerWith(conn, path)
	}
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	address, accepted := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) { echo(conn, r) })
	d := newTestDirect(t, address, time.Minute)
	for _, path := range []string{"/a", "/b%2F", "/c?x=%zz"} {
		if got, err := ask(t, d, "GET", path); got != path || err != nil {
			t.Fatalf("%s: got %q and %v", path, got, err)
		}
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections for three requests", n)
	}
}

// What arrives between two requests is the answer to neither.
func TestAnAnswerThatNobodyAskedForReachesNobody(t *testing.T) {
	for name, extra := range map[string]string{
		"with the answer":    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
		"one byte":           "H",
		"the end of a chunk": "0\r\n\r\n",
	} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, later %t", name, later), func(t *testing.T) {
				sent := make(chan struct{}, 1)
				address, accepted := scripted(t, func(n int, conn net.Conn, r *bufio.Reader) {
					if n > 1 {
						echo(conn, r)
						return
					}
					one(r)
					answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/a"
					if later {
						io.WriteString(conn, answer)
						time.Sleep(20 * time.Millisecond) // another packet
						io.WriteString(conn, extra)
					} else {
						io.WriteString(conn, answer+extra)
					}
					sent <- struct{}{}
					one(r)
				})
				d := newTestDirect(t, address, time.Minute)
				if got, err := ask(t, d, "GET", "/a"); got != "/a" || err != nil {
					t.Fatalf("got %q and %v", got, err)
				}
				<-sent
				for later { // until it has arrived
					d.mu.Lock()
					idle := len(d.idle) > 0 && d.idle[0].silence.holds()
					d.mu.Unlock()
					if !idle {
						break
					}
				}
				if got, err := ask(t, d, "GET", "/b"); got != "/b" || err != nil {
					t.Errorf("the next request: got %q and %v", got, err)
				}
				if n := accepted.Load(); n != 2 {
					t.Errorf("%d connections, want 2", n)
				}
			})
		}
	}
}

// The service closes a used connection when the next request has arrived, which no look at it before can tell.
func TestARequestIsSentAgainOnlyOnAUsedConnectionAndBeforeAnyAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		method, before string // of the end
		want           bool
	}{
		"GET, nothing answered":           {"GET", "", true},
		"OPTIONS, nothing answered":       {"OPTIONS", "", true},
		"DELETE, by another":              {"DELETE", "", false},
		"GET, a part of a head":           {"GET", "HTTP/1.1 20", false},
		"GET, an interim answer":          {"GET", "HTTP/1.1 103 Early Hints\r\n\r\n", false},
		"POST without a body, by another": {"POST", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			asked := new(atomic.Int64)
			address, _ := scripted(t, func(n int, conn net.Conn, r *bufio.Reader) {
				if n > 1 {
					asked.Add(1)
					echo(conn, r)
					return
				}
				one(r)
				answerWith(conn, "first")
				one(r)
				asked.Add(1)
				io.WriteString(conn, c.before)
			})
			d := newTestDirect(t, address, time.Minute)
			if _, err := ask(t, d, c.method, "/first"); err != nil {
				t.Fatal(err)
			}
			got, err := ask(t, d, c.method, "/second")
			if (err == nil) != c.want || err == nil && got != "/second" {
				t.Errorf("got %q and %v", got, err)
			}
			if n := asked.Load(); !c.want && n > 1 {
				t.Errorf("the service was asked %d times", n)
			}
		})
	}
}

func TestAnAnswerThatIsNoneIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"garbage":              "\x16\x03\x01 this is not HTTP\r\n\r\n",
		"a head without end":   "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*maxAnswerHeader),
		"fields without end":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxAnswerHeader),
		"interims without end": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000),
		"two lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"a short body":         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
		"a chunk cut off":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				one(r)
				io.WriteString(conn, text)
			})
			d := newTestDirect(t, address, time.Minute)
			if got, err := ask(t, d, "GET", "/"); err == nil {
				t.Errorf("got %q and no error", got)
			}
			if len(d.idle) > 0 {
				t.Error("the connection waits for another request")
			}
		})
	}
}

func TestAServiceThatKeepsSilentIsATimeout(t *testing.T) {
	address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	d := newTestDirect(t, address, 20*time.Millisecond)
	_, err := ask(t, d, "GET", "/")
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("got %v", err)
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	for name, head := range map[string]string{
		"before the answer": "",
		"in the body":       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				one(r)
				io.WriteString(conn, head)
				cancel()
				io.Copy(io.Discard, r) // until we are left
				close(gone)
			})
			d := newTestDirect(t, address, time.Minute)
			if _, err := askIn(t, ctx, d, "GET", "/"); err == nil {
				t.Error("no error")
			}
			<-gone
		})
	}
}
