package spa

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/problem"
)

// Config is what a [Site] is made of. Dir and PublicURL are required.
type Config struct {
	// Dir is the folder with the files of the built application, index.html among them.
	Dir string
	// PublicURL is the address under which browsers know the application: the pages may open WebSockets there.
	PublicURL string
	// Sources are added to the Content Security Policy of the pages: see [CheckSources].
	Sources string
	// Logger is told what of a page its policy forbids. Default: slog.Default().
	Logger *slog.Logger
}

// A Site serves an application. It is an http.Handler, safe for concurrent use.
type Site struct {
	files  *folder
	policy policy
	script string // policy of what is no page but may run as a worker
	log    *slog.Logger

	mu   sync.Mutex
	told map[string]bool // warnings
}

// Open looks at a folder, which must have an index.html.
func Open(cfg Config) (*Site, error) {
	public, err := url.Parse(cfg.PublicURL)
	if err != nil || public.Host == "" {
		return nil, fmt.Errorf("spa: Config.PublicURL: %q is no address", cfg.PublicURL)
	}
	s := &Site{log: cfg.Logger, told: map[string]bool{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.policy, err = newPolicy(public, cfg.Sources); err != nil {
		return nil, fmt.Errorf("spa: Config.Sources: %w", err)
	}
	s.script = s.policy.text()
	s.files = newFolder(cfg.Dir, s.pagePolicy)
	if _, err := os.ReadDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("spa: Config.Dir: %w", err)
	}
	if _, err := s.files.get(indexFile); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("spa: Config.Dir: %s has no %s: name the folder that the build writes, as dist", cfg.Dir, indexFile)
	} else if err != nil && err != errChanging {
		return nil, fmt.Errorf("spa: Config.Dir: %w", err)
	}
	return s, nil
}

// pagePolicy returns the policy of a page and says, once, what of it will not work.
func (s *Site) pagePolicy(name string, page []byte) string {
	text, forbidden := s.policy.forPage(page)
	for _, what := range forbidden {
		s.mu.Lock()
		told := s.told[name+what]
		s.told[name+what] = true
		s.mu.Unlock()
		if !told {
			s.log.Warn("the content security policy switches off what stands in a page of the application", "file", name, "what", what)
		}
	}
	return text
}

// ServeHTTP answers GET and HEAD: with a file, with index.html where a browser opens an address that the application routes, and
// otherwise with 404.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		problem.Write(w, r, problem.New(problem.MethodNotAllowed))
		return
	}
	target, err := pathrule.WithSlashes(pathrule.Raw(r))
	if err != nil {
		problem.Write(w, r, problem.New(problem.BadPath))
		return
	}
	if name := fileName(target); name != "" {
		err := s.serve(w, r, name)
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) || name == indexFile {
			problem.Write(w, r, unreadable(err))
			return
		}
	}
	h.Add("Vary", "Accept, Sec-Fetch-Mode") // what decides
	if !opensPage(r, target) {
		if _, err := os.Stat(s.files.dir); err != nil { // everything is missing for the moment
			problem.Write(w, r, unreadable(err))
			return
		}
		problem.Write(w, r, problem.New(problem.NotFound))
		return
	}
	if err := s.serve(w, r, indexFile); err != nil {
		problem.Write(w, r, unreadable(err))
	}
}

// unreadable is what a browser is told while the folder or its index.html is not there, as between two deployments.
func unreadable(err error) error {
	return fmt.Errorf("%w (%w)", problem.New(problem.UpstreamUnavailable).WithStatus(http.StatusServiceUnavailable).
		WithDetail("The application is being replaced. Try again in a moment."), err)
}

// opensPage reports whether a request for what is no file is a browser that opens a page, so that the application is what
// it wants. A script that has got an address wrong must not get a page for an answer, nor must a page that asks for a script
// of the deployment before:
//
//   - no name of a script, style, image or whatever else is served under its extension
//   - of a browser that says what it does (Fetch Metadata): a navigation, or a request that asks for HTML by name
//   - of others: whatever does not ask for something else; with an extension, as /users/ada.lovelace, HTML by name
func opensPage(r *http.Request, target string) bool {
	ext := extension(target)
	if k, known := kinds[ext]; known && k.mime != htmlType {
		return false
	}
	byName, anything := asksForHTML(r.Header["Accept"])
	if modes, ok := r.Header["Sec-Fetch-Mode"]; ok {
		return len(modes) == 1 && modes[0] == "navigate" || byName
	}
	return byName || anything && ext == ""
}

// asksForHTML reports whether Accept fields name HTML, and whether they take anything.
func asksForHTML(fields []string) (byName, anything bool) {
	if len(fields) == 0 {
		return false, true
	}
	for _, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			kind, params, _ := strings.Cut(part, ";")
			if strings.HasPrefix(strings.ReplaceAll(params, " ", ""), "q=0") && strings.Trim(params, " q=0.") == "" {
				continue // not wanted
			}
			switch strings.ToLower(strings.Trim(kind, " \t")) {
			case "text/html", "application/xhtml+xml":
				byName = true
			case "*/*":
				anything = true
			}
		}
	}
	return byName, anything
}

// serve sends a file, or returns [fs.ErrNotExist] or another error and has sent nothing.
func (s *Site) serve(w http.ResponseWriter, r *http.Request, name string) error {
	original, err := s.files.get(name)
	if err != nil {
		return err
	}
	kind := kindOf(name)
	page := kind.mime == htmlType
	sent, file, encoding := original, name, ""
	for _, c := range accepted(r.Header["Accept-Encoding"]) {
		if b := s.packed(name, original, c, page); b != nil {
			sent, file, encoding = b, name+c.suffix, c.name
			break
		}
	}
	content, size, err := s.files.content(file, sent)
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", kind.mime)
	h.Set("ETag", sent.tag)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", s.policyOf(kind.mime, original))
	h.Set("Cache-Control", "no-cache")
	if !page && original.settled && sent.settled && s.isImmutable(name) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if page {
		h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	}
	h.Add("Vary", "Accept-Encoding")
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	send(w, r, content, size)
	return nil
}

// isImmutable reports whether a name stands for one content for ever.
func (s *Site) isImmutable(name string) bool {
	return isHashed(name) || mayBeHashed(name) && s.files.isOutput(path.Dir(name))
}

// packed returns a file in a coding, nil if it is not to be had: from the file beside it, or packed here.
//
// The file beside counts while it is not older than the original, or it would be that of a deployment before. For a page it
// never counts: its policy must be made of what is sent.
func (s *Site) packed(name string, original *blob, c coding, page bool) *blob {
	if !page {
		if info, err := s.files.stat(name + c.suffix); err == nil && info.Size() > 0 && !info.ModTime().Before(original.info.ModTime()) {
			if b, err := s.files.get(name + c.suffix); err == nil && b.settled {
				return b
			}
		}
	}
	if c.name == "gzip" && kindOf(name).compress {
		return s.files.gzip(name, original)
	}
	return nil
}

// policyOf returns the policy of a file. Scripts may be workers, which it then is for; a picture with scripts in it (SVG) runs
// none, also where it is opened by itself.
func (s *Site) policyOf(mime string, b *blob) string {
	switch {
	case b.policy != "":
		return b.policy
	case mime == htmlType, strings.HasPrefix(mime, "text/javascript"):
		return s.script
	case mime == "image/svg+xml":
		return "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; frame-ancestors 'none'"
	}
	return "default-src 'none'; frame-ancestors 'none'"
}
