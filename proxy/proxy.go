package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/session"
)

// Config is what a [Proxy] is made of. Routes and PublicURL are required, and Guard unless every route has Auth [None].
type Config struct {
	// Guard judges who sends a request.
	Guard *session.Guard
	// PublicURL is the address under which browsers know us: what services are told in X-Forwarded-Host and -Proto.
	PublicURL string
	// Routes lead to services. The longest path that matches wins, whatever the order.
	Routes []Route
	// LoginPage is where a browser is sent that opens a page of a route of Auth [Required] without being signed in: a path of
	// our own origin. It gets the path it wanted as "next". Default: "", and the answer is 401.
	LoginPage string
	// ClientIP tells a request's client address. Default: that of the guard.
	ClientIP func(*http.Request) string
	// Self are addresses, as host:port, on which we listen: no service may be there.
	Self []string
	// Transport makes the connections to the services. Default: HTTP/1.1; routes to one service share its connections, if
	// they have the same timeouts.
	// An http.Transport takes what a service sends unasked for the next answer, in a moment between two requests, unless
	// its DisableKeepAlives is set; the default looks first.
	Transport http.RoundTripper
	// Logger is told of services that fail, at most every ten seconds of each, and of what is less safe than usual. Default:
	// slog.Default().
	Logger *slog.Logger
	// Now is the clock by which it is told. Default: time.Now.
	Now func() time.Time
	// Announced says that the program has told its operator of every route with InsecureSkipCSRF or Token [Forward], so that
	// New need not.
	Announced bool
}

// A Proxy leads requests to services. It is an http.Handler, safe for concurrent use.
type Proxy struct {
	routes    []*route // the longest path first
	host      string   // ours, as services are told
	scheme    string
	forwarded string // the end of the Forwarded field, which says both
	client    func(*http.Request) string
	log       *slog.Logger
	service   *tokenjar.Service
	id        string // of this process, by which it knows its own requests when they come back
	buffers   buffers
	now       func() time.Time
	seeds     seeds
	stats     stats
	timing    timing

	streams  openStreams
	stopping context.Context
	stop     context.CancelCauseFunc
}

// A route is a Route in use.
type route struct {
	Route
	proxy    *Proxy
	upstream *url.URL
	base     string // path of the upstream without a slash at its end
	prefix   string // Path without a slash at its end
	headers  headerRule
	tokens   *tokenjar.UpstreamIssuer // nil: the service gets none of its own
	handlers map[string]http.Handler  // by method
	forward  *httputil.ReverseProxy
	to       *service
	streams  *places
	ofStream share
}

// New checks the configuration; all mistakes are reported together, each with its route.
func New(cfg Config) (*Proxy, error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("proxy: "+format, args...)) }
	p := &Proxy{client: cfg.ClientIP, log: cfg.Logger, id: rand.Text(), seeds: newSeeds(), timing: usualTiming}
	p.stopping, p.stop = context.WithCancelCause(context.Background())
	if p.log == nil {
		p.log = slog.Default()
	}
	if p.now = cfg.Now; p.now == nil {
		p.now = time.Now
	}
	public, err := url.Parse(cfg.PublicURL)
	if err != nil || public.Host == "" || public.Scheme != "http" && public.Scheme != "https" {
		wrong("Config.PublicURL: %q is no address: write https://host", cfg.PublicURL)
	} else {
		p.host, p.scheme = public.Host, public.Scheme
		p.forwarded = ";host=" + forwardedValue(p.host) + ";proto=" + p.scheme
	}
	if cfg.LoginPage != "" && !localPath(cfg.LoginPage) {
		wrong("Config.LoginPage: %q is no path of our own", cfg.LoginPage)
	}
	if len(cfg.Routes) == 0 {
		wrong("Config.Routes: none is there")
	}
	var cookies *cookie.Policy
	if cfg.Guard != nil {
		p.service, cookies = cfg.Guard.Service(), cfg.Guard.Cookies()
		if p.client == nil {
			p.client = func(r *http.Request) string { return cfg.Guard.Client(r).IP }
		}
	}
	if p.client == nil {
		p.client = peerAddress
	}
	services := newServices(cfg.Routes)
	for i, r := range cfg.Routes {
		built, err := p.newRoute(cfg, r, cookies, services)
		if err != nil {
			for _, err := range split(err) {
				wrong("Config.Routes[%d].%w", i, err)
			}
			continue
		}
		for _, other := range p.routes {
			if other.prefix == built.prefix {
				wrong("Config.Routes[%d].Path: %q is another route's as well", i, r.Path)
			}
		}
		p.routes = append(p.routes, built)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.routes, func(a, b *route) int { return len(b.prefix) - len(a.prefix) })
	return p, nil
}

func split(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

func peerAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (p *Proxy) newRoute(cfg Config, r Route, cookies *cookie.Policy, services services) (*route, error) {
	r, err := r.complete(cfg.Self)
	if err != nil {
		return nil, err
	}
	upstream, err := CheckUpstream(r.Upstream, cfg.Self)
	if err != nil {
		return nil, fmt.Errorf("Upstream: %w", err)
	}
	built := &route{
		Route: r, proxy: p, upstream: upstream, headers: newHeaderRule(r, cookies),
		base: strings.TrimSuffix(upstream.EscapedPath(), "/"), prefix: strings.TrimSuffix(r.Path, "/"),
		to: services[serviceName(upstream)], streams: newPlaces(r.MaxStreams), ofStream: newShare(r.MaxStreams, r.MaxPerSession),
	}
	if cfg.Guard == nil && built.usesGuard() {
		return nil, errors.New("Auth: needs Config.Guard, unless it is none")
	}
	if r.SessionCheck != "" && built.usesGuard() {
		if cfg.Guard, err = cfg.Guard.Stricter(r.SessionCheck); err != nil {
			return nil, fmt.Errorf("SessionCheck: %w", err)
		}
	}
	if built.usesGuard() && r.Token == Audience {
		if built.tokens, err = p.service.UpstreamIssuer(r.Audience, r.Scopes...); err != nil {
			return nil, fmt.Errorf("Audience: %w", err)
		}
	}
	transport := cfg.Transport
	if transport == nil {
		transport = built.to.transport(r, upstream)
	}
	built.forward = &httputil.ReverseProxy{
		Rewrite: built.rewrite, Transport: transport, BufferPool: &p.buffers, ModifyResponse: built.modify,
		ErrorHandler: built.failed, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	built.handlers = make(map[string]http.Handler, len(methods))
	for _, method := range methods {
		built.handlers[method] = built.guarded(cfg, built.rule(method))
	}
	if r.InsecureSkipCSRF && !cfg.Announced {
		p.log.Warn("any page of any site can make a signed-in browser send any request to this route", "path", r.Path)
	}
	if r.Token == Forward && !cfg.Announced {
		p.log.Warn("this service gets the users' own access tokens, and may do with them whatever the users may", "path", r.Path,
			"upstream", built.to.name)
	}
	return built, nil
}

// rule returns what a route asks of a method.
func (r *route) rule(method string) Rule {
	rule, ok := r.Methods[method]
	if !ok && method == http.MethodHead {
		rule, ok = r.Methods[http.MethodGet]
	}
	if !ok {
		rule = Rule{Auth: r.Auth}
	}
	return rule
}

func (r *route) usesGuard() bool {
	return slices.ContainsFunc(methods, func(m string) bool { return r.rule(m).Auth != None })
}

// guarded returns the handler of the requests that follow a rule.
func (r *route) guarded(cfg Config, rule Rule) http.Handler {
	g := gate{refuse: func(w http.ResponseWriter, req *http.Request, err error) { r.refuse(w, req, err, cfg.LoginPage) }}
	if rule.Auth == None {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.send(w, req, g) })
	}
	g.judges, g.optional = !r.InsecureSkipCSRF, rule.Auth == Optional
	policy := session.Policy{
		Optional: g.optional, Credentials: rule.Credentials, InsecureSkipCSRF: r.InsecureSkipCSRF, Refuse: g.refuse,
	}
	if r.Token != NoToken {
		policy.RenewBefore = renewBefore
	}
	return cfg.Guard.Protect(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.send(w, req, g) }), policy)
}

// A gate is what a request has come through.
type gate struct {
	judges   bool // the CSRF token
	optional bool // who it is
	refuse   func(w http.ResponseWriter, req *http.Request, err error)
}

// renewBefore is how long a service's token lives at least, where the browser has a refresh cookie: enough for a clock that
// is some seconds ahead and for a body that is read before the token is.
const renewBefore = 10 * time.Second

// find returns the route of a canonical path, nil if there is none.
func (p *Proxy) find(path string) *route {
	for _, r := range p.routes {
		if covers(r.prefix, path) {
			return r
		}
	}
	return nil
}

// RouteOf returns the path prefix of the route that a canonical path comes under, "" if there is none.
func (p *Proxy) RouteOf(path string) string {
	if r := p.find(path); r != nil {
		return r.Path
	}
	return ""
}

// ServeHTTP sends a request to the service that its path leads to, or refuses it with a problem document.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !tokenjar.HasLogger(req.Context()) {
		req = req.WithContext(tokenjar.ContextWithLogger(req.Context(), p.log))
	}
	r, path, err := p.judge(req)
	if err != nil {
		problem.Write(w, req, err)
		return
	}
	handler := r.handlers[req.Method]
	if handler == nil {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		problem.Write(w, req, problem.New(problem.MethodNotAllowed))
		return
	}
	pathrule.Set(req, path)
	handler.ServeHTTP(w, req)
}

// judge finds the route of a request, and refuses what two programs may read differently.
func (p *Proxy) judge(req *http.Request) (*route, string, error) {
	path, err := pathrule.WithSlashes(pathrule.Raw(req))
	if err != nil || req.URL.User != nil { // user information in a target is to be taken for an attack (RFC 9110, section 4.2.4)
		return nil, "", problem.New(problem.BadPath)
	}
	r := p.find(path)
	for _, other := range pathrule.OtherReadings(path) {
		if p.find(other) != r {
			return nil, "", problem.New(problem.BadPath)
		}
	}
	switch {
	case r == nil:
		return nil, "", problem.New(problem.NotFound)
	case !r.EncodedSlash && strings.Contains(path, "%2F"):
		return nil, "", problem.New(problem.BadPath)
	}
	if err := checkQuery(req.URL); err != nil {
		return nil, "", err
	}
	if slices.Contains(hopsOf(req.Header), p.id) {
		return nil, "", problem.New(problem.UpstreamUnavailable).WithStatus(http.StatusLoopDetected).
			WithDetail("The service of this route leads back here.")
	}
	return r, path, r.checkUpgrade(req)
}

// hopHeader names those of us who have sent a request on, so that each knows its own when they come back, also by way of another.
const hopHeader = "X-Tokenjar-Hop"

// maxHops is how many of us may follow one another before the first ones are forgotten.
const maxHops = 8

// hopsOf returns the ids in the field. What a client writes there can end its own request and nothing else.
func hopsOf(h http.Header) []string {
	hops := strings.Fields(h.Get(hopHeader))
	for _, id := range hops {
		if len(hops) >= maxHops || len(id) != hopSize || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			return nil
		}
	}
	return hops
}

const hopSize = 26 // of rand.Text

// maxQueryFields is how many fields a query may have.
const maxQueryFields = 1000

// checkQuery refuses a query of which programs see different fields: some take a semicolon for a separator (WHATWG URL,
// application/x-www-form-urlencoded, does not), some drop what is not well escaped.
func checkQuery(u *url.URL) error {
	q := u.RawQuery
	if q == "" {
		return nil
	}
	bad := problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest)
	if strings.Count(q, "&") >= maxQueryFields {
		return bad.WithDetail(fmt.Sprintf("The query has more than %d fields.", maxQueryFields))
	}
	for i := 0; i < len(q); i++ {
		switch c := q[i]; {
		case c == ';':
			return bad.WithDetail("The query has a semicolon, which some programs take for a separator: write %3B.")
		case c <= ' ' || c >= 0x7f || c == '#':
			return bad.WithDetail("The query has a character that must be escaped.")
		case c == '%':
			if i+2 >= len(q) || !isHex(q[i+1]) || !isHex(q[i+2]) {
				return bad.WithDetail("The query has a percent sign that begins no escape: write %25.")
			}
			i += 2
		}
	}
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// checkUpgrade lets nothing through that asks for another protocol but WebSocket handshakes, on routes that allow them (RFC
// 9110, section 7.8): frames of another protocol would pass by every rule.
func (r *route) checkUpgrade(req *http.Request) error {
	upgrades := req.Header["Upgrade"]
	if len(upgrades) == 0 && len(req.Header["Http2-Settings"]) == 0 {
		return nil
	}
	if len(upgrades) != 1 || !strings.EqualFold(upgrades[0], "websocket") || req.Method != http.MethodGet || !hasToken(req.Header["Connection"], "upgrade") ||
		req.ContentLength != 0 || len(req.Header["Http2-Settings"]) > 0 {
		return problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest).
			WithDetail("The request asks for another protocol. Only WebSocket handshakes may.")
	}
	if !r.WebSocket {
		return problem.New(problem.PermissionDenied).WithDetail("There are no WebSockets on this route.")
	}
	return nil
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// refuse answers a request that the guard has refused. A browser that opens a page is sent to sign in; a script never is: it
// would follow, and take the page for the answer.
func (r *route) refuse(w http.ResponseWriter, req *http.Request, err error, loginPage string) {
	if loginPage != "" && problem.From(err).Status == http.StatusUnauthorized && isNavigation(req) {
		h := w.Header()
		before := "?"
		if strings.Contains(loginPage, "?") {
			before = "&"
		}
		h.Set("Location", loginPage+before+"next="+url.QueryEscape(req.URL.RequestURI()))
		h.Set("Cache-Control", "no-store")
		h.Set(problem.Header, string(problem.From(err).Code))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	problem.Write(w, req, err)
}

// isNavigation reports whether a browser opens a page: it says so (Fetch Metadata), or it is one too old to say and prefers
// HTML.
func isNavigation(req *http.Request) bool {
	if req.Method != http.MethodGet {
		return false
	}
	if mode, ok := req.Header["Sec-Fetch-Mode"]; ok {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	return prefersHTML(req.Header.Get("Accept"))
}

// prefersHTML reports whether text/html is the first of the types that are accepted, as in browsers' navigations.
func prefersHTML(accept string) bool {
	first, _, _ := strings.Cut(accept, ",")
	kind, _, _ := strings.Cut(first, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "text/html" || kind == "application/xhtml+xml"
}

// localPath reports whether a text is a path of our own origin for every browser: no other host, scheme or control
// character can be read into it (WHATWG URL).
func localPath(s string) bool {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.HasPrefix(s, "/\\") {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' || c == '#' })
}

// Stop ends the streams that are open and lets none be opened: WebSockets with 1001 (going away), event streams as if the
// service had ended them. It returns when they are over, or have not ended a moment later. Call it before the server shuts
// down, which does not wait for WebSockets.
func (p *Proxy) Stop() {
	over := p.streams.stop()
	p.stop(errStopping)
	select {
	case <-over:
	case <-time.After(p.timing.stop):
	}
}

// openStreams are counted, so that a stop can wait for them.
type openStreams struct {
	mu      sync.Mutex
	open    int
	stopped chan struct{} // nil until the stop; closed when none is open
}

// begin reports false from the stop on. After true, end is to be called.
func (s *openStreams) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped != nil {
		return false
	}
	s.open++
	return true
}

func (s *openStreams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open--; s.open == 0 && s.stopped != nil {
		close(s.stopped)
	}
}

func (s *openStreams) stop() (over <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped == nil {
		s.stopped = make(chan struct{})
		if s.open == 0 {
			close(s.stopped)
		}
	}
	return s.stopped
}

// Stats are counts since the start, but for what is open.
type Stats struct {
	WebSockets, EventStreams int64 // open now
	StreamsOpened            int64
	StreamsEnded             int64 // with their session
	Refused                  int64 // 503, because the service had all it may get at once
	Limited                  int64 // 429, because one client had its share of that
	Unavailable, TimedOut    int64 // 502 and 504
	BrokenOff                int64 // answers that the service did not finish
}

type stats struct {
	webSockets, eventStreams, opened, ended, refused, limited, unavailable, timedOut, brokenOff atomic.Int64
}

// Stats returns the counts.
func (p *Proxy) Stats() Stats {
	s := &p.stats
	return Stats{
		WebSockets: s.webSockets.Load(), EventStreams: s.eventStreams.Load(), StreamsOpened: s.opened.Load(),
		StreamsEnded: s.ended.Load(), Refused: s.refused.Load(), Limited: s.limited.Load(),
		Unavailable: s.unavailable.Load(), TimedOut: s.timedOut.Load(), BrokenOff: s.brokenOff.Load(),
	}
}
