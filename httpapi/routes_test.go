package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"

	"github.com/tokenjar/tokenjar/internal/golden"
)

// What is served, taken from the document, which httpapi.New compares with its route table: nothing can be forgotten.

type route struct {
	method, path, id string
	statuses         []string // documented
}

func (r route) unsafe() bool { return r.method != "GET" }

// at returns the path for a request, with an id where the route has one.
func (r route) at(id string) string { return strings.Replace(r.path, "{id}", id, 1) }

func routes(t testing.TB, w *servertest.World) []route {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string                     `json:"operationId"`
			Responses   map[string]json.RawMessage `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Send(t, "GET", "/openapi.json", "").Body, &doc); err != nil {
		t.Fatal(err)
	}
	var list []route
	for path, methods := range doc.Paths {
		for method, op := range methods {
			r := route{method: strings.ToUpper(method), path: path, id: op.OperationID}
			for status := range op.Responses {
				r.statuses = append(r.statuses, status)
			}
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b route) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	if len(list) < 15 {
		t.Fatalf("only %d routes in the document", len(list))
	}
	return list
}

func TestOpenAPIDocumentIsTheOneInReview(t *testing.T) {
	w := servertest.Start(t, servertest.HTTPS)
	golden.Compare(t, "openapi.golden.json", append(w.Send(t, "GET", "/openapi.json", "").Body, '\n'))
}

func TestEveryRouteWithEveryMethod(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	methods := []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
		"TRACE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "QUERY", "LINK", "UNLINK",
		"PURGE", "BREW", "get", "post", "Post", "delete", "patch", "X",
	}
	allowed := map[string][]string{}
	all := routes(t, w)
	for _, r := range all {
		allowed[r.path] = append(allowed[r.path], r.method)
		if r.method == "GET" {
			allowed[r.path] = append(allowed[r.path], "HEAD")
		}
	}
	ada := w.SignIn(t, servertest.Ada)
	for _, r := range all {
		allow := slices.Sorted(slices.Values(append([]string{"OPTIONS"}, allowed[r.path]...)))
		for _, method := range methods {
			for who, change := range map[string]change{"nobody": func(*http.Request) {}, "ada": ada.As} {
				name := "I-18: " + method + " " + r.path + " by " + who
				before := w.Digest(t)
				a := w.Send(t, method, r.at("0190b5a0-0000-7000-8000-000000000000"), "", change)
				switch {
				case slices.Contains(allowed[r.path], method):
					i := slices.IndexFunc(all, func(o route) bool {
						return o.path == r.path && (o.method == method || method == "HEAD" && o.method == "GET")
					})
					if !slices.Contains(all[i].statuses, jsonNumber(a.Status)) {
						t.Errorf("%s: %d is not documented: %s", name, a.Status, a.Body)
					}
					if method == "HEAD" && len(a.Body) != 0 {
						t.Errorf("%s: a body", name)
					}
					if !slices.Contains([]string{"GET", "HEAD"}, method) { // those may end the session or its like
						ada = w.SignIn(t, servertest.Ada)
					}
					continue
				case method == "OPTIONS":
					if a.Status != 204 || a.Header.Get("Allow") != strings.Join(allow, ", ") || len(a.Body) != 0 {
						t.Errorf("%s: %d, Allow %q", name, a.Status, a.Header.Get("Allow"))
					}
				default:
					if a.Status != 405 || a.Header.Get("X-Tokenjar-Problem") != "method_not_allowed" || a.Header.Get("Allow") == "" {
						t.Errorf("%s: %d %s", name, a.Status, a.Body)
					}
					if slices.Contains(methods[:7], method) && a.Header.Get("Allow") != strings.Join(allow, ", ") {
						t.Errorf("%s: Allow is %q, want %q", name, a.Header.Get("Allow"), allow)
					}
				}
				if w.Digest(t) != before || len(a.Cookies()) != 0 {
					t.Errorf("%s: something changed, or a cookie was set: %v", name, a.Cookies())
				}
			}
		}
	}
}

func jsonNumber(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestHEADIsGETWithoutABody(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.Setup{Demo: true})
	ada := w.SignIn(t, servertest.Ada)
	paths := []string{"/", "/api/hello", "/auth/nothing", "/nothing"}
	for _, r := range routes(t, w) {
		if r.method == "GET" {
			paths = append(paths, r.path)
		}
	}
	for _, path := range append(paths, "/openapi.json") {
		get, head := w.Send(t, "GET", path, "", ada.As), w.Send(t, "HEAD", path, "", ada.As)
		if get.Status != head.Status || len(head.Body) != 0 {
			t.Errorf("%s: GET %d, HEAD %d with %d bytes", path, get.Status, head.Status, len(head.Body))
		}
		for _, name := range []string{"Content-Type", "Cache-Control", "Etag", "Vary", "Content-Security-Policy", "X-Tokenjar-Problem"} {
			if g, h := get.Header.Get(name), head.Header.Get(name); g != h {
				t.Errorf("%s: %s is %q, with HEAD %q", path, name, g, h)
			}
		}
	}
}

func TestMethodOverrideIsIgnored(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		t.Run("X-14: "+name, func(t *testing.T) {
			if a := w.Send(t, "GET", "/auth/sessions?_method=DELETE", "", ada.As, servertest.Header(name, "DELETE")); a.Status != 200 || !ada.Live(t) {
				t.Errorf("GET: %d %s", a.Status, a.Body)
			}
			w.Refused(t, 405, "method_not_allowed", "POST", "/auth/user", `{}`, ada.As, servertest.Header(name, "PATCH"))
			w.Refused(t, 405, "method_not_allowed", "GET", "/auth/logout?_method=POST", "", ada.As, servertest.Header(name, "POST"))
		})
	}
}

func TestGETChangesNothing(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.Setup{Demo: true})
	ada := w.SignIn(t, servertest.Ada)
	w.SignIn(t, servertest.Ada)
	before := w.Digest(t)
	paths := []string{"/", "/api/hello", "/openapi.json", "/auth/logout?all=true", "/auth/sessions/" + ada.SessionID, "/auth/user?first_name=x"}
	for _, r := range routes(t, w) {
		paths = append(paths, r.at(ada.SessionID), r.at(ada.SessionID)+"/")
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			for kind, change := range map[string]change{
				"page": ada.As, "image of another site": all(ada.As, servertest.CrossSite, servertest.Header("Sec-Fetch-Dest", "image")),
			} {
				a := w.Send(t, method, path, "", change)
				if after := w.Digest(t); after != before {
					t.Fatalf("X-17: %s %s (%s): %d, and something changed", method, path, kind, a.Status)
				}
				for _, c := range a.Cookies() { // GET csrf alone sets one
					if !strings.HasSuffix(c.Name, "csrftoken") {
						t.Errorf("X-17: %s %s sets %s", method, path, c.Name)
					}
				}
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("X-11: %s %s answers with %s", method, path, name)
					}
				}
			}
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]servertest.Setup{"https": servertest.HTTPS, "loopback": {}} {
		t.Run(name, func(t *testing.T) {
			w := servertest.Start(t, setup, servertest.Setup{Demo: true})
			for _, path := range []string{"/", "/api/hello", "/nothing", "/auth/user", "/auth/session", "/healthz", "/readyz", "/openapi.json", "/.well-known/jwks.json", "/auth/../x"} {
				a := w.Send(t, "GET", path, "", func(r *http.Request) { r.URL.Opaque = path })
				for field, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				} {
					if got := a.Header.Get(field); got != want {
						t.Errorf("%s: %s is %q", path, field, got)
					}
				}
				if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.HasPrefix(csp, "default-src 'none'") {
					t.Errorf("X-25: %s: Content-Security-Policy is %q", path, csp)
				}
				if hsts := a.Header.Get("Strict-Transport-Security"); (hsts != "") != (name == "https") {
					t.Errorf("CK-17: %s: Strict-Transport-Security is %q", path, hsts)
				}
				if a.Header.Get("X-Request-Id") == "" {
					t.Errorf("%s: no X-Request-Id", path)
				}
				for _, field := range []string{"Server", "X-Powered-By", "Location"} {
					if v := a.Header.Get(field); v != "" {
						t.Errorf("LG-11: %s: %s is %q", path, field, v)
					}
				}
			}
		})
	}
}
