package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/stress"
)

// A corked connection keeps what is written to it.
type corked struct {
	net.Conn
	kept bytes.Buffer
	on   atomic.Bool
}

func (c *corked) Write(b []byte) (int, error) {
	if c.on.Load() {
		return c.kept.Write(b)
	}
	return c.Conn.Write(b)
}

// overTLS makes a direct speak TLS with a scripted service, which gets its side of it, and what is below.
func overTLS(t *testing.T, handle func(n int, below *corked, conn net.Conn, r *bufio.Reader)) (*direct, *atomic.Int64) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	certificates := server.TLS.Certificates
	server.Close()
	address, accepted := scripted(t, func(n int, conn net.Conn, _ *bufio.Reader) {
		below := &corked{Conn: conn}
		secured := tls.Server(below, &tls.Config{Certificates: certificates})
		handle(n, below, secured, bufio.NewReader(secured))
	})
	d := newDirect(&url.URL{Scheme: "https", Host: address}, Route{ConnectTimeout: time.Minute, HeaderTimeout: time.Minute, IdleTimeout: time.Minute}, 10)
	dial := counted((&net.Dialer{}).DialContext)
	d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		return secured, secured.HandshakeContext(ctx)
	}
	t.Cleanup(d.CloseIdleConnections)
	return d, accepted
}

func TestATLSConnectionIsUsedAgain(t *testing.T) {
	d, accepted := overTLS(t, func(_ int, _ *corked, conn net.Conn, r *bufio.Reader) { echo(conn, r) })
	for i := range 5 { // the first answer comes with tickets, which are nobody's answer
		path := fmt.Sprint("/", i)
		if got, err := ask(t, d, "GET", path); got != path || err != nil {
			t.Fatalf("%s: got %q and %v", path, got, err)
		}
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections for five requests", n)
	}
}

// What TLS has taken in, and nobody read, is the answer to no request either.
func TestAnAnswerThatNobodyAskedForReachesNobodyOverTLS(t *testing.T) {
	const answer, forged = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/a", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	for _, c := range []struct {
		name   string
		pieces []string
		comes  int // of the last piece's bytes, as they are sent; the others come with the next request. 0 is all of them
	}{
		{"in one piece of TLS", []string{answer + forged}, 0},
		{"in one large piece", []string{answer + forged + strings.Repeat("x", 14<<10)}, 0},
		{"in the next", []string{answer, forged}, 0},
		{"in the next, of which half has come", []string{answer, forged}, 30},
		{"in the next, of whose head a part has come", []string{answer, forged}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, accepted := overTLS(t, func(n int, below *corked, conn net.Conn, r *bufio.Reader) {
				if n > 1 {
					echo(conn, r)
					return
				}
				one(r)
				below.on.Store(true)
				all := 0
				for _, piece := range c.pieces {
					all = below.kept.Len()
					io.WriteString(conn, piece)
				}
				if all += c.comes; c.comes == 0 {
					all = below.kept.Len()
				}
				below.Conn.Write(below.kept.Next(all))
				one(r)
				below.kept.WriteTo(below.Conn)
			})
			for _, path := range []string{"/a", "/b"} {
				if got, err := ask(t, d, "GET", path); got != path || err != nil {
					t.Errorf("%s: got %q and %v", path, got, err)
				}
			}
			if n := accepted.Load(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}
}

func TestRecordsAreFollowedHoweverTheyAreRead(t *testing.T) {
	stress.Seeds(t, 200, func(seed uint64, rng *rand.Rand) {
		var stream []byte
		ends := map[int]bool{0: true}
		for range 1 + rng.IntN(5) {
			n := rng.IntN(40)
			stream = append(append(stream, 23, 3, 3, 0, byte(n)), make([]byte, n)...)
			ends[len(stream)] = true
		}
		r := &records{}
		for at := 0; at < len(stream); {
			n := min(1+rng.IntN(30), len(stream)-at)
			r.follow(stream[at : at+n])
			if at += n; r.areWhole() != ends[at] {
				t.Fatalf("seed %d: after %d bytes: whole %v, want %v", seed, at, r.areWhole(), ends[at])
			}
		}
	})
}

// post sends a body of a known length.
func post(ctx context.Context, d *direct, path string, body io.Reader, length int64) (string, error) {
	req := directRequest(d, "POST", path).WithContext(ctx)
	req.Body, req.ContentLength = io.NopCloser(body), length
	res, err := d.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

func TestAConnectionIsUsedAgainAfterABody(t *testing.T) {
	address, accepted := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) { echo(conn, r) })
	d := newTestDirect(t, address, time.Minute)
	const n = 50
	for i := range n {
		path := fmt.Sprint("/", i)
		if got, err := post(t.Context(), d, path, strings.NewReader(strings.Repeat("x", 100<<10)), 100<<10); got != path || err != nil {
			t.Fatalf("%s: got %q and %v", path, got, err)
		}
		if got, err := ask(t, d, "GET", path); got != path || err != nil {
			t.Fatalf("%s: got %q and %v", path, got, err)
		}
	}
	if got := accepted.Load(); got > n { // a sender that has not yet said that it is done costs a connection
		t.Errorf("%d connections for %d requests", got, 2*n)
	}
}

// The answer is there, the body is not: nothing of it may become the next request's.
func TestAnAnswerBeforeTheEndOfABodyEndsTheConnection(t *testing.T) {
	ended := make(chan error, 1)
	address, accepted := scripted(t, func(n int, conn net.Conn, r *bufio.Reader) {
		if n > 1 {
			echo(conn, r)
			return
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Error(err)
			return
		}
		answerWith(conn, "early")
		_, err = io.Copy(io.Discard, req.Body)
		ended <- err
	})
	d := newTestDirect(t, address, time.Minute)
	body, rest := io.Pipe()
	if got, err := post(t.Context(), d, "/early", body, 1000); got != "early" || err != nil {
		t.Fatalf("got %q and %v", got, err)
	}
	if len(d.idle) > 0 {
		t.Fatal("the connection waits for another request")
	}
	if err := <-ended; err == nil {
		t.Error("the service took a part for the whole")
	}
	rest.CloseWithError(io.ErrUnexpectedEOF)
	if got, err := ask(t, d, "GET", "/next"); got != "/next" || err != nil || accepted.Load() != 2 {
		t.Errorf("the next request: got %q and %v, over %d connections", got, err, accepted.Load())
	}
}

func TestABodyEndsWithItsContext(t *testing.T) {
	gone := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Error(err)
			return
		}
		cancel()
		_, err = io.Copy(io.Discard, req.Body)
		gone <- err
	})
	d := newTestDirect(t, address, time.Minute)
	body, rest := io.Pipe()
	if _, err := post(ctx, d, "/", body, 1000); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if err := <-gone; err == nil {
		t.Error("the service took a part for the whole")
	}
	rest.CloseWithError(io.ErrUnexpectedEOF)
}

func TestABodyIsSentOnce(t *testing.T) {
	for _, method := range []string{"PUT", "GET"} { // which may be repeated, but for the part of the body that is gone
		t.Run(method, func(t *testing.T) {
			address, _ := scripted(t, func(n int, conn net.Conn, r *bufio.Reader) {
				one(r)
				answerWith(conn, "first")
				one(r)
			})
			d := newTestDirect(t, address, time.Minute)
			dial, dialed := d.dial, 0
			d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				dialed++
				return dial(ctx, network, address)
			}
			if _, err := ask(t, d, "GET", "/first"); err != nil {
				t.Fatal(err)
			}
			req := directRequest(d, method, "/second").WithContext(t.Context())
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader("body")), 4
			if res, err := d.RoundTrip(req); err == nil {
				t.Errorf("got %s", res.Status)
			}
			if dialed != 1 {
				t.Errorf("%d connections for it", dialed)
			}
		})
	}
}

// The service is still answering when it learns that the body has no end.
func TestABodyThatBreaksOffIsNoneToAServiceThatAnswers(t *testing.T) {
	ended := make(chan error, 1)
	address, _ := scripted(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nearly")
		_, err = io.Copy(io.Discard, req.Body)
		ended <- err
	})
	d := newTestDirect(t, address, time.Minute)
	body, rest := io.Pipe()
	req := directRequest(d, "POST", "/").WithContext(t.Context())
	req.Body, req.ContentLength = body, 1000
	res, err := d.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	rest.CloseWithError(io.ErrUnexpectedEOF)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it took a part for the whole")
		}
	case <-time.After(20 * time.Second):
		t.Error("it still waits")
	}
}
