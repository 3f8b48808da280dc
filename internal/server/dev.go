package server

import (
	"net/http"
	"time"

	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/request"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
)

// While an application is written its pages come from a development server, which makes them anew at each change and tells the
// page by a WebSocket. It trusts whoever reaches it: it serves the sources, and some of its addresses start programs. So
// nothing but our own pages and a person's browser window gets there, and nothing of a session: our cookies, the CSRF token and
// the client's Authorization are removed, as for a service without tokens.
//
// Its answers have its own headers and none of ours but the request id: it writes scripts and styles into pages, which our policy
// would switch off.

// devTimeout is from a request to the head of its answer: the first one may wait until all that is imported has been built.
const devTimeout = 5 * time.Minute

// devConfig leads everything to a development server. Vite looks at the Host field, against pages that have a name lead to it
// (DNS rebinding); it gets its own.
func (s *Server) devConfig(f *frontend, address string) proxy.Config {
	return proxy.Config{
		Guard: f.guard, PublicURL: f.publicURL, ClientIP: s.proxies.ClientIP, Logger: s.log, Self: s.addresses(),
		Routes: []proxy.Route{{
			Path: "/", Upstream: address, Auth: proxy.None, EncodedSlash: true, WebSocket: true, MaxBody: -1,
			StripHeaders: []string{"X-CSRFToken"}, HeaderTimeout: devTimeout,
		}},
	}
}

// serveDev lets through what our own pages ask for, and pages that a person opens.
func (f *frontend) serveDev(w http.ResponseWriter, r *http.Request) {
	if err := f.fromOwnPage(r); err != nil {
		problem.Write(w, r, err)
		return
	}
	f.dev.ServeHTTP(w, r)
}

// nobodyElse trusts no origin beside our own.
var nobodyElse, _ = csrf.NewOrigins(nil)

// fromOwnPage refuses what a page of another origin sends, by rule 1 (package csrf) and, since reading is enough here, also
// when the request would change nothing.
func (f *frontend) fromOwnPage(r *http.Request) error {
	if len(r.Header["Upgrade"]) > 0 {
		return nobodyElse.CheckHandshake(r.Header, f.origin)
	}
	if !request.IsSafe(r.Method) {
		return nobodyElse.Check(r.Header, f.origin)
	}
	sites := r.Header["Sec-Fetch-Site"]
	own := len(sites) == 0 || len(sites) == 1 && (sites[0] == "same-origin" || sites[0] == "none")
	opened := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	if !own && !opened {
		return problem.New(problem.OriginNotAllowed).WithDetail("The development server answers the application's own pages alone.")
	}
	return nil
}
