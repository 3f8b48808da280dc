package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// What goes through the proxy lasts longer than the server allows for an ordinary request, as long as it gets on.

// serverLimit is for a whole request and for a whole answer. Ordinary ones have to succeed within it, on a machine that may
// keep any of us from running for two seconds. So these tests wait, side by side.
const serverLimit = 2500 * time.Millisecond

// behind starts a server with a short limit in front of a service.
func behind(t *testing.T, service http.HandlerFunc, change func(*config.Route), setups ...servertest.Setup) *servertest.World {
	t.Helper()
	s := httptest.NewServer(service)
	t.Cleanup(s.Close)
	route := config.Route{Path: "/api/", Upstream: s.URL}
	if change != nil {
		change(&route)
	}
	return servertest.Start(t, append(setups, servertest.Setup{
		Config:  func(c *config.Config) { c.Routes = []config.Route{route} },
		Options: func(o *server.Options) { o.SetLimits(5*time.Second, serverLimit, serverLimit, 5*time.Second, 100) },
	})...)
}

func cookiesOf(w *servertest.World, p servertest.Pair) string {
	return w.AccessName() + "=" + p.Access + "; " + w.RefreshName() + "=" + p.Refresh
}

// A line is a connection on which an answer is read as it comes.
type line struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func open(t *testing.T, w *servertest.World, head string) *line {
	t.Helper()
	conn, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return &line{conn, bufio.NewReader(conn), t}
}

func (l *line) answer(status int) *http.Response {
	l.t.Helper()
	res, err := http.ReadResponse(l.r, nil)
	if err != nil || res.StatusCode != status {
		l.t.Fatalf("got %v and %v, want %d", res, err, status)
	}
	return res
}

func TestAnEventStreamOutlastsTheLimitForAnswers(t *testing.T) {
	t.Parallel()
	say := make(chan string)
	w := behind(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(rw).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case text := <-say:
				io.WriteString(rw, text)
				http.NewResponseController(rw).Flush()
			}
		}
	}, nil)
	ada := w.SignIn(t, servertest.Ada)
	l := open(t, w, "GET /api/events HTTP/1.1\nHost: "+w.Host()+"\nCookie: "+cookiesOf(w, ada))
	events := l.answer(200)
	for i := range 3 {
		time.Sleep(serverLimit + serverLimit/10) // nothing is said for longer than a whole answer may take
		text := fmt.Sprintf("data: %d\n\n", i)
		say <- text
		got := make([]byte, len(text))
		if _, err := io.ReadFull(events.Body, got); err != nil || string(got) != text {
			t.Fatalf("got %q and %v, want %q", got, err, text)
		}
	}
	counted(t, w, `tokenjar_proxy_streams_open{kind="event_stream"} 1`)
	time.Sleep(serverLimit + serverLimit/10)
	if a := w.Send(t, "POST", "/auth/logout", "", ada.As); a.Status != 200 {
		t.Fatalf("sign-out: %d %s", a.Status, a.Body)
	}
	if rest, err := io.ReadAll(events.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end: %q and %v", rest, err)
	}
	counted(t, w, `tokenjar_proxy_streams_open{kind="event_stream"} 0`)
	counted(t, w, "tokenjar_proxy_streams_opened_total 1")
	counted(t, w, "tokenjar_proxy_streams_ended_total 1")
}

func TestALongUploadOutlastsTheLimitForRequests(t *testing.T) {
	t.Parallel()
	w := behind(t, func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(rw, n, err)
	}, func(r *config.Route) { r.Auth = "none" })
	l := open(t, w, "POST /api/up HTTP/1.1\nHost: "+w.Host()+"\nTransfer-Encoding: chunked")
	for range 6 {
		time.Sleep(serverLimit / 4)
		io.WriteString(l, "2\r\nok\r\n")
	}
	io.WriteString(l, "0\r\n\r\n")
	if body, err := io.ReadAll(l.answer(200).Body); err != nil || string(body) != "12 <nil>" {
		t.Errorf("got %q and %v", body, err)
	}
}

func TestALateAnswerOutlastsTheLimitForAnswers(t *testing.T) {
	t.Parallel()
	const late = serverLimit + serverLimit/10
	w := behind(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/never" {
			<-r.Context().Done()
			return
		}
		time.Sleep(late)
		switch r.URL.Path {
		case "/api/nothing":
			rw.WriteHeader(http.StatusNoContent)
		case "/api/pauses":
			rw.Header().Set("Content-Length", "2")
			io.WriteString(rw, "o")
			http.NewResponseController(rw).Flush()
			time.Sleep(late)
			io.WriteString(rw, "k")
		default:
			io.WriteString(rw, "ok")
		}
	}, func(r *config.Route) { r.Auth, r.HeaderTimeout = "none", late+serverLimit })
	asked := map[string]*line{}
	for _, path := range []string{"/api/late", "/api/pauses", "/api/nothing", "/api/never"} { // all at once
		asked[path] = open(t, w, "GET "+path+" HTTP/1.1\nHost: "+w.Host())
	}
	for path, status := range map[string]int{"/api/late": 200, "/api/pauses": 200, "/api/nothing": 204, "/api/never": 504} {
		res := asked[path].answer(status)
		if body, err := io.ReadAll(res.Body); err != nil || status == 200 && string(body) != "ok" {
			t.Errorf("%s: %q and %v", path, body, err)
		}
	}
	counted(t, w, `tokenjar_proxy_upstream_errors_total{kind="timeout"} 1`)
	counted(t, w, `tokenjar_proxy_upstream_errors_total{kind="unavailable"} 0`)
}

// A session that is ended on one node ends its streams on the other.
func TestAStreamOnAnotherNodeEndsWithTheSession(t *testing.T) {
	first := servertest.Start(t)
	second := behind(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	}, nil, servertest.Setup{Beside: first, Config: func(c *config.Config) { c.Token.Issuer, c.Token.Audience = first.URL, first.URL }})
	ada := first.SignIn(t, servertest.Ada)
	events := open(t, second, "GET /api/events HTTP/1.1\nHost: "+second.Host()+"\nCookie: "+cookiesOf(second, ada)).answer(200)
	if _, err := first.Service.LogoutAll(t.Context(), ada.UserID); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(events.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end: %q and %v", rest, err)
	}
}

func TestAStopEndsWhatIsOpen(t *testing.T) {
	w := behind(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, buffered, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			io.Copy(io.Discard, buffered)
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	}, func(r *config.Route) { r.WebSocket = true })
	ada := w.SignIn(t, servertest.Ada)
	events := open(t, w, "GET /api/events HTTP/1.1\nHost: "+w.Host()+"\nCookie: "+cookiesOf(w, ada)).answer(200)
	socket := open(t, w, "GET /api/socket HTTP/1.1\nHost: "+w.Host()+"\nCookie: "+cookiesOf(w, ada)+"\nOrigin: "+w.Origin+
		"\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	socket.answer(101)
	counted(t, w, `tokenjar_proxy_streams_open{kind="event_stream"} 1`)
	counted(t, w, `tokenjar_proxy_streams_open{kind="websocket"} 1`)
	w.Stop()
	if rest, err := io.ReadAll(events.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end of the event stream: %q and %v", rest, err)
	}
	if rest, err := io.ReadAll(socket.r); err != nil || string(rest) != "\x88\x02\x03\xe9" { // 1001
		t.Errorf("the end of the WebSocket: %q and %v", rest, err)
	}
}
