package proxy_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// A said is a log that tests read.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// take returns the lines since the last time.
func (s *said) take() (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return strings.Split(strings.TrimSuffix(s.text.String(), "\n"), "\n")
}

func TestAServiceThatIsAwayDoesNotFloodTheLog(t *testing.T) {
	var good, half atomic.Bool
	s := newRawService(t, func(conn net.Conn, _ *http.Request) bool {
		switch {
		case half.Load():
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
		case good.Load():
			io.WriteString(conn, okAnswer)
			return true
		}
		conn.Close()
		return false
	})
	log, clock := &said{}, &tokenjartest.Clock{}
	app := tokenjartest.New(t, tokenjartest.Config{Clock: clock})
	p, err := proxy.New(proxy.Config{
		PublicURL: app.URL, Logger: slog.New(slog.NewTextHandler(log, nil)), Now: clock.Now,
		Routes: []proxy.Route{{Path: "/a", Upstream: s.URL, Auth: proxy.None}, {Path: "/b", Upstream: s.URL, Auth: proxy.None}},
	})
	if err != nil {
		t.Fatal(err)
	}
	app.Serve(p)
	asked := 0
	for _, c := range []struct {
		name   string
		wait   time.Duration
		asks   int
		good   bool
		half   bool
		status int
		want   []string // of the only line
	}{
		{"it goes away", 0, 50, false, false, 502, []string{"level=ERROR", `"a service does not answer"`, "times=1 ", "it ended the connection"}},
		{"it is away", 5 * time.Second, 50, false, false, 502, nil},
		{"it is away for long", 10 * time.Second, 50, false, false, 502, []string{`"a service does not answer"`, "times=100 "}},
		{"it is back", 0, 20, true, false, 200, []string{"level=INFO", `"a service answers again"`}},
		{"it goes away again at once", 0, 20, false, false, 502, nil},
		{"and is still away", 11 * time.Second, 20, false, false, 502, []string{"times=70 "}},
		{"it is back for good", time.Hour, 20, true, false, 200, []string{`"a service answers again"`}},
		{"it breaks off", 0, 20, true, true, 200, []string{`"a service broke off its answer"`, "times=1 "}},
		{"and again", 10 * time.Second, 20, true, true, 200, []string{"times=20 "}},
	} {
		clock.Advance(c.wait)
		good.Store(c.good)
		half.Store(c.half)
		for i := range c.asks {
			if got := ask(app, "POST", []string{"/a", "/b"}[i%2], strings.NewReader("x")); got.status != c.status {
				t.Fatalf("%s: got %d", c.name, got.status)
			}
		}
		if !c.good {
			asked += c.asks
		}
		lines := log.take()
		if len(lines) != 1 || (lines[0] == "") != (c.want == nil) {
			t.Errorf("%s: got %q", c.name, lines)
		}
		for _, part := range c.want {
			if !strings.Contains(lines[0], part) {
				t.Errorf("%s: %q is not in %q", c.name, part, lines[0])
			}
		}
		if st := p.Stats(); st.Unavailable != int64(asked) {
			t.Errorf("%s: %d are counted, want %d", c.name, st.Unavailable, asked)
		}
	}
	if st := p.Stats(); st.BrokenOff != 40 {
		t.Errorf("%d broken answers are counted", st.BrokenOff)
	}
}
