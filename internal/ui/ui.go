package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/tokenjar/tokenjar/problem"
)

//go:embed assets
var embedded embed.FS

// pageFile is the template of the document; every other file under assets is served as it is, but for the import in scriptFile.
const pageFile = "index.html"

// scriptFile imports clientFile, which is @tokenjar/client as `make client` builds it.
const (
	scriptFile = "app.js"
	clientFile = "client.js"
)

// Options is what the page has to know about the server it talks to.
type Options struct {
	// Demo shows the sample API and the account below. Without it the page is an ordinary sign-in page.
	Demo bool

	// AuthPath is the prefix of the HTTP API, without a trailing slash. Default "/auth".
	AuthPath string

	// SampleAPI is a protected path the page may call, GET and POST. Read only with Demo.
	SampleAPI string

	// Username and Password fill the sign-in form by one click. Everybody who can open the page can read them, so they
	// are read only with Demo.
	Username, Password string

	// CSRFCookie is the real name of the CSRF cookie, prefix included. Default "csrftoken".
	CSRFCookie string
}

// contentSecurityPolicy lets the document load its own files and talk to its own origin, and nothing else: no inline
// script or style, no frame around it (OWASP ASVS V3.4.3, V3.4.6).
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"

const (
	cachePage      = "no-cache"                            // always asked again; 304 while unchanged
	cacheImmutable = "public, max-age=31536000, immutable" // the address names the content
)

// A Site serves the page at "/" and its files under "/assets/". It is safe for concurrent use.
type Site struct {
	files map[string]file // by URL path
}

type file struct {
	body        []byte
	contentType string
	etag        string
	cache       string
	document    bool // gets the headers of a document
}

var _ http.Handler = (*Site)(nil)

// Handler renders the page once for o and returns the site that serves it.
//
// It returns an error when a path in o is not an absolute path of this origin.
func Handler(o Options) (*Site, error) {
	if o.AuthPath == "" {
		o.AuthPath = "/auth"
	}
	if o.CSRFCookie == "" {
		o.CSRFCookie = "csrftoken"
	}
	if !o.Demo {
		o.SampleAPI, o.Username, o.Password = "", "", ""
	}
	if !ownPath(o.AuthPath) || strings.HasSuffix(o.AuthPath, "/") {
		return nil, fmt.Errorf("ui: AuthPath %q: want an absolute path without a trailing slash", o.AuthPath)
	}
	if o.SampleAPI != "" && !ownPath(o.SampleAPI) {
		return nil, fmt.Errorf("ui: SampleAPI %q: want an absolute path", o.SampleAPI)
	}

	s := &Site{files: make(map[string]file)}
	urls := make(map[string]string) // file name → hashed URL
	names, err := fs.Glob(embedded, "assets/*")
	if err != nil {
		return nil, fmt.Errorf("ui: list assets: %w", err)
	}
	for _, full := range names {
		name := path.Base(full)
		if name == pageFile {
			continue
		}
		body, err := embedded.ReadFile(full)
		if err != nil {
			return nil, fmt.Errorf("ui: read asset: %w", err)
		}
		if name == scriptFile {
			if body, err = importHashed(body); err != nil {
				return nil, err
			}
		}
		url := hashedURL(name, body)
		urls[name] = url
		s.files[url] = newFile(name, body, cacheImmutable)
	}

	page, err := render(o, urls)
	if err != nil {
		return nil, err
	}
	document := newFile(pageFile, page, cachePage)
	document.document = true
	s.files["/"] = document
	return s, nil
}

// Has reports whether the site answers this URL path. Everything else is left to the caller.
func (s *Site) Has(urlPath string) bool {
	_, ok := s.files[urlPath]
	return ok
}

// ServeHTTP answers GET and HEAD for the paths that [Site.Has] reports, 405 for other methods on them, and 404 for
// every other path.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")

	f, ok := s.files[r.URL.Path]
	if !ok {
		problem.Write(w, r, problem.New(problem.NotFound))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		problem.Write(w, r, problem.New(problem.MethodNotAllowed))
		return
	}

	if f.document {
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	} else {
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
	}
	h.Set("Cache-Control", f.cache)
	h.Set("ETag", f.etag)
	if matches(r.Header.Values("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(f.body) // a client that went away is no error of ours
}

func render(o Options, urls map[string]string) ([]byte, error) {
	source, err := embedded.ReadFile("assets/" + pageFile)
	if err != nil {
		return nil, fmt.Errorf("ui: read page: %w", err)
	}
	t, err := template.New(pageFile).Funcs(template.FuncMap{
		"asset": func(name string) (string, error) {
			url, ok := urls[name]
			if !ok {
				return "", errors.New("no such asset: " + name)
			}
			return url, nil
		},
	}).Parse(string(source))
	if err != nil {
		return nil, fmt.Errorf("ui: parse page: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, o); err != nil {
		return nil, fmt.Errorf("ui: render page: %w", err)
	}
	return out.Bytes(), nil
}

// importHashed gives the client in the page's script the address that names its content. So the script's own address moves with
// the client, and no browser runs one with the other's older version. An import map would do the same, but is inline script.
func importHashed(script []byte) ([]byte, error) {
	client, err := embedded.ReadFile("assets/" + clientFile)
	if err != nil {
		return nil, fmt.Errorf("ui: read client: %w", err)
	}
	from := []byte(" from './" + clientFile + "';")
	if bytes.Count(script, from) != 1 {
		return nil, fmt.Errorf("ui: %s does not import %s once", scriptFile, clientFile)
	}
	return bytes.Replace(script, from, []byte(" from './"+path.Base(hashedURL(clientFile, client))+"';"), 1), nil
}

func newFile(name string, body []byte, cache string) file {
	contentType := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // the system's table may differ or be missing
	case ".html":
		contentType = "text/html; charset=utf-8"
	case ".css":
		contentType = "text/css; charset=utf-8"
	case ".js":
		contentType = "text/javascript; charset=utf-8"
	case ".svg":
		contentType = "image/svg+xml"
	}
	sum := sha256.Sum256(body)
	return file{
		body:        body,
		contentType: contentType,
		etag:        `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		cache:       cache,
	}
}

// hashedURL gives app.js with its content the address /assets/app.3f9ac2d1e07b.js.
func hashedURL(name string, body []byte) string {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	return "/assets/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
}

// ownPath reports whether p can only mean a path of the page's own origin: "//host" and "/\host" would leave it.
func ownPath(p string) bool {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") {
		return false
	}
	return !strings.ContainsFunc(p, func(r rune) bool { return r == '\\' || r <= ' ' || r == 0x7f })
}

// matches is If-None-Match with its weak comparison (RFC 9110, section 13.1.2).
func matches(fields []string, etag string) bool {
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
			if one == "*" || one == etag {
				return true
			}
		}
	}
	return false
}
