package middleware

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/problem"
)

// A Policy protects a handler: [Access] in one way for all requests, [Methods] by their method, [Routes] by their path.
type Policy interface {
	// Protect returns a handler that lets those requests through to next which have access. It panics when the policy
	// cannot work, as net/http's Handle does, so that a mistake shows at the start.
	Protect(next http.Handler) http.Handler
}

// Methods is the access for each method, as a view set has it: public reads, a cookie for writes.
//
//	middleware.Methods{"GET": middleware.Public[Account](), "DELETE": admins, "*": signedIn}
//
// A key is a method in upper case, or "*" for all that are not named. HEAD is as GET unless it is named. A method that is
// neither is refused with 405 and the Allow field. Methods are what the request line says: no header and no form field
// overrides them, and what comes behind must not let one either.
type Methods map[string]Policy

// Protect implements [Policy].
func (m Methods) Protect(next http.Handler) http.Handler {
	handlers := make(map[string]http.Handler, len(m)+1)
	for method, policy := range m {
		if method != "*" && (method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' })) {
			panic(fmt.Sprintf("middleware: %q is no method: use upper case, or * for all that are not named", method))
		}
		handlers[method] = mustPolicy(policy, method).Protect(next)
	}
	if len(handlers) == 0 {
		panic("middleware: Methods is empty")
	}
	if get, ok := handlers[http.MethodGet]; ok && handlers[http.MethodHead] == nil {
		handlers[http.MethodHead] = get
	}
	others := handlers["*"]
	delete(handlers, "*")
	allow := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := handlers[r.Method]
		if !ok {
			handler = others
		}
		if handler == nil {
			w.Header().Set("Allow", allow)
			problem.Write(w, r, problem.New(problem.MethodNotAllowed))
			return
		}
		handler.ServeHTTP(w, r)
	})
}

func mustPolicy(policy Policy, key string) Policy {
	if isNil(policy) {
		panic(fmt.Sprintf("middleware: the policy for %q is nil", key))
	}
	return policy
}

// Routes is the policy for each path prefix: a whole tree of handlers in one declaration, in front of whatever router.
//
//	middleware.Routes{
//		"/":            middleware.Public[Account](),
//		"/notes":       middleware.Methods{"GET": anybody, "*": signedIn},
//		"/notes/admin": signedIn.With(middleware.Role("admin")),
//	}.Protect(router)
//
// The longest prefix that fits in whole segments counts, in whatever order they stand; a slash at its end means nothing. A
// path that no prefix fits is refused with 404, so what nobody thought of is not open.
//
// The router behind must not read a path otherwise than the policy did. So what two programs may read differently is
// refused with 400 and never redirected: dot segments, empty segments, backslashes, encoded slashes, control characters,
// escapes that are not UTF-8; and a path that would come under another prefix if it were compared without case, or without
// what follows a semicolon in a segment. Escapes of unreserved characters are decoded (RFC 3986, section 6.2.2.2), and the
// handler gets that one form. It is the path the handler sees that is judged: put [http.StripPrefix] where you like.
type Routes map[string]Policy

type route struct {
	prefix  string // without the slash at the end
	handler http.Handler
}

// Protect implements [Policy].
func (t Routes) Protect(next http.Handler) http.Handler {
	if len(t) == 0 {
		panic("middleware: Routes is empty")
	}
	routes := make([]route, 0, len(t))
	for prefix, policy := range t {
		if canonical, err := pathrule.Canonical(prefix); err != nil || canonical != prefix {
			panic(fmt.Sprintf("middleware: %q is no path prefix: begin with a slash and use the form that paths are brought to", prefix))
		}
		trimmed := strings.TrimSuffix(prefix, "/")
		if slices.ContainsFunc(routes, func(r route) bool { return strings.EqualFold(r.prefix, trimmed) }) {
			panic(fmt.Sprintf("middleware: %q is given twice, or in two cases", trimmed))
		}
		routes = append(routes, route{trimmed, mustPolicy(policy, prefix).Protect(next)})
	}
	slices.SortFunc(routes, func(a, b route) int { return len(b.prefix) - len(a.prefix) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.URL.EscapedPath()
		path, err := pathrule.Canonical(sent)
		if err != nil {
			problem.Write(w, r, problem.New(problem.BadPath))
			return
		}
		at := find(routes, path, strings.HasPrefix)
		bare := pathrule.OtherReadings(path)[0]
		switch {
		case find(routes, path, hasPrefixFold) != at, find(routes, bare, strings.HasPrefix) != at, find(routes, bare, hasPrefixFold) != at:
			problem.Write(w, r, problem.New(problem.BadPath))
			return
		case at < 0:
			problem.Write(w, r, problem.New(problem.NotFound))
			return
		}
		if path != sent {
			r = withPath(r, path)
		}
		routes[at].handler.ServeHTTP(w, r)
	})
}

// find returns the first route, which is the longest, whose prefix fits in whole segments; -1 when none does.
func find(routes []route, path string, hasPrefix func(path, prefix string) bool) int {
	return slices.IndexFunc(routes, func(r route) bool {
		return hasPrefix(path, r.prefix) && (len(path) == len(r.prefix) || path[len(r.prefix)] == '/')
	})
}

// hasPrefixFold is [strings.HasPrefix] without case. Canonical paths are ASCII.
func hasPrefixFold(path, prefix string) bool {
	return len(path) >= len(prefix) && strings.EqualFold(path[:len(prefix)], prefix)
}

// withPath returns the request with another path.
func withPath(r *http.Request, canonical string) *http.Request {
	r = r.WithContext(r.Context())
	u := *r.URL
	decoded, err := url.PathUnescape(canonical)
	if err != nil { // pathrule lets no bad escape through
		decoded = canonical
	}
	u.Path, u.RawPath = decoded, ""
	if u.EscapedPath() != canonical {
		u.RawPath = canonical
	}
	r.URL = &u
	return r
}
