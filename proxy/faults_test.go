package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tokenjar/tokenjar/internal/stress"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// Services that do not do what they should, over raw TCP.

// A rawService answers each connection with bytes of the test's choice.
type rawService struct {
	URL      string
	conns    atomic.Int64 // that were accepted
	open     atomic.Int64
	requests atomic.Int64
}

// newRawService serves connections by a function, which is given each request of theirs in turn and reports whether to wait
// for the next. Closing the connection is left to the proxy.
func newRawService(t *testing.T, answer func(conn net.Conn, r *http.Request) (more bool)) *rawService {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawService{URL: "http://" + l.Addr().String()}
	var serving sync.WaitGroup
	stop := make(chan struct{})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			s.open.Add(1)
			serving.Go(func() {
				defer s.open.Add(-1)
				defer conn.Close()
				go func() { <-stop; conn.Close() }()
				br := bufio.NewReader(conn)
				for more := true; more; {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					s.requests.Add(1)
					io.Copy(io.Discard, r.Body)
					more = answer(conn, r)
				}
				io.Copy(io.Discard, br) // until the proxy closes it
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(stop)
		serving.Wait()
	})
	return s
}

// saying answers with these bytes and waits for the proxy to close.
func saying(text string) func(net.Conn, *http.Request) bool {
	return func(conn net.Conn, _ *http.Request) bool {
		io.WriteString(conn, text)
		return false
	}
}

// closing answers with these bytes and closes.
func closing(text string) func(net.Conn, *http.Request) bool {
	return func(conn net.Conn, _ *http.Request) bool {
		io.WriteString(conn, text)
		conn.Close()
		return false
	}
}

// forEver sends a beginning, and then a piece every so often.
func forEver(begin, piece string, every time.Duration) func(net.Conn, *http.Request) bool {
	return func(conn net.Conn, _ *http.Request) bool {
		_, err := io.WriteString(conn, begin)
		for err == nil {
			time.Sleep(every)
			_, err = io.WriteString(conn, piece)
		}
		return false
	}
}

// blackhole is an address that answers no connection: the queue of those that wait is full.
func blackhole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { syscall.Close(fd) })
		err = errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for failed := 0; failed < 3; { // once may be this machine's being busy
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			failed++
			continue
		}
		failed = 0
		t.Cleanup(func() { conn.Close() })
	}
	return addr
}

// faulty is a route to a service that may do anything; it has one place.
func faulty(path, url string) proxy.Route {
	return proxy.Route{Path: path, Upstream: url, Auth: proxy.None, MaxRequests: 1}
}

// outcome is what a client gets.
type outcome struct {
	status int
	code   problem.Code
	header http.Header
	body   string
	err    error // of reading the answer
}

func ask(app *tokenjartest.App, method, path string, body io.Reader, changes ...func(*http.Request)) (o outcome) {
	r, err := http.NewRequest(method, app.URL+path, body)
	if err != nil {
		return outcome{err: err}
	}
	for _, change := range changes {
		change(r)
	}
	res, err := app.Anonymous().HTTP.Do(r)
	if err != nil {
		return outcome{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return outcome{res.StatusCode, problem.Code(res.Header.Get(problem.Header)), res.Header, string(text), err}
}

// idle waits until nothing of a proxy's is left at a service.
func (s *rawService) idle(t *testing.T) {
	t.Helper()
	until(t, "no connection to the service is open", func() bool { return s.open.Load() == 0 })
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestFaultsOfAServiceAreNoFaultsOfOurs(t *testing.T) { // P-31, P-37, P-38
	unavailable := outcome{status: 502, code: problem.UpstreamUnavailable}
	timedOut := outcome{status: 504, code: problem.UpstreamTimeout}
	brokenOff := outcome{status: 200, err: io.ErrUnexpectedEOF}
	paused := outcome{status: 200, err: os.ErrDeadlineExceeded}
	ok := outcome{status: 200, body: "ok"}
	bigHead := "HTTP/1.1 200 OK\r\nX-Big: " + strings.Repeat("x", 70<<10) + "\r\nContent-Length: 0\r\n\r\n"
	for _, c := range []struct {
		name   string
		answer func(net.Conn, *http.Request) bool
		want   outcome
		reused bool // the connection may be used again
	}{
		{"accepts and says nothing", saying(""), timedOut, false},
		{"a byte of the head at a time", forEver("HTTP/1.1 200 OK\r\nX-Slow: ", "x", 20*time.Millisecond), timedOut, false},
		{"closes at once", closing(""), unavailable, false},
		{"closes in the head", closing("HTTP/1.1 200 OK\r\nX-He"), unavailable, false},
		{"garbage", saying("\x16\x03\x01 you are not speaking my language\r\n\r\n"), unavailable, false},
		{"no version", saying("200 OK\r\n\r\n"), unavailable, false},
		{"a status that is none", saying("HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"), unavailable, false},
		{"a status below all", saying("HTTP/1.1 099 Nearly\r\nContent-Length: 2\r\n\r\nok"), unavailable, false},
		{"a status of nothing", saying("HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok"), unavailable, false},
		{"a preface of HTTP/2", saying("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), unavailable, false},
		{"two status lines", saying("HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), unavailable, false},
		{"a head above 64 KiB", saying(bigHead), unavailable, false},
		{"a head without end", forEver("HTTP/1.1 200 OK\r\n", strings.Repeat("X-More: "+strings.Repeat("x", 1000)+"\r\n", 16), 0), unavailable, false},
		{"two lengths", saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"), unavailable, false},
		{"a negative length", saying("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"), unavailable, false},
		{"a length with a sign", saying("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"), unavailable, false},
		{"an unknown coding", saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), unavailable, false},
		{"a field without a colon", saying("HTTP/1.1 200 OK\r\nno field\r\nContent-Length: 2\r\n\r\nok"), unavailable, false},
		{"another protocol that nobody asked for", saying("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes"), unavailable, false},
		{"interim answers without end", forEver("", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 100), 0), unavailable, false},
		{"interim answers, slowly", forEver("", "HTTP/1.1 102 Processing\r\n\r\n", 20*time.Millisecond), timedOut, false},
		{"a few interim answers", saying(strings.Repeat("HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nLink: </x>\r\n\r\n", 20) + okAnswer), ok, true},
		{"100 that nobody waits for", saying("HTTP/1.1 100 Continue\r\n\r\n" + okAnswer), ok, true},
		{"CR in the reason", saying("HTTP/1.1 200 O\rSet-Cookie: evil=1\rK\r\nContent-Length: 2\r\n\r\nok"), ok, true},
		{"length and chunks", saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), ok, true},
		{"a body that is too short", closing("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"), brokenOff, false},
		{"a body that is too long", saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"), ok, false},
		{"a body where none may be", saying("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"), outcome{status: 204}, false},
		{"chunks that end early", closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), brokenOff, false},
		{"a chunk size that is none", saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"), brokenOff, false},
		{"a chunk longer than it says", saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n"), brokenOff, false},
		{"a pause in the body", saying("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"), paused, false},
		{"a pause in the chunks", saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), paused, false},
		{"a trailer without end", forEver("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "X-More: x\r\n", 0), brokenOff, false},
		{"no length, and the end of the connection", closing("HTTP/1.0 200 OK\r\n\r\nok"), ok, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var good atomic.Bool
			s := newRawService(t, func(conn net.Conn, r *http.Request) bool {
				if good.Load() {
					io.WriteString(conn, okAnswer)
					return true
				}
				return c.answer(conn, r)
			})
			bad := faulty("/bad", s.URL)
			switch { // only what is waited out is short
			case c.want.status == 504:
				bad.HeaderTimeout = quick
			case c.want.err == paused.err:
				bad.IdleTimeout = quick
			}
			app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, bad, faulty("/next", s.URL))
			got := ask(app, "POST", "/bad/x", strings.NewReader("a body, so that it is sent once"))
			switch {
			case got.status != c.want.status || got.code != c.want.code:
				t.Fatalf("got %d %s %q and %v", got.status, got.code, got.body, got.err)
			case c.want.err != nil && got.err == nil:
				t.Errorf("a broken answer looks whole: %q", got.body)
			case c.want.err == nil && got.err != nil:
				t.Errorf("the answer is broken: %v", got.err)
			case c.want.code == "" && c.want.err == nil && got.body != c.want.body:
				t.Errorf("got %q", got.body)
			case c.want.code != "" && got.header.Get("Content-Type") != "application/problem+json":
				t.Errorf("got %v", got.header)
			}
			if len(got.header["Set-Cookie"]) > 0 || len(got.header["Link"]) > 0 {
				t.Errorf("what the service smuggled in reached the client: %v", got.header)
			}
			st, want := p.Stats(), proxy.Stats{}
			switch {
			case c.want.status == 502:
				want.Unavailable = 1
			case c.want.status == 504:
				want.TimedOut = 1
			case c.want.err != nil:
				want.BrokenOff = 1
			}
			if st != want {
				t.Errorf("counts: got %+v, want %+v", st, want)
			}
			until(t, "the service has the request", func() bool { return s.requests.Load() > 0 }) // we may have given up before it looked
			if !c.reused {
				s.idle(t) // the connection is closed
			}
			if n := s.requests.Load(); n != 1 {
				t.Errorf("the service got %d requests", n)
			}
			// The only place is free again, and the next answer is the next answer: routes to one service share its places, and
			// its connections unless something is waited out.
			good.Store(true)
			if c.reused {
				return // its service has stopped reading
			}
			if got := ask(app, "POST", "/next/x", strings.NewReader("more")); got.status != 200 || got.body != "ok" || got.err != nil {
				t.Errorf("the next request: %d %q, %v", got.status, got.body, got.err)
			}
		})
	}
}

// However much of an answer has come, and in whatever framing, its service may not fall silent for ever.
func TestAPauseIsBoundedHoweverTheAnswerBegins(t *testing.T) { // P-38
	const head = "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"the head alone":              head + "Content-Length: 100\r\n\r\n",
		"a part of a known length":    head + "Content-Length: 100\r\n\r\nok",
		"all but a byte":              head + "Content-Length: 3\r\n\r\nok",
		"a part of a chunk":           head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n5\r\nab",
		"a part of a chunk's length":  head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n5",
		"chunks without the last one": head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
		"no length":                   head + "\r\nok",
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(method+" "+name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				s := newRawService(t, saying(text))
				route := faulty("/x", s.URL)
				route.IdleTimeout = quick
				app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, route)
				var body io.Reader
				if method == "POST" {
					body = strings.NewReader("a body")
				}
				got := ask(app, method, "/x", body, func(r *http.Request) { *r = *r.WithContext(ctx) })
				if got.status != 200 || got.err == nil || ctx.Err() != nil {
					t.Errorf("got %d %q, %v", got.status, got.body, got.err)
				}
				if st := p.Stats(); st != (proxy.Stats{BrokenOff: 1}) {
					t.Errorf("counts: %+v", st)
				}
			})
		}
	}
}

func TestAServiceThatCannotBeReached(t *testing.T) { // P-38
	for _, c := range []struct {
		name   string
		url    string
		status int
	}{
		{"refuses", "http://" + upstreamtest.Refusing(t), 502},
		{"does not answer", "http://" + blackhole(t), 504},
		{"has no address", "http://" + strings.Repeat("a", 64) + ".invalid", 502}, // no name server is asked, which may take its time
		{"accepts, and is silent during the TLS handshake", "https://" + strings.TrimPrefix(newSilentService(t), "http://"), 504},
	} {
		t.Run(c.name, func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			t.Run("once", func(t *testing.T) {
				bad := faulty("/bad", c.url)
				if c.status == 504 {
					bad.ConnectTimeout = quick
				}
				app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, bad)
				for range 3 { // one place: it is free each time
					got := ask(app, "GET", "/bad/x", nil)
					if want := map[int]problem.Code{502: problem.UpstreamUnavailable, 504: problem.UpstreamTimeout}[c.status]; got.status != c.status || got.code != want {
						t.Errorf("got %d %s %q, %v", got.status, got.code, got.body, got.err)
					}
				}
				if st := p.Stats(); st.Unavailable+st.TimedOut != 3 || (st.TimedOut == 3) != (c.status == 504) {
					t.Errorf("counts: %+v", st)
				}
			})
			for begin := time.Now(); ; { // it has half a second of patience by itself
				err := goleak.Find(ignore)
				if err == nil {
					break
				}
				if time.Since(begin) > patience {
					t.Fatal(err)
				}
			}
		})
	}
}

// newSilentService takes connections and says nothing.
func newSilentService(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String() // the kernel accepts
}

func TestOtherRoutesDoNotNotice(t *testing.T) { // P-38
	hanging := newRawService(t, saying(""))
	good := newService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{},
		proxy.Route{Path: "/hangs", Upstream: hanging.URL, Auth: proxy.None, MaxRequests: 16, HeaderTimeout: time.Hour}, // all of them one client's share
		proxy.Route{Path: "/good", Upstream: good.URL, Auth: proxy.None, MaxRequests: 1},
	)
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			ask(app, "GET", "/hangs/x", nil, func(r *http.Request) { *r = *r.WithContext(ctx) })
		})
	}
	until(t, "all requests are there", func() bool { return hanging.requests.Load() == 16 })
	if got := ask(app, "GET", "/hangs/x", nil); got.status != 503 || got.code != problem.UpstreamUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s %v", got.status, got.code, got.header)
	}
	for range 20 {
		if got := ask(app, "GET", "/good/x", nil); got.status != 200 {
			t.Fatalf("another route: %d %s", got.status, got.body)
		}
	}
	leave()
	clients.Wait()
	hanging.idle(t) // P-39: with its client the request is gone
	if st := p.Stats(); st.Refused != 1 || st.Unavailable+st.TimedOut != 0 {
		t.Errorf("counts: %+v", st)
	}
}

func TestOnlyWhatMayBeDoneTwiceIsSentTwice(t *testing.T) { // P-41
	for _, c := range []struct {
		name   string
		method string
		body   string
		header string
		status int
		sent   int64
	}{
		{"GET", "GET", "", "", 200, 2},
		{"HEAD", "HEAD", "", "", 200, 2},
		{"OPTIONS", "OPTIONS", "", "", 200, 2},
		{"GET with a body", "GET", "body", "", 502, 1},
		{"POST", "POST", "body", "", 502, 1},
		{"POST without a body", "POST", "", "", 502, 1},
		{"POST with Idempotency-Key", "POST", "", "Idempotency-Key", 502, 1},
		{"POST with X-Idempotency-Key", "POST", "", "X-Idempotency-Key", 502, 1},
		{"PUT", "PUT", "", "", 502, 1},
		{"DELETE", "DELETE", "", "", 502, 1},
		{"PATCH", "PATCH", "body", "", 502, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tried atomic.Int64
			s := newRawService(t, func(conn net.Conn, r *http.Request) bool {
				if r.RequestURI != "/x/first" && tried.Add(1) == 1 { // the connection has been used, and dies under the next request
					conn.Close()
					return false
				}
				length := "Content-Length: 0\r\n"
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+length+"\r\n")
				return true
			})
			app, _ := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, faulty("/x", s.URL))
			if got := ask(app, "GET", "/x/first", nil); got.status != 200 {
				t.Fatal(got)
			}
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			got := ask(app, c.method, "/x/second", body, func(r *http.Request) {
				if c.header != "" {
					r.Header.Set(c.header, "1")
				}
			})
			if got.status != c.status || tried.Load() != c.sent {
				t.Errorf("got %d, and the service %d requests; want %d and %d", got.status, tried.Load(), c.status, c.sent)
			}
		})
	}
}

func TestARequestEndsWhenItsClientLeaves(t *testing.T) { // P-39
	working, over := make(chan struct{}, 1), make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		working <- struct{}{}
		<-r.Context().Done()
		over <- struct{}{}
	}))
	t.Cleanup(s.Close)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/x", Upstream: s.URL, Auth: proxy.None})
	for _, method := range []string{"GET", "POST"} {
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan outcome)
		go func() {
			var body io.Reader
			if method == "POST" {
				body = strings.NewReader("all of it")
			}
			gone <- ask(app, method, "/x", body, func(r *http.Request) { *r = *r.WithContext(ctx) })
		}()
		<-working
		leave()
		<-gone
		select {
		case <-over:
		case <-time.After(patience):
			t.Errorf("%s: the service is still at work", method)
		}
	}
	if st := p.Stats(); st.Unavailable+st.TimedOut+st.BrokenOff != 0 {
		t.Errorf("counts: %+v", st)
	}
}

func TestAnAnswerWithoutEndTakesNoMemory(t *testing.T) { // P-31
	size := 256 << 20
	if stress.Race {
		size = 32 << 20
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 1<<20)
		for range size / len(piece) {
			w.Write(piece)
		}
	}))
	t.Cleanup(s.Close)
	app, _ := newTimedApp(t, tokenjartest.Config{InsecureHTTP: true}, proxy.Timing{}, proxy.Route{Path: "/x", Upstream: s.URL, Auth: proxy.None})
	res, err := app.Anonymous().HTTP.Get(app.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	grown := heapGrowth(func() {
		if n, err := io.Copy(io.Discard, res.Body); n != int64(size) || err != nil {
			t.Errorf("got %d bytes and %v", n, err)
		}
	})
	if grown > 8<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// heapGrowth tells by how much the heap was larger at most while something ran, garbage included.
func heapGrowth(run func()) int64 {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done, most := make(chan struct{}), int64(0)
	go func() {
		defer close(done)
		run()
	}()
	for {
		select {
		case <-done:
			return most
		case <-time.After(5 * time.Millisecond):
			runtime.ReadMemStats(&now)
			most = max(most, int64(now.HeapInuse)-int64(before.HeapInuse))
		}
	}
}
