package proxy_test

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// One client that asks for all a service can give.

// newSharedApp serves routes to clients who are where their X-Test-Address says.
func newSharedApp(t *testing.T, routes ...proxy.Route) (*tokenjartest.App, *proxy.Proxy) {
	t.Helper()
	app := tokenjartest.New(t, tokenjartest.Config{})
	p, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: routes,
		ClientIP: func(r *http.Request) string { return r.Header.Get("X-Test-Address") }})
	if err != nil {
		t.Fatal(err)
	}
	p.SetTiming(proxy.Timing{Closing: quick}) // for services' ends that nobody closes
	app.Serve(p)
	return app, p
}

func at(address string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Test-Address", address) }
}

// A crowd are requests that are under way until they are told to leave.
type crowd struct {
	t     *testing.T
	app   *tokenjartest.App
	path  string
	ctx   context.Context
	leave context.CancelFunc
	all   sync.WaitGroup
}

func newCrowd(t *testing.T, app *tokenjartest.App) *crowd {
	ctx, leave := context.WithCancel(t.Context())
	c := &crowd{t: t, app: app, path: "/x", ctx: ctx, leave: leave}
	t.Cleanup(c.gone)
	return c
}

// gone returns when all have left.
func (c *crowd) gone() {
	c.leave()
	c.all.Wait()
}

// come sends n requests and returns when the service has them.
func (c *crowd) come(s *rawService, who *tokenjartest.Client, n int, change func(*http.Request)) {
	before := s.requests.Load()
	for range n {
		r, err := http.NewRequestWithContext(c.ctx, "GET", c.app.URL+c.path, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		change(r)
		c.all.Go(func() {
			res, err := who.HTTP.Do(r)
			if err == nil {
				res.Body.Close()
			}
			if c.ctx.Err() == nil {
				c.t.Errorf("one of the crowd got %v and %v", res, err)
			}
		})
	}
	for s.requests.Load() < before+int64(n) && !c.t.Failed() {
		runtime.Gosched()
	}
}

func TestNoClientHoldsAllPlacesOfAService(t *testing.T) {
	s := newRawService(t, saying(""))
	app, p := newSharedApp(t, proxy.Route{Path: "/x", Upstream: s.URL, Auth: proxy.Optional, MaxRequests: 80, HeaderTimeout: time.Hour})
	ada, phone, eve, stranger := app.SignIn("ada"), app.SignIn("ada"), app.SignIn("eve"), app.Anonymous()
	home, other := at("2001:db8:1:2::1"), at("2001:db8:1:3::1")
	turnedAway := func(who *tokenjartest.Client, change func(*http.Request)) {
		t.Helper()
		a := who.Get("/x", change).Want(429)
		if a.Code() != problem.RateLimited || a.Header.Get("Retry-After") == "" {
			t.Errorf("got %s, Retry-After %q", a.Code(), a.Header.Get("Retry-After"))
		}
	}
	first, second := newCrowd(t, app), newCrowd(t, app)
	first.come(s, ada, 20, home)
	turnedAway(ada, home)
	turnedAway(ada, other)                           // it is the session that counts
	turnedAway(phone, other)                         // and its user
	second.come(s, stranger, 40, home)               // who is not signed in is another
	turnedAway(stranger, at("2001:db8:1:2:ffff::7")) // another address of the same network
	second.come(s, eve, 19, home)
	second.come(s, stranger, 1, other)
	if a := eve.Get("/x", home).Want(503); a.Code() != problem.UpstreamUnavailable { // now all are taken
		t.Errorf("got %s", a.Code())
	}
	if st := p.Stats(); st.Limited != 4 || st.Refused != 1 {
		t.Errorf("counts: %+v", st)
	}
	first.gone()
	until(t, "eve is held, as a session and a user, and two networks", func() bool { return p.Held() == 4 })
	third := newCrowd(t, app)
	third.come(s, phone, 20, home)
	third.gone()
	second.gone()
	s.idle(t)
	until(t, "nobody is held", func() bool { return p.Held() == 0 })
}

func TestARouteIsNotShutByWhatGoesOnBehindAnother(t *testing.T) {
	s := newRawService(t, saying(""))
	app, _ := newSharedApp(t, proxy.Route{Path: "/x", Upstream: s.URL, MaxRequests: 80, MaxPerSession: 40, HeaderTimeout: time.Hour},
		proxy.Route{Path: "/y", Upstream: s.URL, HeaderTimeout: time.Hour})
	ada, home := app.SignIn("ada"), at("192.0.2.1")
	reports := newCrowd(t, app)
	reports.come(s, ada, 39, home)
	quick := newCrowd(t, app)
	quick.path = "/y"
	quick.come(s, ada, 1, home)
	ada.Get("/y", home).Want(429)
	ada.Get("/x", home).Want(429)
}

func TestNoClientHoldsAllStreamsOfARoute(t *testing.T) {
	sockets, events := newSocketService(t), newEventService(t)
	app, p := newSharedApp(t,
		proxy.Route{Path: "/ws", Upstream: sockets.URL, WebSocket: true, Auth: proxy.Optional, MaxStreams: 40},
		proxy.Route{Path: "/events", Upstream: events.URL, MaxStreams: 40, MaxPerSession: 3, MaxRequests: 4},
	)
	ada, eve := app.SignIn("ada"), app.SignIn("eve")
	var open []*peer
	for range 16 {
		client, _ := connect(t, app, ada, sockets)
		open = append(open, client)
	}
	refused, status := handshake(t, app, ada, "/ws/chat")
	if status != 429 || refused.answer.Header.Get("X-Tokenjar-Problem") != "rate_limited" || refused.answer.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %v", status, refused.answer.Header)
	}
	connect(t, app, eve, sockets)
	for range 20 {
		connect(t, app, app.Anonymous(), sockets, "X-Test-Address: 192.0.2.1")
	}
	if _, status := handshake(t, app, app.Anonymous(), "/ws/chat", "X-Test-Address: 192.0.2.1"); status != 429 {
		t.Errorf("a stranger's stream: %d", status)
	}
	connect(t, app, app.Anonymous(), sockets, "X-Test-Address: 192.0.2.2")
	before := p.Counted("/ws")
	open[0].Close()
	until(t, "a stream less is counted", func() bool { return p.Counted("/ws") == before-2 })
	connect(t, app, ada, sockets)

	var streams []*stream
	for range 3 {
		streams = append(streams, listen(t, app, ada, "/events"))
	}
	if a := ada.Get("/events").Want(429); a.Code() != problem.RateLimited {
		t.Errorf("got %s", a.Code())
	}
	listen(t, app, eve, "/events")
	before = p.Counted("/events")
	streams[0].leave()
	until(t, "a stream less is counted", func() bool { return p.Counted("/events") == before-2 })
	listen(t, app, ada, "/events")
	if st := p.Stats(); st.Limited != 3 || st.Refused != 0 {
		t.Errorf("counts: %+v", st)
	}
}
