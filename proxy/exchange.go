package proxy

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

// An exchange is one request and its answer on the way through us. It is the request's context as well, which is how the
// functions of the reverse proxy find it.
type exchange struct {
	context.Context
	cancel   context.CancelCauseFunc
	route    *route
	identity tokenjar.Identity
	bearer   string // for the service; "" for none
	client   string // address
	path     string // canonical and escaped, as it is sent on
	judged   bool   // the CSRF token was ours to judge
	socket   bool   // it is a WebSocket handshake
	body     *requestBody
	answer   *answer

	session context.Context // of a WebSocket: ends with the session
	service *framed         // the service's side of a WebSocket
	stopEnd func() bool
}

type exchangeKey struct{}

// Value implements [context.Context].
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

var (
	errSilent   = errors.New("proxy: the service fell silent")
	errNoStream = errors.New("proxy: too many streams are open")
)

// send sends a request that may pass.
func (r *route) send(w http.ResponseWriter, req *http.Request, judged bool) {
	x := &exchange{route: r, path: req.URL.RawPath, judged: judged, client: r.proxy.client(req)}
	x.identity, _ = tokenjar.IdentityFromContext(req.Context())
	x.judged = judged && x.identity.UserID != ""
	x.socket = len(req.Header["Upgrade"]) > 0
	if err := x.setBearer(); err != nil {
		problem.Write(w, req, err)
		return
	}
	room := r.slots
	if x.socket {
		room = r.streams
	}
	if !room.take() {
		r.proxy.stats.refused.Add(1)
		problem.Write(w, req, errBusy)
		return
	}
	defer room.give()
	if r.MaxBody > 0 && req.ContentLength > r.MaxBody {
		w.Header().Set("Connection", "close")
		problem.Write(w, req, problem.New(problem.BodyTooLarge))
		return
	}
	x.Context, x.cancel = context.WithCancelCause(req.Context())
	defer x.cancel(context.Canceled)
	if x.socket {
		defer x.bindSocket()()
		if x.session.Err() != nil {
			problem.Write(w, req, x.endOf(x.session))
			return
		}
	}
	out := req.WithContext(x)
	if req.ContentLength != 0 {
		x.body = &requestBody{ReadCloser: req.Body, w: w}
		if r.MaxBody > 0 {
			x.body.ReadCloser = http.MaxBytesReader(w, req.Body, r.MaxBody)
		}
		out.Body = x.body
	}
	x.answer = &answer{w: w, x: x, header: make(http.Header)}
	r.forward.ServeHTTP(x.answer, out)
}

// errBusy says that a service has all it may get.
var errBusy = problem.New(problem.UpstreamUnavailable).WithStatus(http.StatusServiceUnavailable).
	WithDetail("The service behind this route is busy. Try again in a moment.")

// setBearer finds the token that the service gets.
func (x *exchange) setBearer() (err error) {
	if x.identity.UserID == "" {
		return nil
	}
	switch {
	case x.route.tokens != nil:
		x.bearer, err = x.route.tokens.Token(x.identity)
	case x.route.Token == Forward:
		x.bearer = x.identity.AccessToken()
	}
	return err
}

// rewrite makes the request that is sent on.
func (r *route) rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In.Context())
	out, h := pr.Out, pr.Out.Header
	path := x.path
	if r.StripPrefix {
		if path = path[len(r.prefix):]; path == "" {
			path = "/"
		}
	}
	// Opaque is what is sent, byte for byte; net/url would escape the path in its own way.
	out.URL = &url.URL{
		Scheme: r.upstream.Scheme, Host: r.upstream.Host, Opaque: r.base + path,
		RawQuery: pr.In.URL.RawQuery, ForceQuery: pr.In.URL.ForceQuery,
	}
	out.Host = ""
	out.Trailer, out.TransferEncoding = nil, transferEncoding(out)
	upgrade := h["Upgrade"]
	r.headers.clean(h, x.judged)
	if x.socket {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, upgrade
	}
	set := func(name, value string) { h[name] = []string{value} }
	if x.bearer != "" {
		set("Authorization", "Bearer "+x.bearer)
	}
	set("X-Forwarded-For", x.client)
	set("X-Forwarded-Host", r.proxy.host)
	set("X-Forwarded-Proto", r.proxy.scheme)
	set("Forwarded", "for="+forwardedNode(x.client)+";host="+forwardedValue(r.proxy.host)+";proto="+r.proxy.scheme)
	if r.StripPrefix && r.prefix != "" {
		set("X-Forwarded-Prefix", r.prefix)
	}
	if id := tokenjar.RequestIDFromContext(x); id != "" {
		set("X-Request-Id", id)
	}
	set(hopHeader, strings.Join(append(hopsOf(pr.In.Header), r.proxy.id), " "))
}

// transferEncoding keeps a request chunked that was.
func transferEncoding(out *http.Request) []string {
	if out.ContentLength < 0 {
		return []string{"chunked"}
	}
	return nil
}

// forwardedNode writes an address as RFC 7239, section 6, has it.
func forwardedNode(addr string) string {
	if strings.Contains(addr, ":") {
		return `"[` + addr + `]"`
	}
	return forwardedValue(addr)
}

// forwardedValue writes a value of a Forwarded field: a token as it is, anything else in quotes.
func forwardedValue(s string) string {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_') {
			return `"` + strings.NewReplacer(`\`, ``, `"`, ``).Replace(s) + `"`
		}
	}
	if s == "" {
		return "unknown"
	}
	return s
}

// modify looks at the head of an answer before it is passed on.
func (r *route) modify(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	r.headers.cleanAnswer(res.Header)
	r.relocate(res.Header)
	if res.StatusCode == http.StatusSwitchingProtocols {
		if !x.socket {
			return errors.New("proxy: the service switches protocols that nobody asked it to")
		}
		conn, ok := res.Body.(io.ReadWriteCloser)
		if !ok {
			return errors.New("proxy: the connection of a WebSocket cannot be written to")
		}
		x.service = &framed{ReadWriteCloser: conn, masked: true}
		res.Body = x.service
		return nil
	}
	if !r.SSE && !isEventStream(res.Header) {
		silence := newAfterSilence(r.IdleTimeout, x.cancel)
		res.Body = &quietBody{ReadCloser: res.Body, silence: silence}
		return nil
	}
	return x.openEvents(res)
}

func isEventStream(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "text/event-stream"
}

// openEvents makes the answer a stream that ends with the session.
func (x *exchange) openEvents(res *http.Response) error {
	p := x.route.proxy
	if !x.route.streams.take() {
		return errNoStream
	}
	ctx, done := x.bind()
	p.stats.eventStreams.Add(1)
	p.stats.opened.Add(1)
	res.Body = newEventBody(ctx, res.Body, func() {
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled) && !errors.Is(context.Cause(ctx), errStopping) {
			p.stats.ended.Add(1)
		}
		done()
		p.stats.eventStreams.Add(-1)
		x.route.streams.give()
	})
	return nil
}

// bind returns a context that ends with the session, or at the stop.
func (x *exchange) bind() (context.Context, func()) {
	var ctx context.Context = x
	release := func() {}
	if x.identity.SessionID != "" {
		ctx, release = x.route.proxy.service.Bind(ctx, x.identity)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(x.route.proxy.stopping, func() { cancel(errStopping) })
	return ctx, func() { stop(); release(); cancel(context.Canceled) }
}

// bindSocket binds a WebSocket to the session, before the service is asked.
func (x *exchange) bindSocket() (over func()) {
	ctx, done := x.bind()
	x.session = ctx
	p := x.route.proxy
	return func() {
		if x.stopEnd != nil { // the connection had been taken over
			p.stats.webSockets.Add(-1)
			if !x.stopEnd() && !errors.Is(context.Cause(ctx), errStopping) {
				p.stats.ended.Add(1)
			}
		}
		done()
	}
}

// endOf is what a client is told whose session ended before the stream was open.
func (x *exchange) endOf(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, errStopping) {
		return cause
	}
	return problem.New(problem.StoreUnavailable).WithDetail("This server is stopping. Ask another one.")
}

// takeOver makes the client's connection one side of a WebSocket.
func (x *exchange) takeOver(conn net.Conn) net.Conn {
	p := x.route.proxy
	client := &framed{ReadWriteCloser: conn}
	p.stats.webSockets.Add(1)
	p.stats.opened.Add(1)
	x.stopEnd = bindSocket(x.session, client, x.service)
	return framedConn{conn, client}
}

// relocate turns a redirect to the service's own address into one to ours: browsers cannot reach the other.
func (r *route) relocate(h http.Header) {
	for _, name := range []string{"Location", "Content-Location"} {
		values := h[name]
		if len(values) != 1 {
			continue
		}
		u, err := url.Parse(values[0])
		if err != nil || u.User != nil || u.Opaque != "" {
			continue
		}
		own := u.Scheme == r.upstream.Scheme && strings.EqualFold(u.Host, r.upstream.Host)
		path := u.EscapedPath()
		switch {
		case own:
			rest, under := strings.CutPrefix(path, r.base)
			if !under || rest != "" && rest[0] != '/' {
				continue
			}
			path = rest
		case u.Scheme != "" || u.Host != "" || !r.StripPrefix || !strings.HasPrefix(path, "/"):
			continue
		}
		if r.StripPrefix {
			path = r.prefix + path
		}
		if path == "" {
			path = "/"
		}
		if strings.HasPrefix(path, "//") { // would be another host
			continue
		}
		target := path
		if u.RawQuery != "" || u.ForceQuery {
			target += "?" + u.RawQuery
		}
		if u.Fragment != "" {
			target += "#" + u.EscapedFragment()
		}
		h[name] = []string{target}
	}
}

// failed answers a request for which there is no answer of the service.
func (r *route) failed(w http.ResponseWriter, req *http.Request, err error) {
	x := exchangeOf(req.Context())
	w = x.answer.w
	stats := &r.proxy.stats
	var p *problem.Problem
	_, isTooLarge := errors.AsType[*http.MaxBytesError](err)
	netErr, isNet := errors.AsType[net.Error](err)
	switch clientErr := x.body.failure(); {
	case isTooLarge:
		p = problem.New(problem.BodyTooLarge)
	case clientErr != nil && errors.Is(clientErr, os.ErrDeadlineExceeded):
		p = problem.New(problem.ValidationFailed).WithStatus(http.StatusRequestTimeout).
			WithDetail("The body of the request came too slowly.")
	case clientErr != nil:
		p = problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest).
			WithDetail("The body of the request cannot be read: it is not framed as its head says.")
	case x.Context.Err() != nil && errors.Is(context.Cause(x.Context), context.Canceled): // the client has left
		w.WriteHeader(statusClientLeft)
		return
	case errors.Is(err, errNoStream):
		stats.refused.Add(1)
		problem.Write(w, req, errBusy)
		return
	case isNet && netErr.Timeout(), errors.Is(context.Cause(x), errSilent):
		stats.timedOut.Add(1)
		p = problem.New(problem.UpstreamTimeout)
	default:
		stats.unavailable.Add(1)
		p = problem.New(problem.UpstreamUnavailable)
	}
	if p.Status < 500 {
		w.Header().Set("Connection", "close") // what is left of the body is not a request
	} else {
		r.proxy.log.ErrorContext(req.Context(), "a service did not answer", "path", r.Path, "upstream", r.upstream.Host, "code", string(p.Code),
			"request_id", tokenjar.RequestIDFromContext(x), "err", err)
	}
	problem.Write(w, req, p)
}

// statusClientLeft stands in the log for an answer that nobody waited for.
const statusClientLeft = 499

// A requestBody is the client's, read with a time limit for each piece rather than for all of it.
type requestBody struct {
	io.ReadCloser
	w        http.ResponseWriter
	extended time.Time
	err      atomic.Pointer[error] // of reading, but for its end
}

// readDeadline is how long a client may take to send one piece of a body.
const readDeadline = 30 * time.Second

func (b *requestBody) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.extended) > readDeadline/6 {
		b.extended = now
		c := http.NewResponseController(b.w)
		c.SetReadDeadline(now.Add(readDeadline))
		c.SetWriteDeadline(now.Add(2 * readDeadline))
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.err.Store(&err)
	}
	return n, err
}

func (b *requestBody) failure() error {
	if b == nil {
		return nil
	}
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

// A quietBody is the body of an answer that must not pause for long.
type quietBody struct {
	io.ReadCloser
	silence afterSilence
}

func (b *quietBody) Read(p []byte) (int, error) {
	b.silence.heard()
	n, err := b.ReadCloser.Read(p)
	b.silence.stop() // while the client reads what there is
	return n, err
}

func (b *quietBody) Close() error {
	b.silence.stop()
	return b.ReadCloser.Close()
}
