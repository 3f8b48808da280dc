package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/rs/cors"

	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/problem"
)

// Cross-origin resource sharing (Fetch standard, section 3.3): which pages of other origins may read our answers. Who
// may write is csrf.trusted_origins' to say; an origin that is in one list alone has that one right alone.
//
// The list is exact and checked by us; rs/cors writes the headers. Nobody is allowed by default, and pages of a public
// network are never allowed into a private one.

// corsMethods may be asked for.
var corsMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// corsHeaders are those of our own contract; cors.allowed_headers adds to them.
var corsHeaders = []string{"Authorization", "Content-Type", "X-CSRFToken", "X-Passive"}

// exposed may be read by scripts beside what they may always read.
var exposed = []string{problem.Header, "Retry-After", "X-Request-Id"}

const preflightAge = 600 // seconds for which a browser may remember a preflight

// newCORS returns nil when no origin is listed. All mistakes are reported together.
func newCORS(cfg config.CORS) (*cors.Cors, error) {
	var errs []error
	if _, err := csrf.NewOrigins(cfg.AllowedOrigins); err != nil { // the same form: exact origins, as browsers write them
		errs = append(errs, fmt.Errorf("cors.allowed_origins: %w", err))
	}
	for i, name := range cfg.AllowedHeaders {
		if !config.HeaderName(name) {
			errs = append(errs, fmt.Errorf("cors.allowed_headers: item %d: %q is no name of a header: write each one out", i+1, name))
		}
	}
	if err := errors.Join(errs...); err != nil || len(cfg.AllowedOrigins) == 0 {
		return nil, err
	}
	origins := slices.Clone(cfg.AllowedOrigins)
	return cors.New(cors.Options{
		// Not its own list, which is compared without case and may hold patterns.
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
			return len(r.Header["Origin"]) == 1 && slices.Contains(origins, origin) && asksForOneMethod(r), nil
		},
		AllowedMethods: corsMethods, AllowedHeaders: slices.Concat(corsHeaders, cfg.AllowedHeaders), ExposedHeaders: exposed,
		AllowCredentials: true, MaxAge: preflightAge, OptionsPassthrough: true,
	}), nil
}

// isPreflight reports whether a browser asks if it may send a request (Fetch standard, section 4.8).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// asksForOneMethod reports whether what a preflight asks for is one method of ours. A request that is no preflight asks
// for none.
func asksForOneMethod(r *http.Request) bool {
	asked := r.Header["Access-Control-Request-Method"]
	return !isPreflight(r) || len(asked) == 1 && slices.Contains(corsMethods, asked[0])
}

// preflight answers a preflight with 204. Here it ends: no credential is looked at and no store is asked.
func (s *Server) preflight(f *frontend, w http.ResponseWriter, r *http.Request, path string) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		if f.api.Owns(path) && s.patterns.of(path) != s.patterns.other {
			f.api.ServeHTTP(w, r) // which knows what is allowed there
			return
		}
		w.Header().Set("Allow", methods)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	}
	if s.cors == nil {
		answer(w, r)
		return
	}
	s.cors.ServeHTTP(w, r, answer)
}

// share sets the headers that let a page of a listed origin read the answer, whatever its status will be. It answers
// nothing.
func (s *Server) share(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.cors == nil:
	case isPreflight(r): // refused before it could be answered
		w.Header().Add("Vary", "Origin")
	default:
		s.cors.HandlerFunc(w, r)
	}
}
