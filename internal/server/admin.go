package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/problem"
)

// The admin listener serves those who run the server: metrics, health, and a proxy that asks who may pass, on an address of its
// own that browsers do not reach. It is off by default. Nothing of it is on the public listener.

// listenAdmin returns nil when no address is set.
func listenAdmin(cfg config.Config) (net.Listener, error) {
	if cfg.Admin.Listen == "" {
		return nil, nil
	}
	if config.SameListener(cfg.Listen, cfg.Admin.Listen) {
		return nil, errors.New("admin.listen: must not be the address of listen, or metrics would be public: use another " +
			"port, as 127.0.0.1:9090")
	}
	listener, err := net.Listen("tcp", cfg.Admin.Listen)
	if err != nil { // not wrapped: what can be done about an address that is taken is said of the public one
		return nil, fmt.Errorf("admin.listen: %v", err)
	}
	return listener, nil
}

// AdminAddr returns the address of the admin listener, nil if there is none.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.Addr()
}

// adminHandler serves the four paths and nothing else. Requests are not logged: they come every few seconds, and they
// change nothing. What a proxy asks about is: it is a client's request.
func (s *Server) adminHandler() http.Handler {
	scrape := s.metrics.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(tokenjar.ContextWithLogger(r.Context(), s.log))
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch path := r.URL.EscapedPath(); {
		case s.asked.asks(r):
			s.asked.ServeHTTP(w, r)
		case path == "/metrics":
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				h.Set("Allow", "GET, HEAD")
				problem.Write(w, r, problem.New(problem.MethodNotAllowed))
				return
			}
			scrape.ServeHTTP(w, r)
		case path == "/healthz", path == "/readyz":
			s.main().api.ServeHTTP(w, r)
		default:
			problem.Write(w, r, problem.New(problem.NotFound))
		}
	})
}
