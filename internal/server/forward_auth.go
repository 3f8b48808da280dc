package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/forwardauth"
	"github.com/tokenjar/tokenjar/internal/metrics"
	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/session"
)

// A proxy in front of a service asks us, before it sends a request on, whether it may pass, and for whom it speaks. What it
// asks about is judged as a request for a route of auth: required would be: host, method, path, origin, credentials, CSRF
// token. Nothing is renewed, since the answer goes to the proxy, which cannot be relied on to hand cookies on: a session
// whose access token has run out is 401, and the page refreshes.
//
// Proxies understand 200, 401 and 403 alone; some turn everything else into a fault of theirs. So what would be 400, 405, 421
// or 431 is 403, with its own code in X-Tokenjar-Problem.

// What the proxy hands on to the service. Both are in every 200, so what a client has written there is always replaced.
const (
	authUserHeader = "X-Auth-User" // id of the user: "sub" of the token
	bearerHeader   = "Authorization"
)

// A forwardAuth answers the proxy.
type forwardAuth struct {
	server  *Server
	dialect forwardauth.Dialect
	tokens  *tokenjar.UpstreamIssuer
	route   *metrics.Route
}

// newForwardAuth returns nil when no dialect is set.
//
// The audience of the tokens is not the public URL itself: that is our own, and a service could use them on us.
func (s *Server) newForwardAuth(cfg config.Admin) (*forwardAuth, error) {
	if cfg.ForwardAuth == "" {
		return nil, nil
	}
	audience := cfg.ForwardAuthAudience
	if audience == "" {
		audience = s.main().publicURL + forwardauth.Path
	}
	tokens, err := s.service.UpstreamIssuer(audience)
	if err != nil {
		return nil, fmt.Errorf("admin.forward_auth_audience: %w", err)
	}
	return &forwardAuth{s, forwardauth.Dialect(cfg.ForwardAuth), tokens, s.metrics.Route(forwardauth.Path)}, nil
}

// asks reports whether a request to the admin listener is the proxy's.
func (f *forwardAuth) asks(r *http.Request) bool { return f != nil && f.dialect.Asks(r.RequestURI) }

// ServeHTTP answers, and logs and counts the request that is asked about rather than the asking.
func (f *forwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 { // as in judge: nothing may follow on this connection
		w.Header().Set("Connection", "close")
	}
	asked, err := f.dialect.Describe(r)
	if err == nil {
		r = asked.Request
	}
	f.server.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rec, ok := w.(*recorder); ok {
			rec.route, rec.asked = f.route, true
		}
		bearer, user := "", ""
		if err == nil {
			user, bearer, err = f.judge(r, asked.PlainHTTP)
		}
		if err != nil {
			f.refuse(w, r, err)
			return
		}
		h := w.Header()
		h.Set(authUserHeader, user)
		h.Set(bearerHeader, "Bearer "+bearer)
		w.WriteHeader(http.StatusOK)
	})).ServeHTTP(w, r)
}

// judge says for whom a request speaks that may pass, and by which token the service knows it.
func (f *forwardAuth) judge(r *http.Request, plainHTTP bool) (user, bearer string, err error) {
	guard, err := f.guard(r, plainHTTP)
	if err != nil {
		return "", "", err
	}
	id, err := guard.Identify(r)
	if err == nil {
		bearer, err = f.tokens.Token(id)
	}
	if err != nil {
		return "", "", err
	}
	return id.UserID, bearer, nil
}

// guard judges host, method and path, and returns who judges the rest.
func (f *forwardAuth) guard(r *http.Request, plainHTTP bool) (*session.Guard, error) {
	front := f.server.frontendOf(r.Host)
	switch {
	case front == nil:
		return nil, problem.New(problem.MisdirectedHost)
	case front.https && plainHTTP:
		return nil, problem.New(problem.MisdirectedHost).WithDetail("This request came by plain http.")
	case !knownMethod(r.Method):
		return nil, problem.New(problem.MethodNotAllowed)
	}
	target, _, _ := strings.Cut(r.RequestURI, "?") // with a scheme and host, if it has them, which no path begins with
	path, err := pathrule.Canonical(target)
	if err != nil {
		return nil, problem.New(problem.BadPath)
	}
	pathrule.Set(r, path)
	return front.guard, nil
}

// refuse answers with a status that proxies understand.
func (f *forwardAuth) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	if p.Code == problem.ProxyMisconfigured { // nginx shows nobody what it was told
		f.server.log.WarnContext(r.Context(), "the proxy in front does not say which request it asks about", "dialect", string(f.dialect),
			"detail", p.Detail)
	}
	if p.Status < 500 && p.Status != http.StatusUnauthorized {
		err = p.WithStatus(http.StatusForbidden)
	}
	problem.Write(w, r, err)
}
