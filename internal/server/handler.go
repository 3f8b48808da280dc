package server

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/internal/contextkey"
	"github.com/tokenjar/tokenjar/internal/metrics"
	"github.com/tokenjar/tokenjar/internal/pathrule"
	"github.com/tokenjar/tokenjar/problem"
)

// Handler returns the whole tree: request id, log, frontend, headers, host, method, path, and the room the path belongs to.
func (s *Server) Handler() http.Handler {
	return s.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := s.frontendOf(r.Host)
		if f == nil { // judge refuses it, but for health
			f = s.main()
		}
		f.secure(w)
		if path, at, ok := s.judge(f, w, r); ok {
			s.dispatch(f, w, r, path, at)
		}
	}))
}

// dispatch takes a request to its room. A preflight ends here.
func (s *Server) dispatch(f *frontend, w http.ResponseWriter, r *http.Request, path string, at place) {
	if rec, ok := w.(*recorder); ok {
		rec.route = s.routeOf(f, at, path)
	}
	if at.room.isShared() {
		if isPreflight(r) {
			s.preflight(f, w, r, path)
			return
		}
		s.share(w, r)
	}
	f.serve(w, r, at)
}

// secure sets the headers that every answer of ours has; documents replace the policy by their own. All answers share the
// values: who adds to one gets a copy.
func (f *frontend) secure(w http.ResponseWriter) {
	h := w.Header()
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	h["Content-Security-Policy"] = nothingAllowed
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	if f.https {
		h["Strict-Transport-Security"] = oneYear
	}
}

var (
	nosniff        = []string{"nosniff"}
	noReferrer     = []string{"no-referrer"}
	nothingAllowed = []string{"default-src 'none'; frame-ancestors 'none'"}
	sameOrigin     = []string{"same-origin"}
	oneYear        = []string{"max-age=31536000; includeSubDomains"}
)

// observe names each request, catches its panics and writes its one line of log. The line has no query, no header and
// no body in it, so no token or password can be.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		s.metrics.Begin()
		id := rand.Text()
		clientIP, known := s.proxies.Resolve(r)
		ctx := &requestContext{r.Context(), id, s.log, clientIP}
		r = r.WithContext(ctx)
		w.Header().Set("X-Request-Id", id)
		path := hideTokens(pathrule.Raw(r)) // before anybody rewrites it
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
			if !known {
				s.noteUnknown(clientIP)
			}
			if level := levelOf(rec.status); s.log.Enabled(ctx, level) {
				line := []slog.Attr{
					slog.String("request_id", id),
					slog.String("method", clip(r.Method)), slog.String("path", clip(path)),
					slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
					slog.String("problem", code),
					slog.Float64("took_ms", float64(took.Microseconds())/1000), slog.String("client_ip", clientIP),
				}
				if rec.asked {
					line = append(line, slog.Bool("forward_auth", true))
				}
				s.log.LogAttrs(ctx, level, "request", line...)
			}
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

// A requestContext carries what every request has: one context in place of one for each.
type requestContext struct {
	context.Context
	id       any // a string, which would be copied for everyone who asks
	log      *slog.Logger
	clientIP any // a string
}

type clientIPKey struct{}

// clientIP returns the address of a request's client, which was looked for when the request came.
func (s *Server) clientIP(r *http.Request) string {
	if ip, ok := r.Context().Value(clientIPKey{}).(string); ok {
		return ip
	}
	return s.proxies.ClientIP(r)
}

// Value implements [context.Context].
func (c *requestContext) Value(key any) any {
	switch key {
	case contextkey.RequestID:
		return c.id
	case contextkey.Logger:
		return c.log
	case clientIPKey{}:
		return c.clientIP
	}
	return c.Context.Value(key)
}

// String keeps package fmt from showing the fields.
func (c *requestContext) String() string { return "server.requestContext" }

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
