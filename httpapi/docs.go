package httpapi

import (
	"embed"
	"net/http"
	"path"
	"strconv"
)

//go:embed docs
var docsFiles embed.FS

// docsPolicy lets the documentation page load its own two files and the OpenAPI document of its own origin, and nothing
// else: no inline script or style, no other site, no frame around it, and no form.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var docsTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
}

// docsFile serves one file of the documentation page. It has to be asked for again each time, and is sent again only
// when it has changed: after an update, script and document fit each other.
func docsFile(name string) http.HandlerFunc {
	body, err := docsFiles.ReadFile("docs/" + name)
	if err != nil { // embedded when the program was built
		panic("httpapi: " + err.Error())
	}
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", docsPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		serveFile(w, r, body, docsTypes[path.Ext(name)], "no-cache")
	}
}

// serveFile answers GET and HEAD with a file, or with 304 where the client has it (RFC 9110, section 13.1.2).
func serveFile(w http.ResponseWriter, r *http.Request, body []byte, contentType, cache string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", cache)
	h.Set("ETag", entityTag(body))
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}
