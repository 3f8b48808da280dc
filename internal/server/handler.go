package server

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/metrics"
	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/problem"
)

// Handler returns the whole tree: request id, log, headers, host, method, path, and the room the path belongs to.
func (s *Server) Handler() http.Handler {
	return s.observe(s.secure(s.judge(s.dispatch)))
}

// A room is where a path leads.
type room int

const (
	nowhere room = iota
	apiRoom
	siteRoom
	sampleRoom
	proxyRoom
)

// A place is a room and, of the proxy's, the route.
type place struct {
	room  room
	route string
}

// placeOf says where a canonical path leads. It is asked about other readings of the same path as well, so it looks at
// nothing but its argument.
//
// What is ours comes first, then the routes, then pages.
func (s *Server) placeOf(path string) place {
	switch {
	case s.api.Owns(path):
		return place{room: apiRoom}
	case s.sample != nil && path == samplePath:
		return place{room: sampleRoom}
	}
	if s.proxy != nil {
		if route := s.proxy.RouteOf(path); route != "" {
			return place{proxyRoom, route}
		}
	}
	if s.site.Has(path) {
		return place{room: siteRoom}
	}
	return place{}
}

// dispatch takes a request to its room. The path is the canonical one that was judged. A preflight ends here; pages are
// nobody's to read but a browser's that opens them, so they are not shared.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, path string) {
	at := s.placeOf(path)
	if rec, ok := w.(*recorder); ok {
		switch at.room {
		case nowhere:
		case proxyRoom:
			rec.route = s.metrics.Route(at.route)
		default:
			rec.route = s.patterns.of(path)
		}
	}
	if at.room != siteRoom {
		if isPreflight(r) {
			s.preflight(w, r, path)
			return
		}
		s.share(w, r)
	}
	switch at.room {
	case proxyRoom:
		s.proxy.ServeHTTP(w, r)
	case apiRoom:
		s.api.ServeHTTP(w, r)
	case sampleRoom:
		s.sample.ServeHTTP(w, r)
	case siteRoom:
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem.Write(w, r, problem.New(problem.MethodNotAllowed))
			return
		}
		s.site.ServeHTTP(w, r)
	default:
		problem.Write(w, r, problem.New(problem.NotFound))
	}
}

// secure sets the headers that every answer of ours has; documents replace the policy by their own.
func (s *Server) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if s.https {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

// observe names each request, catches its panics and writes its one line of log. The line has no query, no header and
// no body in it, so no token or password can be.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		s.metrics.Begin()
		id := rand.Text()
		ctx := tokenjar.ContextWithLogger(tokenjar.ContextWithRequestID(r.Context(), id), s.log)
		r = r.WithContext(ctx)
		w.Header().Set("X-Request-Id", id)
		path := clip(hideTokens(pathrule.Raw(r))) // before anybody rewrites it
		rec := &recorder{ResponseWriter: w, route: s.patterns.other}
		defer func() {
			p := recover()
			abort := p == http.ErrAbortHandler
			if p != nil && !abort {
				s.log.ErrorContext(ctx, "panic", "request_id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				if rec.status == 0 {
					problem.Write(rec, r, problem.New(problem.Internal))
				} else {
					abort = true // half an answer must not look like a whole one
				}
			}
			took, code := time.Since(begin), rec.Header().Get(problem.Header)
			s.metrics.End(rec.route, r.Method, rec.status, code, took)
			clientIP := s.proxies.ClientIP(r)
			s.noteAddress(r, clientIP)
			line := []slog.Attr{
				slog.String("request_id", id),
				slog.String("method", clip(r.Method)), slog.String("path", path),
				slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
				slog.String("problem", code),
				slog.Float64("took_ms", float64(took.Microseconds())/1000), slog.String("client_ip", clientIP),
			}
			if rec.asked {
				line = append(line, slog.Bool("forward_auth", true))
			}
			s.log.LogAttrs(ctx, levelOf(rec.status), "request", line...)
			if abort {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK // net/http will say so
		}
	})
}

func levelOf(status int) slog.Level {
	if status >= 500 {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// hideTokens takes what looks like a token out of a path. None of ours is ever in one, but somebody may paste one there.
func hideTokens(path string) string {
	if !strings.Contains(path, "eyJ") { // how every JSON object begins in base64url
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.Contains(s, "eyJ") {
			segments[i] = "[token]"
		}
	}
	return strings.Join(segments, "/")
}

// clip bounds what a client can put into a line of log, and takes out what some terminals obey: the log handlers escape
// ASCII controls alone.
func clip(s string) string {
	const most = 256
	more := ""
	if len(s) > most {
		s, more = strings.ToValidUTF8(s[:most], ""), "…"
	}
	if strings.ContainsFunc(s, odd) {
		s = strings.Map(func(r rune) rune {
			if odd(r) {
				return '·'
			}
			return r
		}, s)
	}
	return s + more
}

// odd reports whether a character of a path or a method is none that a program of good faith sends: they are ASCII.
func odd(r rune) bool { return r < ' ' || r > '~' }

// recorder remembers status, size and route for the log and the metrics.
type recorder struct {
	http.ResponseWriter
	route  *metrics.Route
	asked  bool // a proxy asks about it, and sends it on itself
	status int
	bytes  int64
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Flush sends what has been written.
func (r *recorder) Flush() { http.NewResponseController(r.ResponseWriter).Flush() }

// Hijack hands the connection over, for upgrades.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.status = http.StatusSwitchingProtocols
	return http.NewResponseController(r.ResponseWriter).Hijack()
}
