package torture

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	helloTimeout   = 10 * time.Second // for the first answer of a node, and for its metrics
	requestTimeout = 30 * time.Second
	idleConn       = 2 * time.Second // sooner than a server or a proxy closes it under a request
	maxBody        = 64 << 10        // of an answer, bytes
	maxWaiting     = 2 * time.Minute // for one sign-in that is limited
)

// newClient returns a client that keeps no cookies and follows no redirect. The certificate of an https node is checked
// for the public host, whatever the node's own address is. It is impatient until [run.sayHello] is done.
func newClient(transport http.RoundTripper, host string) *http.Client {
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		t.MaxIdleConnsPerHost = Burst
		t.IdleConnTimeout = idleConn
		transport = t
	}
	return &http.Client{
		Transport: transport, Timeout: helloTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// An answer is what a node said, read to the end.
type answer struct {
	from    *node
	status  int
	code    string // of a problem, "" for none
	header  http.Header
	cookies []*http.Cookie
	pair    pair // of a grant; zero if there is none
	sent    time.Time
	got     time.Time
}

// ok reports whether the answer is a grant.
func (a *answer) ok() bool { return a.status == http.StatusOK && a.pair.refresh.text != "" }

// clears returns the name of a cookie that the answer deletes, "" if it deletes none.
func (a *answer) clears() string {
	for _, c := range a.cookies {
		if c.MaxAge < 0 || c.Value == "" {
			return c.Name
		}
	}
	return ""
}

func (a *answer) String() string {
	text := strconv.Itoa(a.status)
	if a.code != "" {
		text += " " + a.code
	}
	return text
}

// undecided is an error for answers that say nothing about the contract: faults, limits, and what is no answer of ours.
func (a *answer) undecided() error {
	switch {
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		return breakOff("%s answered %s", a.from, a)
	case a.status == http.StatusForbidden || a.status == http.StatusNotFound || a.status == http.StatusMisdirectedRequest ||
		a.status >= 300 && a.status < 400:
		return breakOff("%s answered %s, which is not about the token", a.from, a)
	}
	return nil
}

// A pair are the tokens of one answer.
type pair struct{ access, refresh jwt }

// A jwt is a token of ours, and what it says of itself. Reading that is fair: it is our own client's.
type jwt struct {
	text string
	name string // of its cookie, "" if it came in a body
	typ  string

	id, session     string
	generation      int64
	issued, expires int64 // Unix seconds
}

// same reports whether two tokens say the same of themselves.
func (t jwt) same(u jwt) bool {
	return t.id == u.id && t.session == u.session && t.generation == u.generation && t.issued == u.issued && t.expires == u.expires
}

func (t jwt) String() string {
	return fmt.Sprintf("generation %d, jti %.6s…, iat %d, exp %d", t.generation, t.id, t.issued, t.expires)
}

// parseJWT reads a compact token without verifying it.
func parseJWT(text string) (jwt, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return jwt{}, false
	}
	var head struct {
		Type string `json:"typ"`
	}
	var claims struct {
		ID         string `json:"jti"`
		Session    string `json:"sid"`
		Generation int64  `json:"gen"`
		Issued     int64  `json:"iat"`
		Expires    int64  `json:"exp"`
	}
	if !decodePart(parts[0], &head) || !decodePart(parts[1], &claims) {
		return jwt{}, false
	}
	return jwt{
		text: text, typ: head.Type, id: claims.ID, session: claims.Session, generation: claims.Generation,
		issued: claims.Issued, expires: claims.Expires,
	}, true
}

// put files a token under its type.
func (p *pair) put(text, name string) {
	t, ok := parseJWT(text)
	t.name = name
	switch {
	case ok && t.typ == "at+jwt":
		p.access = t
	case ok && t.typ == "rt+jwt":
		p.refresh = t
	}
}

// A session is one that this run has opened, as one browser has it.
type session struct {
	at         *node // where it was opened
	pair             // the newest tokens that are known
	csrfName   string
	csrf       string
	accessName string
	over       bool // by what the server said
	spoiled    bool // of no use for a further trial, though it may live
}

// request builds a request as a page of the public address sends it.
func (r *run) request(ctx context.Context, n *node, method, path string, body any) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	q, err := http.NewRequestWithContext(ctx, method, n.url+r.cfg.Path+path, reader)
	if err != nil {
		return nil, err
	}
	q.Host = r.host
	q.Header.Set("User-Agent", "tokenjar torture")
	if method != http.MethodGet {
		q.Header.Set("Origin", r.origin)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	return q, nil
}

// cookie adds a cookie as it is: the server's are never quoted.
func cookie(q *http.Request, name, value string) {
	line := name + "=" + value
	if before := q.Header.Get("Cookie"); before != "" {
		line = before + "; " + line
	}
	q.Header.Set("Cookie", line)
}

// do sends a request and reads the answer.
func (r *run) do(q *http.Request, n *node) (*answer, error) {
	if err := r.budget.take(q.Context()); err != nil {
		return nil, err
	}
	a := &answer{from: n, sent: r.cfg.Now()}
	res, err := r.client.Do(q)
	if err != nil {
		return nil, r.unreachable(q.Context(), n, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, r.unreachable(q.Context(), n, err)
	}
	a.got = r.cfg.Now()
	a.status, a.header, a.cookies = res.StatusCode, res.Header, res.Cookies()
	a.code = res.Header.Get("X-Tokenjar-Problem")
	for _, c := range a.cookies {
		a.pair.put(c.Value, c.Name)
	}
	var tokens struct{ Access, Refresh string }
	if json.Unmarshal(body, &tokens) == nil && tokens.Refresh != "" {
		a.pair.put(tokens.Access, "")
		a.pair.put(tokens.Refresh, "")
	}
	r.note(a)
	return a, nil
}

func (r *run) unreachable(ctx context.Context, n *node, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return breakOff("%s", sayWhy(n, err))
}

// sayWhy tells a node that is not there from one that is called in the wrong way.
func sayWhy(n *node, err error) string {
	var wrongHost x509.HostnameError
	var untrusted *tls.CertificateVerificationError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &wrongHost):
		return fmt.Sprintf("the certificate of %s is for another host: %v; --public-url names the one it must be for", n, wrongHost)
	case errors.As(err, &untrusted):
		return fmt.Sprintf("the certificate of %s is not trusted: %v; the environment variable SSL_CERT_FILE names the file of a "+
			"CA of your own", n, untrusted.Err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Sprintf("%s speaks plain HTTP: write it as http://", n)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("%s does not answer in time: %v", n, err)
	}
	return fmt.Sprintf("%s does not answer: %v", n, err)
}

// sayHello makes sure that every node is there and knows the public host.
func (r *run) sayHello(ctx context.Context) error {
	for _, n := range r.nodes {
		q, err := r.request(ctx, n, http.MethodGet, "/session", nil)
		if err != nil {
			return err
		}
		a, err := r.do(q, n)
		switch {
		case err != nil:
			return err
		case a.status == http.StatusMisdirectedRequest:
			return fmt.Errorf("%s does not know the host %s: give its public_url with --public-url", n, r.host)
		case a.status == http.StatusBadRequest && strings.HasPrefix(n.url, "http:"): // so do servers that speak TLS
			return fmt.Errorf("%s answered %s: if it speaks TLS, write it as https://", n, a)
		case a.status != http.StatusOK:
			return fmt.Errorf("%s answered %s to GET %s/session: is there a tokenjar, and is its auth.path what --auth-path says?", n,
				a, r.cfg.Path)
		}
	}
	r.client.Timeout = requestTimeout
	return nil
}

// login opens a session, and waits while the server limits sign-ins.
func (r *run) login(ctx context.Context, n *node) (*session, error) {
	for waited := time.Duration(0); ; {
		q, err := r.request(ctx, n, http.MethodPost, "/login", map[string]string{
			"username": r.cfg.Username, "password": string(r.cfg.Password),
		})
		if err != nil {
			return nil, err
		}
		a, err := r.do(q, n)
		if err != nil {
			return nil, err
		}
		switch {
		case a.ok():
			return r.opened(a)
		case a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable:
			wait := max(time.Second, retryAfter(a.header))
			if waited += wait; waited > maxWaiting {
				return nil, breakOff("%s allows no sign-in for more than %s", n, maxWaiting)
			}
			r.cfg.Progress(fmt.Sprintf("waiting %s: the server limits sign-ins", wait))
			if err := r.cfg.Sleep(ctx, wait); err != nil {
				return nil, err
			}
		case a.code != "":
			return nil, fmt.Errorf("%s refused the sign-in of %s: %s", n, r.cfg.Username, a)
		default:
			return nil, fmt.Errorf("%s answered %s to a sign-in, without the cookies of a session", n, a)
		}
	}
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// opened takes a session from the answer to a sign-in.
func (r *run) opened(a *answer) (*session, error) {
	s := &session{at: a.from, pair: a.pair, accessName: a.pair.access.name}
	for _, c := range a.cookies {
		if c.Name != s.access.name && c.Name != s.refresh.name {
			s.csrfName, s.csrf = c.Name, c.Value
		}
	}
	r.sessions = append(r.sessions, s)
	if s.access.text == "" || s.csrf == "" {
		return nil, fmt.Errorf("%s answered a sign-in without the access or the CSRF cookie", a.from)
	}
	r.noteClock(a)
	return s, nil
}

// live returns a session that is good for a trial and is none of the others, a new one if there is none.
func (r *run) live(ctx context.Context, others ...*session) (*session, error) {
	for _, s := range r.sessions {
		if !s.over && !s.spoiled && !slices.Contains(others, s) {
			return s, nil
		}
	}
	return r.login(ctx, r.nodes[0])
}

// keep takes on the newest tokens. What came in a body is sent as a cookie under the name that is known already.
func (s *session) keep(p pair) {
	if p.refresh.name == "" {
		p.refresh.name = s.refresh.name
	}
	s.pair = p
}

// refresh shows a refresh token of a session in its cookie.
func (r *run) refresh(ctx context.Context, n *node, s *session, token jwt) (*answer, error) {
	q, err := r.refreshRequest(ctx, n, s, token)
	if err != nil {
		return nil, err
	}
	return r.do(q, n)
}

func (r *run) refreshRequest(ctx context.Context, n *node, s *session, token jwt) (*http.Request, error) {
	q, err := r.request(ctx, n, http.MethodPost, "/token/refresh", nil)
	if err != nil {
		return nil, err
	}
	cookie(q, s.refresh.name, token.text)
	cookie(q, s.csrfName, s.csrf)
	q.Header.Set("X-CSRFToken", s.csrf)
	return q, nil
}

// refreshInBody shows a refresh token as a client without cookies does.
func (r *run) refreshInBody(ctx context.Context, n *node, token jwt) (*answer, error) {
	q, err := r.request(ctx, n, http.MethodPost, "/token/refresh", map[string]string{"refresh": token.text})
	if err != nil {
		return nil, err
	}
	q.Header.Del("Origin")
	return r.do(q, n)
}

// accepts reports whether a node lets a session in by an access token alone.
func (r *run) accepts(ctx context.Context, n *node, s *session, token jwt) (*answer, bool, error) {
	q, err := r.request(ctx, n, http.MethodGet, "/user", nil)
	if err != nil {
		return nil, false, err
	}
	cookie(q, s.accessName, token.text)
	a, err := r.do(q, n)
	if err != nil {
		return nil, false, err
	}
	if a.status != http.StatusUnauthorized && a.status != http.StatusOK {
		return nil, false, breakOff("%s answered %s to GET %s/user", n, a, r.cfg.Path)
	}
	return a, a.status == http.StatusOK, nil
}

// logout signs a session out as its browser does.
func (r *run) logout(ctx context.Context, n *node, s *session) (*answer, error) {
	q, err := r.request(ctx, n, http.MethodPost, "/logout", nil)
	if err != nil {
		return nil, err
	}
	cookie(q, s.accessName, s.access.text)
	cookie(q, s.refresh.name, s.refresh.text)
	cookie(q, s.csrfName, s.csrf)
	q.Header.Set("X-CSRFToken", s.csrf)
	return r.do(q, n)
}

// endAll ends the sessions that may live still, and returns how many it could not end.
func (r *run) endAll(ctx context.Context) (left int) {
	ctx, cancel := context.WithTimeout(ctx, ending)
	defer cancel()
	r.budget.limit += 2 * len(r.sessions) // what has been begun is ended in any case
	for _, s := range r.sessions {
		if s.over {
			continue
		}
		a, err := r.logout(ctx, s.at, s)
		if s.over = err == nil && a.status == http.StatusOK; !s.over {
			left++
		}
	}
	return left
}

// A moment is when an answer is thrown away.
type moment string

const (
	onceSent  moment = "as soon as the request was written"
	onceBegun moment = "as its first byte came in" // it is committed by then
)

// drop shows a refresh token and closes the connection at a moment, with the answer unread.
func (r *run) drop(ctx context.Context, n *node, s *session, token jwt, when moment) error {
	if err := r.budget.take(ctx); err != nil {
		return err
	}
	gone, hangUp := context.WithCancel(ctx)
	defer hangUp()
	reached := make(chan struct{})
	once := sync.OnceFunc(func() {
		close(reached)
		hangUp()
	})
	trace := &httptrace.ClientTrace{}
	if when == onceSent {
		trace.WroteRequest = func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				once()
			}
		}
	} else {
		trace.GotFirstResponseByte = once
	}
	q, err := r.refreshRequest(httptrace.WithClientTrace(gone, trace), n, s, token)
	if err != nil {
		return err
	}
	res, err := r.client.Do(q)
	if err == nil {
		res.Body.Close()
	}
	select {
	case <-reached:
		return ctx.Err()
	default:
	}
	if err != nil {
		return r.unreachable(ctx, n, err)
	}
	return errors.New("an answer came without its first byte")
}
