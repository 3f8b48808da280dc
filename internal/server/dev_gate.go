package server

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/request"
	"github.com/tokenjar/tokenjar/problem"
)

// Who gets to a development server. A request tells by Sec-Fetch-Site and Origin whose page sent it, and what neither says is
// judged by its Referer:
//
//	our own page's                        everything, the WebSocket included
//	a window's, which goes there          pages: no tools, and nothing that turns out to be no page. A person may have typed the
//	                                      address, or come by a link, or back from where one signs in or pays
//	any other page's                      nothing, whatever the method, and no frame either
//	nobody's, which says nothing at all   a program, as curl: everything. If it asks for a page it may be an old browser, which
//	                                      gets what a person gets
//
// A page of another site that is called by a name of its own and leads it to this machine (DNS rebinding) is same-origin to a
// browser. It was refused before, by its Host.
//
// A browser that sends no Sec-Fetch-Site still honours what the answers say: no other site's page may load or frame them.

// serveDev answers what may be asked of the development server.
func (f *frontend) serveDev(w http.ResponseWriter, r *http.Request) {
	pageOnly, err := f.devGate(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	a := &devAnswer{ResponseWriter: w, r: r}
	if pageOnly {
		// "Not modified" and a part of a file would not say what they are of.
		for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"} {
			r.Header.Del(name)
		}
		a.ours = w.Header().Clone()
	}
	f.dev.ServeHTTP(a, r)
}

// nobodyElse trusts no origin beside our own.
var nobodyElse, _ = csrf.NewOrigins(nil)

// devGate refuses what other pages send, and says whether a request that may pass is for a page alone.
//
// It is rule 1 (package csrf) for every method, since reading is enough here.
func (f *frontend) devGate(r *http.Request) (pageOnly bool, err error) {
	switch {
	case len(r.Header["Upgrade"]) > 0:
		return false, nobodyElse.CheckHandshake(r.Header, f.origin)
	case isOpened(r):
		return true, refuseTool(r)
	case nobodyElse.Check(r.Header, f.origin) != nil:
		return false, problem.New(problem.OriginNotAllowed).WithDetail("The development server answers the application's own pages alone.")
	case csrf.HasBrowserSignal(r.Header):
		return false, nil
	}
	if referers := r.Header["Referer"]; len(referers) > 0 {
		if len(referers) > 1 || !isOf(referers[0], f.origin) {
			return false, problem.New(problem.OriginNotAllowed).WithDetail("The Referer is a page of another origin.")
		}
		return false, nil
	}
	if strings.Contains(strings.ToLower(strings.Join(r.Header["Accept"], ",")), "text/html") {
		return true, refuseTool(r)
	}
	return false, nil
}

// isOpened reports whether a browser's window goes to an address: by the address bar, or by a link of whatever page.
func isOpened(r *http.Request) bool {
	only := func(name, value string) bool { return len(r.Header[name]) == 1 && r.Header[name][0] == value }
	return len(r.Header["Sec-Fetch-Site"]) == 1 && !only("Sec-Fetch-Site", "same-origin") && only("Sec-Fetch-Mode", "navigate") &&
		only("Sec-Fetch-Dest", "document") && len(r.Header["Origin"]) == 0 && request.IsSafe(r.Method)
}

// isOf reports whether an address is one of an origin.
func isOf(address, origin string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	got, err := csrf.SerializeOrigin(u)
	return err == nil && got == origin
}

// tools are how segments of paths begin that lead to no page.
var tools = []string{"@vite", "@fs", "@id", "@react-", "@ng", "__", "_next", "_nuxt", "node_modules", "webpack-dev-server", "sockjs-node"}

// refuseTool refuses the paths of tools, among them some that start programs (/__open-in-editor) or read any file (/@fs). A page
// asks for them, and no person, who may have been sent there by a link in a message.
//
// Anybody's tools cannot be known by name. These are those of Vite, webpack-dev-server, Next, Nuxt and Angular; of what else
// there is, a person gets pages.
func refuseTool(r *http.Request) error {
	for segment := range strings.SplitSeq(strings.ToLower(r.URL.Path), "/") {
		if slices.ContainsFunc(tools, func(prefix string) bool { return strings.HasPrefix(segment, prefix) }) {
			return problem.New(problem.OriginNotAllowed).WithDetail("This belongs to the development server's own tools, which the " +
				"application's pages ask for. Open it at the development server itself.")
		}
	}
	return nil
}

// A devAnswer is an answer of the development server on its way to a browser.
type devAnswer struct {
	http.ResponseWriter
	r       *http.Request
	ours    http.Header // what our head said before; nil when more than a page was asked for
	refused bool
}

// WriteHeader says to whom the answer may be shown, and refuses a file where only a page may be seen: sources cannot be told by
// their paths, since /src/App may be a page or App.vue.
func (a *devAnswer) WriteHeader(status int) {
	h := a.Header()
	if a.ours != nil && status >= 200 && status < 300 && !isPage(h) {
		a.refused = true
		clear(h)
		maps.Copy(h, a.ours)
		problem.Write(a.ResponseWriter, a.r, problem.New(problem.OriginNotAllowed).WithDetail("This is no page but a file of one. The "+
			"development server gives it to the application's own pages."))
		return
	}
	if status >= 200 {
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Frame-Options", "SAMEORIGIN")
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a piece of the body, unless something else has been said in its place.
func (a *devAnswer) Write(b []byte) (int, error) {
	if a.refused {
		return len(b), nil
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *devAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func isPage(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}
