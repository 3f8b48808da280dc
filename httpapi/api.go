package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/session"
)

// Config is what an [API] is made of. Guard is required.
type Config struct {
	Guard *session.Guard
	// Path is the prefix of the operations. Default: "/auth". The JWKS, the OpenAPI document and the health routes are
	// at the root in any case.
	Path string
	// Version is that of the program, for the OpenAPI document.
	Version string
	// NoDocs serves neither the OpenAPI document nor the page at /docs that shows it to people. [API.OpenAPI] has it all
	// the same.
	NoDocs bool
	// Ready says whether requests should be sent here. Default: whether the store answers.
	Ready func(context.Context) error
}

// An API serves the contract. It is immutable after [New] and safe for concurrent use.
type API struct {
	guard      *session.Guard
	service    *tokenjar.Service
	prefix     string
	docs       bool
	ready      func(context.Context) error
	huma       huma.API
	routes     routeTable
	operations []operation
	openapi    []byte
}

// New builds the operations.
func New(cfg Config) (*API, error) {
	if cfg.Guard == nil {
		return nil, errors.New("httpapi: Config.Guard is required")
	}
	if cfg.Path == "" {
		cfg.Path = "/auth"
	}
	if !strings.HasPrefix(cfg.Path, "/") || strings.HasSuffix(cfg.Path, "/") || strings.ContainsAny(cfg.Path, "{}%;?# ") {
		return nil, errors.New("httpapi: Config.Path must begin with a slash, end with none and be plain, as /auth")
	}
	a := &API{
		guard: cfg.Guard, service: cfg.Guard.Service(), prefix: cfg.Path, ready: cfg.Ready,
		docs: !cfg.NoDocs, routes: routeTable{},
	}
	if a.ready == nil {
		a.ready = a.service.Ready
	}
	a.huma = humago.New(registrar{a.routes}, a.humaConfig(cfg.Version))
	a.register()
	document, err := a.document()
	if err != nil {
		return nil, err
	}
	a.openapi = document
	return a, nil
}

// Prefix returns the path under which the operations lie.
func (a *API) Prefix() string { return a.prefix }

// OpenAPI returns the OpenAPI 3.1 document as JSON.
func (a *API) OpenAPI() []byte { return a.openapi }

// Owns reports whether a path belongs to the contract, so that nobody else may serve it: all of the prefix, and the
// routes at the root, with or without a slash at the end.
func (a *API) Owns(path string) bool {
	if rest, ok := strings.CutPrefix(path, a.prefix); ok && (rest == "" || rest[0] == '/') {
		return true
	}
	_, found := a.routes[bare(path)]
	return found
}

// bare returns a path without the slash at its end, which makes no difference.
func bare(path string) string {
	if len(path) > 1 {
		return strings.TrimSuffix(path, "/")
	}
	return path
}

// ServeHTTP serves one request. A trailing slash makes no difference, and nothing is ever redirected.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !tokenjar.HasLogger(r.Context()) { // no server of ours is around this handler
		r = r.WithContext(tokenjar.ContextWithLogger(r.Context(), a.service.Logger()))
	}
	r = r.WithContext(tokenjar.ContextWithClient(r.Context(), a.guard.Client(r)))
	// Every answer is JSON, whatever is asked for; and huma's reader of this field panics on some texts.
	r.Header.Del("Accept")
	methods, id, ok := a.routes.find(bare(r.URL.EscapedPath()))
	if !ok {
		problem.Write(w, r, problem.New(problem.NotFound))
		return
	}
	method := r.Method
	if _, served := methods[method]; !served && method == http.MethodHead {
		method = http.MethodGet
	}
	handler, ok := methods[method]
	switch {
	case ok:
		if id != "" {
			r.SetPathValue("id", id)
		}
		handler.ServeHTTP(w, r)
	case method == http.MethodOptions:
		w.Header().Set("Allow", methods.allow())
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", methods.allow())
		problem.Write(w, r, problem.New(problem.MethodNotAllowed))
	}
}

// routeTable maps a path to its methods. A last segment "{id}" stands for any one segment.
type routeTable map[string]methodTable

type methodTable map[string]http.Handler

func (t routeTable) find(path string) (methods methodTable, id string, ok bool) {
	if methods, ok := t[path]; ok {
		return methods, "", true
	}
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 || slash == len(path)-1 {
		return nil, "", false
	}
	methods, ok = t[path[:slash]+"/{id}"]
	return methods, path[slash+1:], ok
}

func (t methodTable) allow() string {
	methods := []string{http.MethodOptions}
	for method := range t {
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// registrar lets huma put its handlers into our table, where a wrong method is told from a wrong path.
type registrar struct{ table routeTable }

func (r registrar) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	method, path, _ := strings.Cut(pattern, " ")
	if r.table[path] == nil {
		r.table[path] = methodTable{}
	}
	r.table[path][method] = http.HandlerFunc(handler)
}

func (registrar) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// wrap puts a gate before a handler that huma registered.
func (t routeTable) wrap(op huma.Operation, gate func(http.Handler) http.Handler) {
	t[op.Path][op.Method] = gate(t[op.Path][op.Method])
}
