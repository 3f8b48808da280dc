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
	d := newDirect(&url.URL{Scheme: "http", Host: address}, r, r.MaxRequests)
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
		for _, c := range []struct {
			method string
			later  bool
		}{{"GET", false}, {"GET", true}, {"POST", false}, {"POST", true}} {
			t.Run(fmt.Sprintf("%s %s, later %t", c.method, name, c.later), func(t *testing.T) {
				sent := make(chan struct{}, 1)
				address, accepted := scripted(t, func(n int, conn net.Conn, r *bufio.Reader) {
					if n > 1 {
						echo(conn, r)
						return
					}
					one(r)
					answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/a"
					if c.later {
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
				send := func(path string) (string, error) {
					if c.method == "POST" {
						return post(t.Context(), d, path, strings.NewReader("body"), 4)
					}
					return ask(t, d, c.method, path)
				}
				if got, err := send("/a"); got != "/a" || err != nil {
					t.Fatalf("got %q and %v", got, err)
				}
				<-sent
				for c.later { // until it has arrived
					d.mu.Lock()
					idle := len(d.idle) > 0 && newSilence(d.idle[0].raw).holds()
					d.mu.Unlock()
					if !idle {
						break
					}
				}
				if got, err := send("/b"); got != "/b" || err != nil {
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
	for name, c := range map[string]struct {
		text  string
		stays bool // the connection: the error is ours, and not its end
	}{
		"garbage":              {"\x16\x03\x01 this is not HTTP\r\n\r\n", false},
		"a head without end":   {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*maxAnswerHeader), true},
		"fields without end":   {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxAnswerHeader), true},
		"interims without end": {strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 2*maxInterim), true},
		"a status that is none": {
			"HTTP/1.1 099 Nearly\r\nContent-Length: 40\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true,
		},
		"two lengths":     {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", false},
		"a short body":    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", false},
		"a chunk cut off": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", false},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				one(r)
				io.WriteString(conn, c.text)
				if c.stays {
					io.Copy(io.Discard, r)
				}
			})
			d := newTestDirect(t, address, time.Minute)
			if got, err := ask(t, d, "GET", "/"); err == nil || c.stays && !strings.HasPrefix(err.Error(), "proxy: ") {
				t.Errorf("got %q and %v", got, err)
			}
			if len(d.idle) > 0 {
				t.Error("the connection waits for another request")
			}
		})
	}
}

func TestAServiceThatKeepsSilentIsATimeout(t *testing.T) {
	for _, begun := range []string{"", "HT", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX-He"} {
		address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			io.WriteString(conn, begun)
			io.Copy(io.Discard, r)
		})
		d := newTestDirect(t, address, 20*time.Millisecond)
		_, err := ask(t, d, "GET", "/")
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			t.Errorf("after %q: got %v", begun, err)
		}
	}
}

func TestWhereAServiceIs(t *testing.T) {
	for upstream, want := range map[string]string{
		"http://service.example":       "service.example:80",
		"https://service.example/base": "service.example:443",
		"http://192.0.2.1:9000":        "192.0.2.1:9000",
		"http://[2001:db8::1]":         "[2001:db8::1]:80",
		"https://[2001:db8::1]:8443":   "[2001:db8::1]:8443",
	} {
		u, err := url.Parse(upstream)
		if err != nil {
			t.Fatal(err)
		}
		if d := newDirect(u, Route{}, 1); d.address != want {
			t.Errorf("%s: got %s, want %s", upstream, d.address, want)
		}
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
