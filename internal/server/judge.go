package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/problem"
)

// What is judged before anybody is asked who they are: host, method, path. The first refusal ends the request.

// methods are what this server speaks, in exact case (RFC 9110, section 9.1).
const methods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

func knownMethod(m string) bool {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return true
	}
	return false
}

// hosts returns the values of the Host field by which a public URL is reached: with and without its scheme's own port.
func hosts(public *url.URL) []string {
	host := strings.ToLower(public.Host)
	port := map[string]string{"http": "80", "https": "443"}[public.Scheme]
	switch public.Port() {
	case "":
		return []string{host, host + ":" + port}
	case port:
		return []string{host, strings.TrimSuffix(host, ":"+port)}
	}
	return []string{host}
}

// judge lets a request with our host, a known method and an unambiguous path through, with its path in the canonical
// form.
func (s *Server) judge(next func(http.ResponseWriter, *http.Request, string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			// net/http drops a Content-Length that came along with a Transfer-Encoding, and in HTTP/1.0 the
			// Transfer-Encoding itself, before any handler can see it. Nothing may follow on this connection (RFC 9112,
			// section 6.1).
			w.Header().Set("Connection", "close")
		}
		raw := pathrule.Raw(r)
		health := raw == "/healthz" || raw == "/readyz"
		switch {
		case r.Host == "" && !health:
			s.refuse(w, r, problem.New(problem.MisdirectedHost).WithStatus(http.StatusBadRequest).
				WithDetail("The request names no host."))
			return
		case !s.ours(r.Host) && !health:
			s.refuse(w, r, problem.New(problem.MisdirectedHost).
				WithDetail("This server does not answer for that host. Its address is "+s.publicURL+"."))
			return
		case s.https && s.proxies.SaysHTTP(r) && !health:
			s.refuse(w, r, problem.New(problem.MisdirectedHost).
				WithDetail("This request came by plain http. Use "+s.publicURL+"."))
			return
		case !knownMethod(r.Method):
			w.Header().Set("Allow", methods)
			s.refuse(w, r, problem.New(problem.MethodNotAllowed))
			return
		}
		path, err := s.route(raw)
		if err != nil || r.URL.User != nil { // user information in a target is to be taken for an attack (RFC 9110, section 4.2.4)
			s.refuse(w, r, problem.New(problem.BadPath))
			return
		}
		pathrule.Set(r, path)
		next(w, r, path)
	})
}

func (s *Server) ours(host string) bool {
	for _, ours := range s.hosts {
		if host == ours {
			return true
		}
	}
	return false
}

// route brings a path to its canonical form and refuses it when a laxer reading would lead to another room.
func (s *Server) route(raw string) (string, error) {
	path, err := pathrule.WithSlashes(raw)
	if err != nil {
		return "", err
	}
	at := s.placeOf(path)
	if at.room != proxyRoom && strings.Contains(path, "%2F") { // the proxy asks its route
		return "", pathrule.ErrBad
	}
	for _, other := range pathrule.OtherReadings(path) {
		if s.placeOf(other) != at {
			return "", errors.Join(pathrule.ErrBad, errors.New("another room in another reading"))
		}
	}
	return path, nil
}
