package proxy_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/stress"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// Bodies of requests: large, slow, wrong, and not wanted.

// A rawClient is a connection to an app that serves plain HTTP.
type rawClient struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func dial(t *testing.T, app *tokenjartest.App) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(app.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &rawClient{conn, bufio.NewReader(conn), t}
}

// post begins a request for /up.
func (c *rawClient) post(fields ...string) {
	c.t.Helper()
	head := "POST /up HTTP/1.1\r\nHost: " + c.RemoteAddr().String() + "\r\n" + strings.Join(append(fields, "", ""), "\r\n")
	if _, err := io.WriteString(c, head); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads an answer, and whether the connection ends with it.
func (c *rawClient) answer() (status int, code problem.Code, ends bool) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	if _, err := io.ReadAll(res.Body); err != nil {
		c.t.Errorf("the answer is broken: %v", err)
	}
	return res.StatusCode, problem.Code(res.Header.Get(problem.Header)), res.Close
}

// A sink takes bodies and says what became of them.
type sink struct {
	*httptest.Server
	bodies chan error // how the reading of each ended
	size   atomic.Int64
	sum    hash.Hash
}

func newSink(t *testing.T) *sink {
	s := &sink{bodies: make(chan error, 10), sum: sha256.New()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.sum.Reset()
		n, err := io.Copy(s.sum, r.Body)
		s.size.Store(n)
		s.bodies <- err
	}))
	t.Cleanup(s.Close)
	return s
}

func newUploadApp(t *testing.T, url string, timing proxy.Timing, change func(*proxy.Route)) (*tokenjartest.App, *proxy.Proxy) {
	t.Helper()
	r := faulty("/up", url)
	if change != nil {
		change(&r)
	}
	return newTimedApp(t, tokenjartest.Config{InsecureHTTP: true}, timing, r)
}

func TestABodyThatIsNotAsItShouldBeIsTheClientsFault(t *testing.T) { // P-27, R-01
	for _, c := range []struct {
		name   string
		fields []string
		body   string
		status int
		code   problem.Code
		begins bool // the service sees the beginning
	}{
		{"stops in the middle", []string{"Content-Length: 100"}, "half", 408, problem.ValidationFailed, true},
		{"stops in the middle of a chunk", []string{"Transfer-Encoding: chunked"}, "a\r\nhalf", 408, problem.ValidationFailed, true},
		{"never begins", []string{"Content-Length: 100"}, "", 408, problem.ValidationFailed, true},
		{"a chunk size that is none", []string{"Transfer-Encoding: chunked"}, "2\r\nok\r\nzz\r\n", 400, problem.ValidationFailed, true},
		{"a chunk size with a sign", []string{"Transfer-Encoding: chunked"}, "+2\r\nok\r\n0\r\n\r\n", 400, problem.ValidationFailed, true},
		{"a chunk size too long", []string{"Transfer-Encoding: chunked"}, "00000000000000002\r\nok\r\n0\r\n\r\n", 400, problem.ValidationFailed, true},
		{"a chunk longer than it says", []string{"Transfer-Encoding: chunked"}, "2\r\nokay\r\n0\r\n\r\n", 400, problem.ValidationFailed, true},
		{"a chunk extension without end", []string{"Transfer-Encoding: chunked"}, "2;" + strings.Repeat("x", 64<<10) + "\r\nok\r\n0\r\n\r\n", 400, problem.ValidationFailed, true},
		{"too long", []string{"Content-Length: 2000"}, strings.Repeat("x", 2000), 413, problem.BodyTooLarge, false},
		{"too long, in chunks", []string{"Transfer-Encoding: chunked"}, "7d0\r\n" + strings.Repeat("x", 2000) + "\r\n0\r\n\r\n", 413, problem.BodyTooLarge, true},
		{"too long, and not sent", []string{"Content-Length: 2000", "Expect: 100-continue"}, "", 413, problem.BodyTooLarge, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSink(t)
			var timing proxy.Timing
			if c.status == 408 {
				timing.Body = quick
			}
			app, p := newUploadApp(t, s.URL, timing, func(r *proxy.Route) { r.MaxBody = 1000 })
			client := dial(t, app)
			client.post(c.fields...)
			io.WriteString(client, c.body)
			status, code, ends := client.answer()
			if status != c.status || code != c.code || !ends {
				t.Errorf("got %d %s, and the connection ends: %v", status, code, ends)
			}
			if c.begins {
				if err := <-s.bodies; err == nil {
					t.Error("the service took a part for the whole")
				}
			} else if len(s.bodies) > 0 {
				t.Error("the service was asked")
			}
			if st := p.Stats(); st != (proxy.Stats{}) {
				t.Errorf("the service is blamed: %+v", st)
			}
			next := dial(t, app) // the only place is free; a body might be too slow
			next.post("Content-Length: 0")
			if status, _, _ := next.answer(); status != 200 {
				t.Errorf("the next request: %d", status)
			}
		})
	}
}

// A lateBody ends the request's context, as net/http does when it cannot read on, and says why a moment later.
type lateBody struct{ cancel context.CancelFunc }

func (b lateBody) Read([]byte) (int, error) {
	b.cancel()
	time.Sleep(20 * time.Millisecond)
	return 0, os.ErrDeadlineExceeded
}

func TestAClientThatIsTooSlowHasNotLeft(t *testing.T) {
	s := newSink(t)
	p, err := proxy.New(proxy.Config{PublicURL: "http://localhost", Routes: []proxy.Route{faulty("/up", s.URL)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := httptest.NewRequestWithContext(ctx, "POST", "/up", lateBody{cancel})
	req.ContentLength = 100
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, req)
	if rec.Code != http.StatusRequestTimeout {
		t.Errorf("got %d", rec.Code)
	}
}

func TestABodyThatComesSlowlyMayGoOn(t *testing.T) {
	t.Parallel() // it waits
	s := newSink(t)
	app, _ := newUploadApp(t, s.URL, proxy.Timing{Body: tolerant}, nil)
	// As long as it is not too slow: each piece buys the time until the next. The whole takes longer than that of one.
	client := dial(t, app)
	client.post("Transfer-Encoding: chunked")
	for range 8 {
		time.Sleep(tolerant / 6)
		io.WriteString(client, "400\r\n"+strings.Repeat("x", 0x400)+"\r\n")
	}
	io.WriteString(client, "0\r\n\r\n")
	if status, _, _ := client.answer(); status != 200 || <-s.bodies != nil || s.size.Load() != 8*0x400 {
		t.Errorf("got %d, and the service %d bytes", status, s.size.Load())
	}
	// A byte now and then buys nothing.
	app, _ = newUploadApp(t, s.URL, proxy.Timing{Body: quick}, nil)
	client = dial(t, app)
	client.post("Transfer-Encoding: chunked")
	var sent int
	for err := error(nil); err == nil && sent < 1000; sent++ {
		time.Sleep(quick / 6)
		_, err = io.WriteString(client, "1\r\nx\r\n")
		if client.r.Buffered() == 0 {
			client.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, peeked := client.r.Peek(1)
			client.SetReadDeadline(time.Now().Add(patience))
			if peeked == nil {
				break
			}
		}
	}
	if status, _, _ := client.answer(); status != 408 || sent > 100 {
		t.Errorf("got %d after %d bytes", status, sent)
	}
	if err := <-s.bodies; err == nil {
		t.Error("the service took a part for the whole")
	}
}

func TestAClientThatLeavesInTheMiddleOfABody(t *testing.T) { // P-39
	for _, fields := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		t.Run(fields, func(t *testing.T) { // a service of its own: nobody tells when the place of a client that left is free
			s := newSink(t)
			app, p := newUploadApp(t, s.URL, proxy.Timing{}, nil)
			client := dial(t, app)
			client.post(fields)
			io.WriteString(client, "2\r\nok\r\n")
			client.Close()
			select {
			case err := <-s.bodies:
				if err == nil {
					t.Error("the service took a part for the whole")
				}
			case <-time.After(patience):
				t.Error("the service still waits")
			}
			if st := p.Stats(); st != (proxy.Stats{}) {
				t.Errorf("the service is blamed: %+v", st)
			}
		})
	}
}

func TestAServiceThatTakesNoBodyIsNotWaitedForForEver(t *testing.T) { // P-38
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel accepts and takes what fits, and nobody reads
	app, p := newUploadApp(t, "http://"+l.Addr().String(), proxy.Timing{}, func(r *proxy.Route) { r.MaxBody, r.IdleTimeout = -1, quick })
	client := dial(t, app)
	client.post("Content-Length: 67108864")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.Copy(client, io.LimitReader(zeros{}, 64<<20))
	}()
	if status, code, _ := client.answer(); status != 504 || code != problem.UpstreamTimeout {
		t.Errorf("got %d %s", status, code)
	}
	client.Close()
	<-sent
	if st := p.Stats(); st.TimedOut != 1 {
		t.Errorf("counts: %+v", st)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestALargeBodyTakesNoMemory(t *testing.T) {
	size := int64(1 << 30)
	if stress.Race {
		size = 64 << 20
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	t.Cleanup(s.Close)
	app, _ := newUploadApp(t, s.URL, proxy.Timing{}, func(r *proxy.Route) { r.MaxBody = -1 })
	grown := heapGrowth(func() {
		got := ask(app, "PUT", "/up", struct{ io.Reader }{io.LimitReader(zeros{}, size)}, func(r *http.Request) { r.ContentLength = size })
		if want := fmt.Sprint(size, nil); got.status != 200 || got.body != want {
			t.Errorf("got %d %q, %v; want %s", got.status, got.body, got.err, want)
		}
	})
	if grown > 8<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

func TestAnAnswerMayComeBeforeTheBodyHasBeenSent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "not for you", http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	// The body never comes, and is waited for longer than the answer: who sends it may be waiting for that.
	app, p := newUploadApp(t, s.URL, proxy.Timing{Body: time.Hour}, nil)
	for _, c := range []struct{ name, field, body string }{
		{"known length", "Content-Length: 1000", "the beginning"},
		{"chunked", "Transfer-Encoding: chunked", "4\r\nmore\r\n"},
	} {
		client := dial(t, app)
		client.post(c.field)
		io.WriteString(client, c.body)
		if status, _, ends := client.answer(); status != 403 || !ends {
			t.Errorf("%s: got %d, and the connection ends: %v", c.name, status, ends)
		}
	}
	if st := p.Stats(); st != (proxy.Stats{}) {
		t.Errorf("the service is blamed: %+v", st)
	}
}

func TestARefusalMayComeBeforeTheBodyHasBeenSent(t *testing.T) {
	app, _ := newUploadApp(t, "http://"+upstreamtest.Refusing(t), proxy.Timing{Body: time.Hour}, nil)
	client := dial(t, app)
	client.post("Content-Length: 1000")
	io.WriteString(client, "the beginning")
	if status, code, ends := client.answer(); status != 502 || code != problem.UpstreamUnavailable || !ends {
		t.Errorf("got %d %s, and the connection ends: %v", status, code, ends)
	}
}

func TestAClientMayAskBeforeItSendsABody(t *testing.T) { // P-39, RFC 9110 section 10.1.1
	s := newSink(t)
	app, _ := newUploadApp(t, s.URL, proxy.Timing{}, nil)
	client := dial(t, app)
	client.post("Content-Length: 4", "Expect: 100-continue")
	if status, _, _ := client.answer(); status != 100 {
		t.Fatalf("got %d", status)
	}
	io.WriteString(client, "body")
	if status, _, ends := client.answer(); status != 200 || ends || <-s.bodies != nil || s.size.Load() != 4 {
		t.Errorf("got %d, and the service %d bytes", status, s.size.Load())
	}
	client.post("Content-Length: 4", "Expect: 200-ok")
	if status, _, _ := client.answer(); status != 417 {
		t.Errorf("another expectation: %d", status)
	}
	app, _ = newUploadApp(t, "http://"+upstreamtest.Refusing(t), proxy.Timing{}, nil)
	client = dial(t, app)
	client.post("Content-Length: 4", "Expect: 100-continue")
	if status, _, ends := client.answer(); status != 502 || !ends {
		t.Errorf("nobody is there: %d, and the connection ends: %v", status, ends)
	}
}
