package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/metrics"
	"github.com/tokenjar/tokenjar/internal/sample"
	"github.com/tokenjar/tokenjar/internal/spa"
	"github.com/tokenjar/tokenjar/internal/ui"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/session"
)

// A frontend is one address under which browsers know us, with everything that hangs on it: its own origin, the names and
// attributes of its cookies, its API, routes and pages. The first is that of public_url, further ones are those of the list
// frontends. The Host field alone says which one a request is for, before anything else is looked at.
//
// All of them are fronts of one service. Users, sessions and keys are the same, and tokens have one issuer and audience,
// those of public_url. What keeps a session to its frontend is the browser: a cookie without a domain goes back to the host
// that set it and to no other. Whoever copies his own cookie to another frontend by hand is there who he is here, with the
// same session, and gains nothing, since he could sign in there as well: a frontend is a front and no wall. Where some users
// must not use what is behind one, its services have to look at who it is. A page of one frontend can do nothing at another:
// its origin is foreign there, unless csrf.trusted_origins or cors.allowed_origins name it.
type frontend struct {
	publicURL string
	origin    string
	hosts     []string // values of the Host field
	https     bool
	guard     *session.Guard
	api       *httpapi.API
	proxy     *proxy.Proxy              // nil when there are no routes
	dev       *proxy.Proxy              // to the application's development server; nil when there is none
	spa       *spa.Site                 // nil when there is none
	site      *ui.Site                  // the embedded page, where there is neither; nil otherwise
	label     string                    // before the names of its routes in metrics
	counted   map[string]*metrics.Route // its routes in metrics, by their paths
}

// newFrontend builds the frontend of a public URL, with its pages and routes. The first one is that of public_url.
func (s *Server) newFrontend(cfg config.Config, in config.Frontend, opts Options) (*frontend, error) {
	public, err := url.Parse(in.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public_url: %w", err)
	}
	f := &frontend{publicURL: in.PublicURL, hosts: hosts(public), https: public.Scheme == "https"}
	if f.origin, err = csrf.SerializeOrigin(public); err != nil {
		return nil, fmt.Errorf("public_url: %w", err)
	}
	for _, host := range f.hosts {
		if s.frontendOf(host) != nil {
			return nil, fmt.Errorf("public_url: %s is another frontend's as well", in.PublicURL)
		}
	}
	if len(s.frontends) > 0 {
		f.label = f.hosts[0]
	}
	cookies, err := cookie.New(cfg.CookieConfig(f.publicURL))
	if err != nil {
		return nil, err
	}
	if f.guard, err = session.New(s.guardConfig(cfg, f.publicURL, cookies, opts)); err != nil {
		return nil, err
	}
	if f.api, err = httpapi.New(s.apiConfig(cfg, f.guard, opts)); err != nil {
		return nil, err
	}
	if len(in.Routes) > 0 {
		if f.proxy, err = proxy.New(s.proxyConfig(cfg, f, in.Routes)); err != nil {
			return nil, err
		}
		f.counted = make(map[string]*metrics.Route, len(in.Routes))
		for _, r := range in.Routes {
			f.counted[r.Path] = s.metrics.Route(f.label + r.Path)
		}
		s.metrics.FollowProxy(f.proxy.Stats) // not that of a development server, whose streams are nobody's session
	}
	return f, s.addPages(f, cfg, in.SPA, opts)
}

// addPages gives a frontend its pages: the application's, from its folder or development server, or else the embedded one.
func (s *Server) addPages(f *frontend, cfg config.Config, in config.SPA, opts Options) (err error) {
	switch {
	case in.Dir != "" && in.DevServer != "":
		return errors.New("spa: dir and dev_server are both set: remove one")
	case in.DevServer != "":
		if f.dev, err = proxy.New(s.devConfig(f, in.DevServer)); err != nil {
			return fmt.Errorf("spa.dev_server: %w", err)
		}
	case in.Dir != "":
		f.spa, err = spa.Open(spa.Config{Dir: in.Dir, PublicURL: f.publicURL, Sources: in.CSP, Logger: s.log})
	default:
		page := ui.Options{AuthPath: cfg.Auth.Path, CSRFCookie: f.guard.Cookies().CSRFName()}
		if opts.Demo != nil && f.label == "" {
			page.Demo, page.SampleAPI = true, sample.Path
			page.Username, page.Password = opts.Demo.Username, opts.Demo.Password
		}
		f.site, err = ui.Handler(page)
	}
	return err
}

// endStreams ends the streams of all frontends, before the server stops. Each waits a moment for its clients.
func (s *Server) endStreams() {
	var ending sync.WaitGroup
	defer ending.Wait()
	for _, f := range s.frontends {
		for _, p := range []*proxy.Proxy{f.proxy, f.dev} {
			if p != nil {
				ending.Go(p.Stop)
			}
		}
	}
}

// A room is where a path leads.
type room int

const (
	nowhere room = iota
	apiRoom
	siteRoom
	proxyRoom
	spaRoom
	devRoom
)

// A place is a room and, of the proxy's, the route.
type place struct {
	room  room
	route string
}

// placeOf says where a canonical path leads. It is asked about other readings of the same path as well, so it looks at
// nothing but its argument.
//
// What is ours comes first, then the routes, then pages; an application takes whatever is left.
func (f *frontend) placeOf(path string) place {
	if f.api.Owns(path) {
		return place{room: apiRoom}
	}
	if f.proxy != nil {
		if route := f.proxy.RouteOf(path); route != "" {
			return place{proxyRoom, route}
		}
	}
	switch {
	case f.dev != nil:
		return place{room: devRoom}
	case f.spa != nil:
		return place{room: spaRoom}
	case f.site.Has(path):
		return place{room: siteRoom}
	}
	return place{}
}

// takesSlashes reports whether encoded slashes may lead to a room: the proxy asks its route, and an application may have
// them in the addresses of its pages.
func (r room) takesSlashes() bool { return r == proxyRoom || r == spaRoom || r == devRoom }

// isShared reports whether pages of listed origins may read what is answered there. Pages are nobody's to read but a
// browser's that opens them.
func (r room) isShared() bool { return r != siteRoom && r != spaRoom && r != devRoom }

// routeOf returns under which name a request is counted. There are as many names as there are routes, whatever is asked for.
func (s *Server) routeOf(f *frontend, at place, path string) *metrics.Route {
	switch at.room {
	case nowhere:
		return s.patterns.other
	case proxyRoom:
		return f.counted[at.route]
	case spaRoom, devRoom:
		return s.spaRoute
	}
	return s.patterns.of(path)
}

// serve takes a request to its room. The path is the canonical one that was judged. A preflight ends here.
func (f *frontend) serve(w http.ResponseWriter, r *http.Request, at place) {
	switch at.room {
	case proxyRoom:
		f.proxy.ServeHTTP(w, r)
	case apiRoom:
		f.api.ServeHTTP(w, r)
	case spaRoom:
		f.spa.ServeHTTP(w, r)
	case devRoom:
		f.serveDev(w, r)
	case siteRoom:
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem.Write(w, r, problem.New(problem.MethodNotAllowed))
			return
		}
		f.site.ServeHTTP(w, r)
	default:
		problem.Write(w, r, problem.New(problem.NotFound))
	}
}

// addresses are where we listen ourselves, and no service can be.
func (s *Server) addresses() []string {
	all := []string{s.listener.Addr().String()}
	if s.admin != nil {
		all = append(all, s.admin.Addr().String())
	}
	return all
}

// publicURL returns the public URL of the server that listens on a port.
func publicURL(cfg config.Config, port int) string { return strings.TrimSuffix(cfg.URL(port), "/") }
