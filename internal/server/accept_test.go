package server

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar/internal/metrics"
)

// script is a listener that answers what it is told to.
type script struct {
	mu      sync.Mutex
	calls   int
	accepts []func() (net.Conn, error)
	closed  chan struct{}
}

func (s *script) Accept() (net.Conn, error) {
	s.mu.Lock()
	s.calls++
	if len(s.accepts) == 0 {
		s.mu.Unlock()
		<-s.closed
		return nil, net.ErrClosed
	}
	next := s.accepts[0]
	s.accepts = s.accepts[1:]
	s.mu.Unlock()
	return next()
}

func (s *script) Close() error   { close(s.closed); return nil }
func (s *script) Addr() net.Addr { return &net.TCPAddr{} }

func TestWithoutFileDescriptorsAcceptBacksOffAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := &Server{log: slog.New(slog.NewTextHandler(&log, nil)), limits: usualLimits}
		m := metrics.New("", time.Now)
		listener := &script{closed: make(chan struct{})}
		idle, server := net.Pipe()
		listener.accepts = append(listener.accepts, func() (net.Conn, error) { return server, nil })
		full := &net.OpError{Op: "accept", Err: syscall.EMFILE}
		for range 20 {
			listener.accepts = append(listener.accepts, func() (net.Conn, error) { return nil, full })
		}
		client, served := net.Pipe()
		listener.accepts = append(listener.accepts, func() (net.Conn, error) { return served, nil })

		conns := newConnections(listener, 10, m, s.log)
		h := s.httpServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") }))
		h.ConnState = conns.state
		done := make(chan error, 1)
		go func() { done <- h.Serve(conns) }()
		synctest.Wait()

		begin := time.Now()
		go io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatalf("R-03: no answer after the shortage: %v", err)
		}
		body, _ := io.ReadAll(res.Body)
		if string(body) != "served" {
			t.Errorf("got %q", body)
		}
		// 20 failures with pauses of 5 ms, 10 ms … up to a second: no busy loop.
		if took := time.Since(begin); took < 10*time.Second || took > 20*time.Second {
			t.Errorf("R-03: 20 failures took %v", took)
		}
		if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("R-03: the connection that sent nothing was not given up: %v", err)
		}
		if got := strings.Count(log.String(), "connections cannot be accepted"); got != 1 {
			t.Errorf("R-14: told %d times", got)
		}
		h.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Errorf("got %v", err)
		}
	})
}

// wire is a connection that knows whether it has been closed.
type wire struct {
	net.Conn
	name   string
	closed bool
}

func (w *wire) Close() error { w.closed = true; return nil }

func TestWhichConnectionMakesRoom(t *testing.T) {
	conns := newConnections(nil, 4, metrics.New("", time.Now), slog.New(slog.DiscardHandler))
	open := map[string]*wire{}
	does := func(name string, states ...http.ConnState) {
		for _, s := range states {
			conns.state(open[name], s)
		}
	}
	arrives := func(name string, wantIn bool, wantOut ...string) {
		t.Helper()
		open[name] = &wire{name: name}
		if in := conns.admit(open[name]); in != wantIn {
			t.Errorf("%s is let in: %v", name, in)
		}
		var out []string
		for _, w := range open {
			if w.closed {
				out = append(out, w.name)
				conns.state(w, http.StateClosed) // as net/http will say, a moment later
				delete(open, w.name)
			}
		}
		if !slices.Equal(out, wantOut) {
			t.Errorf("%s arrives: %q closed, want %q", name, out, wantOut)
		}
	}
	const active, idle = http.StateActive, http.StateIdle
	for _, name := range []string{"a", "b", "c", "d"} {
		arrives(name, true)
	}
	does("b", active, idle)
	does("a", active, idle)
	does("b", active, idle) // again, so a has been idle for longer
	does("c", active)
	arrives("e", true, "a") // the longest idle
	arrives("f", true, "b") // the next; d and e have sent nothing yet, c is being served
	does("f", active)
	arrives("g", true, "d") // nobody is idle: the oldest without a request
	does("e", active)
	does("g", active)
	arrives("h", false) // everybody is being served
	delete(open, "h")
	does("c", http.StateHijacked) // counts no more
	arrives("i", true)
	does("e", http.StateClosed)
	arrives("j", true)
	if len(conns.open) != 4 || conns.idle != 0 || conns.fresh.Len() != 2 {
		t.Errorf("%d open, %d idle, %d fresh", len(conns.open), conns.idle, conns.fresh.Len())
	}
}
