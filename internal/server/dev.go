package server

import (
	"time"

	"github.com/tokenjar/tokenjar/proxy"
)

// While an application is written its pages come from a development server, which makes them anew at each change and tells the
// page by a WebSocket. It trusts whoever reaches it: it serves the sources, and some of its addresses start programs. So
// nothing but our own pages and a person's browser window gets there (dev_gate.go), and nothing of a session: our cookies, the
// CSRF token and the client's Authorization are removed, as for a service without tokens.
//
// Its answers have its own headers and none of ours but the request id, and two that keep them from other sites: it writes
// scripts and styles into pages, which our policy would switch off.

// devTimeout is from a request to the head of its answer: the first one may wait until all that is imported has been built.
const devTimeout = 5 * time.Minute

// devConfig leads everything to a development server. Vite looks at the Host field, against pages that have a name lead to it
// (DNS rebinding); it gets its own.
func (s *Server) devConfig(f *frontend, address string) proxy.Config {
	return proxy.Config{
		Guard: f.guard, PublicURL: f.publicURL, ClientIP: s.clientIP, Logger: s.log, Self: s.addresses(),
		Routes: []proxy.Route{{
			Path: "/", Upstream: address, Auth: proxy.None, EncodedSlash: true, WebSocket: true, MaxBody: -1,
			StripHeaders: []string{"X-CSRFToken"}, HeaderTimeout: devTimeout,
		}},
	}
}
