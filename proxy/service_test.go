package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// What routes to one service share.

func TestRoutesToOneServiceShareItsConnections(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*proxy.Route)
		shared bool
	}{
		{"alike", func(*proxy.Route) {}, true},
		{"another spelling of the address", func(r *proxy.Route) { r.Upstream = strings.Replace(r.Upstream, "http:", "HTTP:", 1) + "/" }, true},
		{"another path of the service", func(r *proxy.Route) { r.Upstream += "/v2" }, true},
		{"other rules", func(r *proxy.Route) { r.StripPrefix, r.MaxBody, r.MaxRequests, r.SSE = true, -1, 7, true }, true},
		{"another time to wait for an answer", func(r *proxy.Route) { r.HeaderTimeout = time.Minute }, false},
		{"another time for a pause", func(r *proxy.Route) { r.IdleTimeout = 2 * time.Minute }, false},
	} {
		for _, method := range []string{"GET", "POST"} { // by two ways to the service
			t.Run(c.name+", "+method, func(t *testing.T) {
				var mu sync.Mutex
				came := map[string]map[string]bool{} // what came over each connection
				s := newRawService(t, func(conn net.Conn, r *http.Request) bool {
					mu.Lock()
					defer mu.Unlock()
					peer := conn.RemoteAddr().String()
					if came[peer] == nil {
						came[peer] = map[string]bool{}
					}
					came[peer][r.Header.Get("X-Route")] = true
					io.WriteString(conn, okAnswer)
					return true
				})
				other := proxy.Route{Path: "/b", Upstream: s.URL, Auth: proxy.None}
				c.change(&other)
				app, _ := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/a", Upstream: s.URL, Auth: proxy.None}, other)
				for range 3 {
					for _, path := range []string{"/a", "/b"} {
						var body io.Reader
						if method == "POST" {
							body = strings.NewReader("body")
						}
						got := ask(app, method, path, body, func(r *http.Request) { r.Header.Set("X-Route", path) })
						if got.status != 200 || got.body != "ok" {
							t.Fatalf("got %d %q, %v", got.status, got.body, got.err)
						}
					}
				}
				mu.Lock()
				defer mu.Unlock()
				shared := false
				for _, routes := range came {
					shared = shared || len(routes) == 2
				}
				if shared != c.shared {
					t.Errorf("over each connection came %v", came)
				}
			})
		}
	}
}

func TestRoutesToOneServiceShareItsPlaces(t *testing.T) { // whatever their timeouts
	hanging := newRawService(t, saying(""))
	other := proxy.Route{Path: "/b", Upstream: hanging.URL + "/b", Auth: proxy.None, MaxRequests: 2, HeaderTimeout: 2 * time.Hour}
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/a", Upstream: hanging.URL, Auth: proxy.None, HeaderTimeout: time.Hour}, other)
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, path := range []string{"/a", "/b"} {
		clients.Go(func() { ask(app, "GET", path, nil, func(r *http.Request) { *r = *r.WithContext(ctx) }) })
	}
	until(t, "both requests are there", func() bool { return hanging.requests.Load() == 2 })
	for _, path := range []string{"/a", "/b"} {
		if got := ask(app, "GET", path, nil); got.status != 503 {
			t.Errorf("%s: got %d", path, got.status)
		}
	}
	leave()
	clients.Wait()
	hanging.idle(t)
	if st := p.Stats(); st.Refused != 2 {
		t.Errorf("counts: %+v", st)
	}
}
