package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// An eventService sends what the test tells it to, and says when a request of it is over.
type eventService struct {
	*httptest.Server
	kind  string        // content type
	size  string        // Content-Length, "" for none
	say   chan string   // to the newest request
	over  chan struct{} // one for each request that has ended
	asked atomic.Int64
}

func newEventService(t *testing.T) *eventService {
	s := &eventService{kind: "text/event-stream", say: make(chan string), over: make(chan struct{}, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { s.over <- struct{}{} }()
		s.asked.Add(1)
		w.Header().Set("Content-Type", s.kind)
		if s.size != "" {
			w.Header().Set("Content-Length", s.size)
		}
		c := http.NewResponseController(w)
		c.Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case text := <-s.say:
				switch text {
				case "end":
					return
				case "die":
					panic(http.ErrAbortHandler)
				}
				io.WriteString(w, text)
				c.Flush()
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A stream is an event stream as a browser has it.
type stream struct {
	*http.Response
	lines *bufio.Reader
	leave context.CancelFunc
	t     *testing.T
}

func listen(t *testing.T, app *tokenjartest.App, c *tokenjartest.Client, path string) *stream {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), patience)
	t.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, "GET", app.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("%s: %d %s", path, res.StatusCode, body)
	}
	return &stream{res, bufio.NewReader(res.Body), leave, t}
}

// want fails the test unless that is what comes next.
func (s *stream) want(text string) {
	s.t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(s.lines, got); err != nil || string(got) != text {
		s.t.Fatalf("got %q and %v, want %q", got, err, text)
	}
}

// wantEnd fails the test unless the stream ends, cleanly or not.
func (s *stream) wantEnd(clean bool) {
	s.t.Helper()
	if rest, err := io.ReadAll(s.lines); (err == nil) != clean || len(rest) > 0 {
		s.t.Errorf("got %q and %v, want a clean end: %v", rest, err, clean)
	}
}

func TestAnEventIsThereWhenItWasSent(t *testing.T) {
	for name, c := range map[string]struct {
		kind, size string
		sse        bool
	}{
		"an event stream":                       {kind: "text/event-stream"},
		"an event stream with a parameter":      {kind: "Text/Event-Stream; charset=utf-8"},
		"another type on a route of streams":    {kind: "application/x-ndjson", sse: true},
		"a known length on a route of streams":  {kind: "application/json", size: "1000000", sse: true},
		"another type whose length is not told": {kind: "application/x-ndjson"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newEventService(t)
			s.kind, s.size = c.kind, c.size
			app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/events", Upstream: s.URL, SSE: c.sse})
			ada := app.SignIn("ada")
			events := listen(t, app, ada, "/events") // the head is there although nothing was said
			for i := range 3 {
				text := fmt.Sprintf("data: %d\n\n", i)
				s.say <- text
				events.want(text)
			}
			isStream := c.sse || strings.Contains(strings.ToLower(c.kind), "event-stream")
			if st := p.Stats(); (st.EventStreams == 1) != isStream {
				t.Errorf("counts: %+v", st)
			}
			if !isStream {
				return
			}
			ada.Tab().SignOut()
			events.wantEnd(c.size == "") // less than was promised is never a clean end
			<-s.over
			settled(t, p)
			if st := p.Stats(); st.StreamsOpened != 1 || st.StreamsEnded != 1 || st.BrokenOff != 0 {
				t.Errorf("counts: %+v", st)
			}
			ada.Get("/events").Want(401) // what EventSource asks next
		})
	}
}

func TestAnEventStreamEndsWhenItsServiceSaysSo(t *testing.T) {
	s := newEventService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/events", Upstream: s.URL})
	ada := app.SignIn("ada")
	events := listen(t, app, ada, "/events")
	s.say <- "data: last\n\n"
	events.want("data: last\n\n")
	s.say <- "end"
	events.wantEnd(true)
	<-s.over
	events = listen(t, app, ada, "/events")
	s.say <- "data: half"
	events.want("data: half")
	s.say <- "die"
	events.wantEnd(false)
	settled(t, p)
	if st := p.Stats(); st.StreamsEnded != 0 || st.BrokenOff != 1 {
		t.Errorf("counts: %+v", st)
	}
}

func TestAnEventStreamAfterAChangeOfRolesIsOpenedAnew(t *testing.T) { // S-06
	s := newEventService(t)
	app, _ := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/events", Upstream: s.URL})
	ada := app.SignIn("ada")
	events := listen(t, app, ada, "/events")
	if err := app.Service.SetUserRoles(t.Context(), ada.User.ID, rolesOfStaff); err != nil {
		t.Fatal(err)
	}
	events.wantEnd(true)
	<-s.over                                // so that the next event is the next stream's
	events = listen(t, app, ada, "/events") // renewed on the way
	s.say <- "data: again\n\n"
	events.want("data: again\n\n")
}

func TestASilentEventStreamIsNotCutOff(t *testing.T) {
	t.Parallel() // it waits
	s := newEventService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{Piece: tolerant}, proxy.Route{Path: "/events", Upstream: s.URL, IdleTimeout: 20 * time.Millisecond})
	events := listen(t, app, app.SignIn("ada"), "/events")
	time.Sleep(tolerant + 10*20*time.Millisecond) // the silence that is the matter
	s.say <- "data: at last\n\n"
	events.want("data: at last\n\n")
	if st := p.Stats(); st.BrokenOff != 0 || st.EventStreams != 1 {
		t.Errorf("counts: %+v", st)
	}
}

func TestAServiceIsToldWhenItsListenerLeaves(t *testing.T) { // P-39
	s := newEventService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/events", Upstream: s.URL})
	events := listen(t, app, app.SignIn("ada"), "/events")
	events.leave()
	select {
	case <-s.over:
	case <-time.After(patience):
		t.Error("the service is still at work")
	}
	settled(t, p)
	if st := p.Stats(); st.StreamsEnded != 0 || st.BrokenOff != 0 || st.Unavailable != 0 {
		t.Errorf("counts: %+v", st)
	}
}

func TestAListenerThatReadsNothingIsLetGo(t *testing.T) {
	t.Parallel() // it waits
	stopped := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(stopped)
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			w.Write(make([]byte, 64<<10))
		}
	}))
	t.Cleanup(s.Close)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{Piece: tolerant}, proxy.Route{Path: "/events", Upstream: s.URL})
	listen(t, app, app.SignIn("ada"), "/events")
	<-stopped
	settled(t, p)
}

func TestStreamsTakeNoPlacesOfRequests(t *testing.T) {
	s := newEventService(t)
	other := newService(t)
	mux := http.NewServeMux() // one service with both
	mux.Handle("/events", s.Config.Handler)
	mux.Handle("/", other.Config.Handler)
	both := httptest.NewServer(mux)
	t.Cleanup(both.Close)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/", Upstream: both.URL, MaxRequests: 1, MaxStreams: 3})
	ada := app.SignIn("ada")
	var open []*stream
	for range 3 {
		open = append(open, listen(t, app, ada, "/events"))
	}
	ada.Get("/x").Want(200)
	if a := ada.Get("/events").Want(503); a.Code() != "upstream_unavailable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %v", a.Header)
	}
	ada.Get("/x").Want(200)
	if st := p.Stats(); st.EventStreams != 3 || st.Refused != 1 {
		t.Errorf("counts: %+v", st)
	}
	before := p.Counted("/events")
	open[0].leave()
	until(t, "a stream less is counted", func() bool { return p.Counted("/events") == before-2 })
	listen(t, app, ada, "/events")
}

func TestAStopEndsEventStreams(t *testing.T) {
	s := newEventService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/events", Upstream: s.URL})
	ada := app.SignIn("ada")
	events := listen(t, app, ada, "/events")
	p.Stop()
	events.wantEnd(true)
	if st := p.Stats(); st.EventStreams != 0 || st.StreamsEnded != 0 {
		t.Errorf("counts: %+v", st)
	}
	if a := ada.Get("/events").Want(503); a.Code() != "store_unavailable" {
		t.Errorf("a stream after it: %v", a.Header)
	}
}

// A node that cannot learn of revocations lets nobody in, and keeps nobody in.
func TestANodeThatIsCutOffClosesItsStreams(t *testing.T) { // F-27
	var down atomic.Bool
	ws, sse := newSocketService(t), newEventService(t)
	app, p := newTimedApp(t, tokenjartest.Config{Service: func(c *tokenjar.Config) {
		c.Store = storehook.Wrap(c.Store.(storehook.All), func(ctx context.Context, call string, do func(context.Context) error) error {
			if down.Load() && call == "News" {
				return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
			}
			return do(ctx)
		})
	}}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: ws.URL, WebSocket: true}, proxy.Route{Path: "/events", Upstream: sse.URL})
	ada := app.SignIn("ada")
	client, service := connect(t, app, ada, ws)
	events := listen(t, app, ada, "/events")
	down.Store(true)
	app.Clock.Advance(tokenjar.MaxStaleness + time.Second)
	client.wantClose(1013, "store_unavailable")
	service.wantClose(1001, "")
	client.Close()
	service.Close()
	events.wantEnd(true)
	settled(t, p)
	ada.Get("/events").Want(503)
}

// Many streams and one sign-out: all end, all others go on, and nothing is left.
func TestManyStreamsEndWithOneSession(t *testing.T) {
	ws := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: ws.URL, WebSocket: true})
	ada, eve := app.SignIn("ada"), app.SignIn("eve")
	evesClient, evesService := connect(t, app, eve, ws)
	before := runtime.NumGoroutine()
	var clients, services []*peer
	for range 40 {
		c, s := connect(t, app, ada, ws)
		clients, services = append(clients, c), append(services, s)
	}
	ada.SignOut()
	for i := range clients {
		clients[i].wantClose(4401, "session_ended")
		services[i].wantClose(1001, "")
		clients[i].Close()
		services[i].Close()
	}
	for begin := time.Now(); p.Stats().WebSockets != 1 || runtime.NumGoroutine() > before+5; time.Sleep(time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("%+v, %d goroutines, %d before", p.Stats(), runtime.NumGoroutine(), before)
		}
	}
	evesClient.send(text, "still here")
	evesService.want(text, "still here")
}
