package proxy

import (
	"bufio"
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

// An exchange is one request and its answer on the way through us. It is the request's context as well, which is how the
// functions of the reverse proxy find it.
type exchange struct {
	context.Context
	cancel     context.CancelCauseFunc
	route      *route
	identity   tokenjar.Identity
	bearer     string // for the service; "" for none
	client     string // address
	path       string // canonical and escaped, as it is sent on
	judged     bool   // the CSRF token was ours to judge
	socket     bool   // it is a WebSocket handshake
	protoMajor int    // of the client's request
	body       *requestBody
	answer     answer
	holder     holder
	room       *places // a place in it is this request's

	session context.Context // of a WebSocket: ends with the session
	service *framed         // the service's side of a WebSocket
	stopEnd func() bool
}

type exchangeKey struct{}

// String keeps tokens out of what is printed: package fmt would show the fields.
func (x *exchange) String() string { return "proxy.exchange" }

// Value implements [context.Context].
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

var errSilent = errors.New("proxy: the service fell silent")

// send sends a request that may pass.
func (r *route) send(w http.ResponseWriter, req *http.Request, g gate) {
	x := &exchange{route: r, path: req.URL.RawPath, client: r.proxy.client(req), protoMajor: req.ProtoMajor}
	x.identity, _ = tokenjar.IdentityFromContext(req.Context())
	x.socket = len(req.Header["Upgrade"]) > 0
	if err := x.setBearer(g.optional); err != nil {
		g.refuse(w, req, err)
		return
	}
	x.judged = g.judges && x.identity.UserID != ""
	x.holder = r.proxy.seeds.holder(x.identity, x.client)
	x.room = r.to.places
	most := r.to.share
	if x.socket {
		x.room, most = r.streams, r.ofStream
	}
	if err := x.room.take(x.holder, most); err != nil {
		r.turnAway(w, req, err)
		return
	}
	defer func() { x.room.give(x.holder) }()
	if r.MaxBody > 0 && req.ContentLength > r.MaxBody {
		w.Header().Set("Connection", "close")
		problem.Write(w, req, problem.New(problem.BodyTooLarge))
		return
	}
	x.Context, x.cancel = context.WithCancelCause(req.Context())
	defer x.cancel(context.Canceled)
	if x.socket {
		over, err := x.bindSocket()
		defer over()
		if err != nil {
			problem.Write(w, req, err)
			return
		}
	}
	out := req.WithContext(x)
	if req.ContentLength != 0 {
		x.body = newRequestBody(w, req.Body, r.proxy.timing.body)
		if r.MaxBody > 0 {
			x.body.ReadCloser = http.MaxBytesReader(w, req.Body, r.MaxBody)
		}
		defer x.body.end()
		out.Body = x.body
	}
	x.answer = answer{w: w, x: x, header: make(http.Header)}
	r.forward.ServeHTTP(&x.answer, out)
}

// setBearer finds the token that the service gets. A session may have ended since the guard let it in: then the request is
// what the guard would have made of it.
func (x *exchange) setBearer(optional bool) (err error) {
	if x.identity.UserID == "" {
		return nil
	}
	switch {
	case x.route.tokens != nil:
		x.bearer, err = x.route.tokens.Token(x.identity)
	case x.route.Token == Forward:
		x.bearer = x.identity.AccessToken()
	}
	if err == nil || !optional {
		return err
	}
	if p := problem.From(err); p.Status != http.StatusUnauthorized || x.socket && p.Action == problem.Refresh {
		return err
	}
	x.identity = tokenjar.Identity{} // anonymous
	return nil
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
	values := make([]string, 0, 8) // one piece of memory for all fields; none can grow into the next
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if x.bearer != "" {
		set("Authorization", "Bearer "+x.bearer)
	}
	set("X-Forwarded-For", x.client)
	set("X-Forwarded-Host", r.proxy.host)
	set("X-Forwarded-Proto", r.proxy.scheme)
	set("Forwarded", "for="+forwardedNode(x.client)+r.proxy.forwarded)
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
			return `"` + unquotable.Replace(s) + `"`
		}
	}
	if s == "" {
		return "unknown"
	}
	return s
}

var unquotable = strings.NewReplacer(`\`, ``, `"`, ``)

// modify looks at the head of an answer before it is passed on.
func (r *route) modify(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	r.headers.cleanAnswer(res.Header)
	r.relocate(res.Header)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return x.openSocket(res)
	}
	if res.StatusCode < 200 { // below 100: http.Transport takes it for an answer, if a program has set one
		return errors.New("proxy: the service answers with a status that is none")
	}
	r.answered(x)
	if r.SSE || isEventStream(res.Header) {
		return x.openEvents(res)
	}
	if res.Body != http.NoBody {
		body := &quietBody{ReadCloser: res.Body, x: x}
		body.early, _ = res.Body.(interface{ ready() bool })
		res.Body = body
	}
	return nil
}

func isEventStream(h http.Header) bool {
	const stream = "text/event-stream"
	text := h.Get("Content-Type")
	if len(text) < len(stream) || !strings.EqualFold(text[:len(stream)], stream) { // as nearly all
		return false
	}
	kind, _, err := mime.ParseMediaType(text)
	return err == nil && kind == stream
}

// openEvents makes the answer a stream that ends with the session.
func (x *exchange) openEvents(res *http.Response) error {
	p := x.route.proxy
	if err := x.route.streams.take(x.holder, x.route.ofStream); err != nil {
		return err
	}
	x.room.give(x.holder) // a stream takes no place of a request's
	x.room = x.route.streams
	if !p.streams.begin() {
		return errStopping
	}
	x.answer.held = res.ContentLength >= 0
	ctx, done := x.bind()
	p.stats.eventStreams.Add(1)
	p.stats.opened.Add(1)
	res.Body = newEventBody(x, ctx, res.Body, func() {
		if endedBySession(context.Cause(ctx)) {
			p.stats.ended.Add(1)
		}
		done()
		p.stats.eventStreams.Add(-1)
		p.streams.end()
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

// bindSocket binds a WebSocket to the session, before the service is asked. over is to be called in any case.
func (x *exchange) bindSocket() (over func(), err error) {
	p := x.route.proxy
	if !p.streams.begin() {
		return func() {}, errStopped
	}
	ctx, done := x.bind()
	x.session = ctx
	over = func() {
		if x.stopEnd != nil { // the connection had been taken over
			x.stopEnd()
			p.stats.webSockets.Add(-1)
			if endedBySession(context.Cause(ctx)) {
				p.stats.ended.Add(1)
			}
		}
		done()
		p.streams.end()
	}
	if ctx.Err() != nil {
		return over, context.Cause(ctx)
	}
	return over, nil
}

// errStopped is what a client is told that opens a stream at the stop.
var errStopped = problem.New(problem.StoreUnavailable).WithDetail("This server is stopping. Ask another one.")

// openSocket takes the service's side of a WebSocket. When it returns an error, the connection is closed.
func (x *exchange) openSocket(res *http.Response) error {
	if !x.socket {
		return errors.New("proxy: the service switches protocols that nobody asked it to")
	}
	if h := res.Header; !hasToken(h["Connection"], "upgrade") || len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket") {
		return errors.New("proxy: the service switches to another protocol than it was asked to")
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.New("proxy: the connection of a WebSocket cannot be written to")
	}
	x.route.answered(x)
	x.service = &framed{ReadWriteCloser: conn, masked: true, open: true, timing: x.route.proxy.timing}
	res.Body = x.service
	res.Status = "" // its text is the service's, and would be passed on as it is
	return nil
}

// takeOver makes the client's connection one side of a WebSocket. early may hold what it has sent already.
func (x *exchange) takeOver(conn net.Conn, early *bufio.Reader) net.Conn {
	p := x.route.proxy
	client := &framed{ReadWriteCloser: conn, timing: p.timing}
	p.stats.webSockets.Add(1)
	p.stats.opened.Add(1)
	x.stopEnd = bindSocket(x.session, client, x.service)
	return &framedConn{Conn: conn, framed: client, early: early}
}

// failed answers a request for which there is no answer of the service.
func (r *route) failed(w http.ResponseWriter, req *http.Request, err error) {
	x := exchangeOf(req.Context())
	w = x.answer.w
	x.answer.extend()
	x.closeIfLeft(w.Header())
	stats := &r.proxy.stats
	var p *problem.Problem
	netErr, isNet := errors.AsType[net.Error](err)
	if x.Context.Err() != nil {
		x.body.settle() // what cannot be read of it ends the request's context first, and is known a moment later
	}
	clientErr := x.body.failure()
	_, isTooLarge := errors.AsType[*http.MaxBytesError](clientErr)
	switch {
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
	case errors.Is(err, errBusy), errors.Is(err, errShare):
		r.turnAway(w, req, err)
		return
	case errors.Is(err, errStopping):
		problem.Write(w, req, errStopped)
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
		r.failedWith(x, p.Code, err)
	}
	writeQuietly(w, req, p)
}

// turnAway answers a request or stream for which there is no place.
func (r *route) turnAway(w http.ResponseWriter, req *http.Request, err error) {
	if errors.Is(err, errShare) {
		r.proxy.stats.limited.Add(1)
	} else {
		r.proxy.stats.refused.Add(1)
		r.crowded(req.Context())
	}
	writeQuietly(w, req, err)
}

// statusClientLeft stands in the log for an answer that nobody waited for.
const statusClientLeft = 499

// A requestBody is the client's. It may come slowly, but not for ever: waiting for it uses up a time that each byte adds to.
//
// A transport may read it after the request has been answered (see http.RoundTripper). By then the connection is the next
// request's, and so is its deadline.
type requestBody struct {
	io.ReadCloser
	control *http.ResponseController
	limit   time.Duration
	left    time.Duration
	reading chan struct{}         // holds one while it is read
	err     atomic.Pointer[error] // of reading, but for its end

	mu    sync.Mutex
	over  bool // from then on the server waits for the next request, or for the client to leave
	ended bool // nothing of it is read any more
}

// perByte is what each byte of a body adds to the time that may be waited for the next: who sends 500 a second may go on for
// ever.
const perByte = 2 * time.Millisecond

func newRequestBody(w http.ResponseWriter, body io.ReadCloser, limit time.Duration) *requestBody {
	return &requestBody{
		ReadCloser: body, control: http.NewResponseController(w), limit: limit, left: limit, reading: make(chan struct{}, 1),
	}
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.reading <- struct{}{}
	defer func() { <-b.reading }()
	begin := time.Now()
	if !b.patience(begin) {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	b.left = min(b.left-time.Since(begin)+time.Duration(n)*perByte, b.limit)
	if err != nil {
		b.mu.Lock()
		b.over = true
		b.mu.Unlock()
		if err != io.EOF {
			b.err.CompareAndSwap(nil, &err)
		}
	}
	return n, err
}

// patience bounds how long the next piece is waited for, and reports whether there may be one. The lock is not held while
// something is read: the handler's end waits for it.
func (b *requestBody) patience(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over && !b.ended {
		b.control.SetReadDeadline(now.Add(b.left))
	}
	return !b.ended
}

// end is called at the end of the handler, which what it lent out must not outlive.
func (b *requestBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}

// closeIfLeft says that the connection ends with the answer, if the client's body has not been read to its end. Otherwise
// net/http would read what is left of it first, and the client, which may be waiting for the answer, be told last. HTTP/2 has no
// such rule, and ends more than the one request by that field.
func (x *exchange) closeIfLeft(h http.Header) {
	if x.body.isLeft() && x.protoMajor == 1 {
		h["Connection"] = []string{"close"}
	}
}

// settle waits for the end of a read that is under way, for a moment.
func (b *requestBody) settle() {
	if b == nil {
		return
	}
	select {
	case b.reading <- struct{}{}:
		<-b.reading
	case <-time.After(time.Second):
	}
}

// isLeft reports whether the client's body has not been read to its end. Without one, nil, nothing is left.
func (b *requestBody) isLeft() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.over
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

// A quietBody is the body of an answer that must not pause for long. One goroutine reads and closes it.
type quietBody struct {
	io.ReadCloser
	x       *exchange
	early   interface{ ready() bool } // nil: whether a piece has come already cannot be told
	silence afterSilence              // the zero one until something is waited for
}

func (b *quietBody) Read(p []byte) (n int, err error) {
	if b.early != nil && b.early.ready() { // as with most answers, which come in one piece
		n, err = b.ReadCloser.Read(p)
	} else {
		b.silence.begin(b.x.route.IdleTimeout, b.x.cancel)
		n, err = b.ReadCloser.Read(p)
		b.silence.stop() // while the client reads what there is
	}
	b.x.note(err)
	return n, err
}

func (b *quietBody) Close() error {
	b.silence.stop()
	return b.ReadCloser.Close()
}

// note sees how the answer of a service ends. One that it does not finish is counted, and the client's connection broken, so
// that it cannot take what it has for all of it. The head goes out before: of a connection that ends without one, browsers
// think that the request was never received, and send it again.
func (x *exchange) note(err error) {
	if err == io.EOF {
		x.answer.extend() // the end is written too, perhaps after a long silence
		return
	}
	if err == nil || errors.Is(context.Cause(x.Context), context.Canceled) {
		return
	}
	if silent := context.Cause(x.Context); silent != nil {
		err = silent
	}
	x.answer.extend()
	x.answer.FlushError()
	x.route.proxy.stats.brokenOff.Add(1)
	x.route.brokeOff(x, err)
}
