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
// A prefix is a path as it reads decoded, without wildcards. The longest one that fits in whole segments counts, in whatever
// order they stand; a slash at its end means nothing. A path that no prefix fits is refused with 404, so what nobody thought
// of is not open.
//
// The router behind must not read a path otherwise than the policy did, and routers differ: some go by the decoded path
// (net/http, gin), some by the escapes as they were sent (chi, echo). So a path is refused with 400, and never redirected or
// repaired, when it would come under another prefix in one of these readings: decoded, as sent, without case, without what
// follows a semicolon in a segment. The same goes for what readers disagree about altogether: dot segments, empty segments,
// backslashes, encoded slashes, control characters, raw bytes from 0x80 on, escapes that are not UTF-8. The handler gets the
// request as it is. It is the request's URL that is judged: put [http.StripPrefix] where you like.
type Routes map[string]Policy

type route struct {
	prefix, folded string // without the slash at the end; without case
	handler        http.Handler
}

// Protect implements [Policy].
func (t Routes) Protect(next http.Handler) http.Handler {
	if len(t) == 0 {
		panic("middleware: Routes is empty")
	}
	routes := make([]route, 0, len(t))
	for prefix, policy := range t {
		if reason := checkPrefix(prefix); reason != "" {
			panic(fmt.Sprintf("middleware: %q is no path prefix: %s", prefix, reason))
		}
		trimmed := strings.TrimSuffix(prefix, "/")
		if slices.ContainsFunc(routes, func(r route) bool { return r.folded == fold(trimmed) }) {
			panic(fmt.Sprintf("middleware: %q is given twice, or in two cases", trimmed))
		}
		routes = append(routes, route{trimmed, fold(trimmed), mustPolicy(policy, prefix).Protect(next)})
	}
	slices.SortFunc(routes, func(a, b route) int { return len(b.prefix) - len(a.prefix) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, ok := find(routes, r.URL)
		switch {
		case !ok:
			refuse(w, r, problem.New(problem.BadPath))
		case at < 0:
			refuse(w, r, problem.New(problem.NotFound))
		default:
			routes[at].handler.ServeHTTP(w, r)
		}
	})
}

// checkPrefix returns why no path can have a prefix, or why it does not mean what it seems to.
func checkPrefix(prefix string) string {
	segments := strings.Split(prefix, "/")
	isWildcard := func(s string) bool { return s != "" && strings.IndexByte(":*<", s[0]) >= 0 }
	switch {
	case segments[0] != "" || len(segments) < 2:
		return "begin with a slash"
	case strings.ContainsAny(prefix, "{}") || slices.ContainsFunc(segments, isWildcard):
		return "there are no wildcards: name the part before them"
	case strings.ContainsAny(prefix, "%;?#"):
		return "write the path alone, decoded, without escapes, parameters, query and fragment"
	case strings.TrimSpace(prefix) != prefix:
		return "a blank stands at its end"
	}
	if _, err := pathrule.Canonical((&url.URL{Path: prefix}).EscapedPath()); err != nil {
		return "no path that is let through begins so"
	}
	return ""
}

// find returns the route of a path, -1 for none. It reports false for a path that two programs may read differently.
func find(routes []route, u *url.URL) (at int, ok bool) {
	sent := u.RawPath
	if sent == "" {
		sent = u.EscapedPath()
	} else if decoded, err := url.PathUnescape(sent); err != nil || decoded != u.Path {
		return -1, false // somebody changed one of the two
	}
	if _, err := pathrule.Canonical(sent); err != nil {
		return -1, false
	}
	at = exact(routes, u.Path)
	for _, view := range []string{u.Path, u.RawPath} {
		if view == "" {
			continue // what a router by escapes reads then is Path
		}
		bare := pathrule.WithoutParameters(view)
		for _, found := range []int{exact(routes, view), exact(routes, bare), folded(routes, view), folded(routes, bare)} {
			if found != at {
				return -1, false
			}
		}
	}
	return at, true
}

// exact returns the first route, which is the longest, whose prefix fits in whole segments; -1 when none does.
func exact(routes []route, path string) int {
	return slices.IndexFunc(routes, func(r route) bool { return fits(path, r.prefix) })
}

// folded is exact without case.
func folded(routes []route, path string) int {
	path = fold(path)
	return slices.IndexFunc(routes, func(r route) bool { return fits(path, r.folded) })
}

func fits(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// fold makes equal what differs in case alone: through upper case, so that letters meet which have no lower case of their
// own, such as the long s.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }
