package proxy_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenjar/tokenjar/proxy"
)

// P-42: requests do not go round, neither by ourselves nor by way of another of us, whatever the client says of hops.
func TestRequestsDoNotGoRound(t *testing.T) {
	for name, proxies := range map[string]int{"by ourselves": 1, "by way of another": 2, "by way of two others": 3} {
		t.Run(name, func(t *testing.T) {
			handlers := make([]atomic.Pointer[proxy.Proxy], proxies)
			var requests atomic.Int64
			var servers []*httptest.Server
			for i := range proxies {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if requests.Add(1) > 100 {
						w.WriteHeader(http.StatusTeapot)
						return
					}
					handlers[i].Load().ServeHTTP(w, r)
				}))
				defer s.Close()
				servers = append(servers, s)
			}
			for i := range proxies {
				p, err := proxy.New(proxy.Config{PublicURL: servers[i].URL, Logger: slog.New(slog.DiscardHandler),
					Routes: []proxy.Route{{Path: "/", Upstream: servers[(i+1)%proxies].URL, Auth: proxy.None}}})
				if err != nil {
					t.Fatal(err)
				}
				handlers[i].Store(p)
			}
			for _, hops := range []string{"", "x", strings.Repeat("A", 26), strings.Repeat(strings.Repeat("A", 26)+" ", 7), strings.Repeat("A ", 5000)} {
				requests.Store(0)
				r, err := http.NewRequest("GET", servers[0].URL+"/x", nil)
				if err != nil {
					t.Fatal(err)
				}
				if hops != "" {
					r.Header.Set("X-Tokenjar-Hop", hops)
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if n := requests.Load(); res.StatusCode != http.StatusLoopDetected || n > 2*int64(proxies)+1 {
					t.Errorf("with %.60q: %d after %d requests", hops, res.StatusCode, n)
				}
			}
		})
	}
}
