package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	requestTimeout = 30 * time.Second
	maxBody        = 64 << 10 // of an answer, bytes
	maxHeader      = 64 << 10
	problemHeader  = "X-Tokenjar-Problem"
	csrfHeader     = "X-CSRFToken"
)

// newClient returns a client that keeps no cookies and follows no redirect: each is looked at by itself.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = maxHeader
		transport = t
	}
	return &http.Client{
		Transport: transport, Timeout: requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A request is one as a script of a page sends it.
type request struct {
	method, path string
	url          *url.URL // of the server; nil: the one examined
	page         *url.URL // that asks; nil: the server's own
	cookie       string
	csrf         string
	body         any
	header       http.Header
	fresh        bool // on a connection of its own
}

// An answer is what came back, read to the end.
type answer struct {
	what    string // the request, for people
	url     *url.URL
	status  int
	header  http.Header
	body    []byte
	code    string // of a problem of ours, "" for none
	detail  string
	cookies []setCookie
	sent    time.Time
	got     time.Time
	expires time.Time // of the certificate; zero without TLS
}

// String says what came of what, in one line.
func (a *answer) String() string {
	text := fmt.Sprintf("%s answered %d", a.what, a.status)
	if a.code != "" {
		text += " " + hideTokens(a.code)
	}
	if where := a.header.Get("Location"); where != "" && a.redirects() {
		text += " to " + hideTokens(where)
	}
	return text
}

func (a *answer) redirects() bool { return a.status >= 300 && a.status < 400 }

// ours reports whether it is tokenjar that has refused.
func (a *answer) ours() bool { return a.code != "" }

// field returns a header as it came, "" without one, for people.
func (a *answer) field(name string) string {
	if values := a.header.Values(name); len(values) > 0 {
		return name + ": " + hideTokens(strings.Join(values, ", "))
	}
	return "no " + name
}

var tokenPattern = regexp.MustCompile(`[A-Za-z0-9_-]*eyJ[A-Za-z0-9_.-]*`)

// hideTokens takes what may be a token out of a text from outside, and what would fill the terminal.
func hideTokens(text string) string {
	const most = 300
	text = tokenPattern.ReplaceAllString(text, "…")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// do sends a request and reads the answer. Where that breaks off after its head, there is an error and the answer as far as it
// came: it may hold the cookies of a session.
func (e *exam) do(ctx context.Context, q request) (*answer, error) {
	if q.url == nil {
		q.url = e.url
	}
	if q.page == nil {
		q.page = q.url
	}
	if q.method == "" {
		q.method = http.MethodGet
	}
	var body io.Reader
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		body = strings.NewReader(string(text))
	}
	target := *q.url
	target.Path = q.path
	r, err := http.NewRequestWithContext(ctx, q.method, target.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", "tokenjar doctor")
	r.Close = q.fresh
	e.mark(r, q)
	if q.cookie != "" {
		r.Header.Set("Cookie", q.cookie)
	}
	if q.csrf != "" {
		r.Header.Set(csrfHeader, q.csrf)
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return e.send(r, &target)
}

// mark says where a request comes from, as browsers do: Origin with all but a plain read of one's own origin, and Fetch
// Metadata towards addresses that are encrypted or on this machine.
func (e *exam) mark(r *http.Request, q request) {
	own := originOf(q.page) == originOf(q.url)
	if _, said := r.Header["Origin"]; !said && (q.method != http.MethodGet || !own) {
		r.Header.Set("Origin", originOf(q.page))
	}
	if q.url.Scheme != "https" && !isLoopback(q.url.Hostname()) {
		return
	}
	relation := "cross-site"
	switch {
	case own:
		relation = "same-origin"
	case sameSite(q.page, q.url):
		relation = "same-site"
	}
	if _, said := r.Header["Sec-Fetch-Site"]; !said {
		r.Header.Set("Sec-Fetch-Site", relation)
	}
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
}

func (e *exam) send(r *http.Request, target *url.URL) (*answer, error) {
	e.requests++
	a := &answer{what: r.Method + " " + r.URL.Path, url: target, sent: e.cfg.Now()}
	if target.Scheme != e.url.Scheme {
		a.what = r.Method + " " + r.URL.String()
	}
	res, err := e.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxBody))
	a.got = e.cfg.Now()
	a.status, a.header = res.StatusCode, res.Header
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		a.expires = res.TLS.PeerCertificates[0].NotAfter
	}
	a.code = res.Header.Get(problemHeader)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		var problem struct{ Type, Code, Detail string }
		if json.Unmarshal(a.body, &problem) == nil && strings.HasPrefix(problem.Type, "urn:problem-type:tokenjar:") {
			a.code, a.detail = problem.Code, problem.Detail
		}
	}
	for _, line := range res.Header.Values("Set-Cookie") {
		if c, ok := parseSetCookie(line, a.got); ok {
			a.cookies = append(a.cookies, c)
		}
	}
	if err != nil {
		return a, fmt.Errorf("%s and broke off: %w", a, err)
	}
	return a, nil
}

// unanswered says what became of a request that has no whole answer.
func unanswered(a *answer, err error) string {
	if a == nil {
		return "there is no answer: " + hideTokens(err.Error())
	}
	return hideTokens(err.Error())
}

// originOf writes an address as browsers write it in Origin.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + host
}
