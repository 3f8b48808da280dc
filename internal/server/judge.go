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

// frontendOf returns the frontend that a Host field names, nil if there is none.
func (s *Server) frontendOf(host string) *frontend {
	for _, f := range s.frontends {
		for _, ours := range f.hosts {
			if host == ours {
				return f
			}
		}
	}
	return nil
}

// judge lets a request with our host, a known method and an unambiguous path through, with its path in the canonical form, and
// says where that leads. f is the frontend that the host names.
func (s *Server) judge(f *frontend, w http.ResponseWriter, r *http.Request) (string, place, bool) {
	if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
		// net/http drops a Content-Length that came along with a Transfer-Encoding, and in HTTP/1.0 the
		// Transfer-Encoding itself, before any handler can see it. Nothing may follow on this connection (RFC 9112,
		// section 6.1).
		w.Header().Set("Connection", "close")
	}
	raw := pathrule.Raw(r)
	// Public keys are for services as well, which may know us by another name.
	anyHost := false
	switch strings.TrimSuffix(raw, "/") {
	case "/healthz", "/readyz", "/.well-known/jwks.json":
		anyHost = true
	}
	refuse := func(p *problem.Problem) (string, place, bool) {
		s.share(w, r) // a page of a listed origin can read why
		problem.Write(w, r, p)
		return "", place{}, false
	}
	switch {
	case r.Host == "" && !anyHost:
		return refuse(problem.New(problem.MisdirectedHost).WithStatus(http.StatusBadRequest).
			WithDetail("The request names no host."))
	case s.frontendOf(r.Host) == nil && !anyHost:
		return refuse(problem.New(problem.MisdirectedHost).
			WithDetail("This server does not answer for that host. Its address is " + f.publicURL + "."))
	case f.https && s.proxies.SaysHTTP(r) && !anyHost:
		return refuse(problem.New(problem.MisdirectedHost).
			WithDetail("This request came by plain http. Use " + f.publicURL + "."))
	case !knownMethod(r.Method):
		w.Header().Set("Allow", methods)
		return refuse(problem.New(problem.MethodNotAllowed))
	}
	path, at, err := f.find(raw)
	if err != nil || r.URL.User != nil { // user information in a target is to be taken for an attack (RFC 9110, section 4.2.4)
		return refuse(problem.New(problem.BadPath))
	}
	pathrule.Set(r, path)
	return path, at, true
}

// find brings a path to its canonical form and says where it leads. It refuses a path of which a laxer reading would lead
// elsewhere.
func (f *frontend) find(raw string) (string, place, error) {
	path, err := pathrule.WithSlashes(raw)
	if err != nil {
		return "", place{}, err
	}
	at := f.placeOf(path)
	if !at.room.takesSlashes() && strings.Contains(path, "%2F") {
		return "", place{}, pathrule.ErrBad
	}
	for _, other := range pathrule.OtherReadings(path) {
		if f.placeOf(other) != at {
			return "", place{}, errors.Join(pathrule.ErrBad, errors.New("another room in another reading"))
		}
	}
	return path, at, nil
}
