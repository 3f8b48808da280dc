package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/csrf"
)

// Config says what to examine. URL is required.
type Config struct {
	// URL is the address of tokenjar as browsers know it, without a path.
	URL string
	// Path is where the sign-in routes are. Default: /auth.
	Path string
	// Origin is that of the page whose scripts call URL. Default: URL's own, which needs no CORS.
	Origin string

	// Username and Password are those of an account to sign in with; without a name nobody is signed in.
	Username string
	Password tokenjar.Password

	// Transport sends the requests. Default: one like [http.DefaultTransport].
	Transport http.RoundTripper
	// Now is the clock that others are compared with. Default: the machine's.
	Now func() time.Time
}

// A Result is what became of a check.
type Result string

// The results. Noted is for what breaks nothing by itself, BrokenOff for a check that got no answer and so says nothing.
const (
	Well      Result = "well"
	Noted     Result = "noted"
	Found     Result = "found"
	NotTried  Result = "not_tried"
	BrokenOff Result = "broken_off"
)

// A Finding is something that was seen and that browsers do not put up with.
type Finding struct {
	Name    string `json:"finding"`
	Title   string `json:"title"`
	Note    bool   `json:"note,omitempty"` // it breaks nothing by itself
	Seen    string `json:"seen"`           // without the values of cookies and tokens
	Why     string `json:"why"`
	Fix     string `json:"fix"`
	Setting string `json:"setting,omitempty"` // line of tokenjar.yaml
	Nginx   string `json:"nginx,omitempty"`   // directives
}

// An Outcome is what came of one check.
type Outcome struct {
	Check    string    `json:"check"`
	Title    string    `json:"title"`
	Result   Result    `json:"result"`
	Why      string    `json:"why,omitempty"` // it was not tried, or was broken off
	Findings []Finding `json:"findings,omitempty"`
}

// A Report is what an examination has found out.
type Report struct {
	URL      string
	Outcomes []Outcome
	Requests int
	Left     bool // a session may live still: it could not be ended, or nobody knows whether it has begun
}

// Failed reports whether there is a finding that is no note, a check that was broken off, or a session that may be left. None of
// these is a server that is well.
func (r *Report) Failed() bool {
	return r.Left || slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Result == Found || o.Result == BrokenOff })
}

// ErrLeft is joined to an error of [Run] after which a session may live still.
var ErrLeft = errors.New("a session may be left")

// A ConfigError says that an examination cannot begin as it was described.
type ConfigError struct{ text string }

func (e *ConfigError) Error() string { return e.text }

func badConfig(format string, args ...any) error { return &ConfigError{fmt.Sprintf(format, args...)} }

// A found is a finding before it is put into words.
type found struct{ kind, seen string }

// An exam is one examination.
type exam struct {
	cfg      Config
	url      *url.URL // of the server
	page     *url.URL // whose scripts call it
	client   *http.Client
	requests int
	kinds    map[string]bool // that have been found
	hello    *answer
	stopped  string      // kind of what was wrong with the first answer
	posted   bool        // a POST has come through
	lines    []setCookie // of an answer that deletes all cookies
	session  *session    // nil without one that may live
}

// A check looks at one thing. It is left out where it would find the same cause again, or send a password where it must not go:
// after a first answer that was wrong, where posts says that it needs a POST to come through and none does, and where one of the
// kinds in unless has been found.
type check struct {
	name, title string
	posts       bool
	unless      []string
	run         func(*exam, context.Context) ([]found, error)
}

// checks are all there are, in the order in which they are made.
var checks = []check{
	{"address", "tokenjar answers at the address", false, nil, (*exam).sayHello},
	{"ready", "the server is ready", false, nil, (*exam).checkReady},
	{"keys", "the public keys are there", false, nil, (*exam).checkKeys},
	{"scheme", "cookies can come by this scheme", false, nil, (*exam).checkScheme},
	{"post", "a POST comes through", false, []string{kindScheme}, (*exam).checkPost},
	{"slash", "a slash at the end makes no difference", true, nil, (*exam).checkSlash},
	{"plain-http", "plain http leads to https", false, []string{kindScheme, kindPublicURL}, (*exam).checkPlainHTTP},
	{"hsts", "browsers are told to use https alone", false, []string{kindPublicURL}, (*exam).checkHSTS},
	{"cookies", "browsers take the cookies", true, nil, (*exam).checkCookies},
	{"request", "cookies and origin arrive", true, nil, (*exam).checkRequest},
	{"size", "a header with the cookies arrives", false, nil, (*exam).checkSize},
	{"cache", "no cache keeps answers", false, nil, (*exam).checkCache},
	{"clock", "the clocks agree", false, nil, (*exam).checkClock},
	{"site", "page and API are one site", true, nil, (*exam).checkSite},
	{"cors", "the page may read and write", true, []string{kindOtherSite, kindCached}, (*exam).checkCORS},
	{"session", "a session lives from sign-in to sign-out", true, []string{
		kindNotReady, kindNoSetCookie, kindNoCookie, kindCached,
		kindOtherSite, kindPreflight, kindCORSOrigin, kindCredentials, kindCORSHeaders, kindCORSTwice, kindTrusted,
	}, (*exam).goTheWay},
}

// Run makes every check it can. It returns an error, and no report, when it was told nonsense ([*ConfigError]), when nobody
// answers at the address, when the account cannot sign in, and when the context ends. A session that was opened is ended in any
// case; where that cannot be, or cannot be known, [Report.Left] or [ErrLeft] says so.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	e, err := newExam(cfg)
	if err != nil {
		return nil, err
	}
	report := &Report{URL: originOf(e.url)}
	for _, c := range checks {
		outcome, err := e.make(ctx, c)
		if err != nil {
			if !e.end(ctx) {
				err = fmt.Errorf("%w; %w", err, ErrLeft)
			}
			return nil, err
		}
		report.Outcomes = append(report.Outcomes, outcome)
	}
	report.Left = !e.end(ctx)
	report.Requests = e.requests
	return report, nil
}

// A fault ends an examination: nobody answers, or the account cannot sign in.
type fault struct{ text string }

func (f *fault) Error() string { return f.text }

// A left error says why a check was not made.
type left struct{ why string }

func (l *left) Error() string { return l.why }

// make makes one check.
func (e *exam) make(ctx context.Context, c check) (Outcome, error) {
	o := Outcome{Check: c.name, Title: c.title, Result: Well}
	if o.Why = e.hindered(c); o.Why != "" {
		o.Result = NotTried
		return o, nil
	}
	list, err := c.run(e, ctx)
	var not *left
	switch {
	case ctx.Err() != nil:
		return o, ctx.Err()
	case errors.As(err, &not):
		o.Result, o.Why = NotTried, not.why
	case err != nil:
		if _, ends := errors.AsType[*fault](err); ends {
			return o, err
		}
		o.Result, o.Why = BrokenOff, "it was broken off: "+hideTokens(err.Error())
	}
	for _, f := range list {
		if e.kinds[f.kind] { // said once, with the first thing that was seen of it
			continue
		}
		e.kinds[f.kind] = true
		finding := e.word(f)
		o.Findings = append(o.Findings, finding)
		if !finding.Note {
			o.Result = Found
		} else if o.Result == Well {
			o.Result = Noted
		}
	}
	return o, nil
}

// hindered says what stands in the way of a check, "" if nothing does.
func (e *exam) hindered(c check) string {
	const first = "what was found before comes first: "
	if e.stopped != "" {
		return first + e.stopped
	}
	for _, kind := range c.unless {
		if e.kinds[kind] {
			return first + kind
		}
	}
	if c.posts && !e.posted {
		return "no POST has come through"
	}
	return ""
}

// word puts a finding into words.
func (e *exam) word(f found) Finding {
	k := kindOf(f.kind)
	if pw := string(e.cfg.Password); pw != "" { // a server may say it back, and reports are passed around
		f.seen = strings.ReplaceAll(f.seen, pw, "…")
	}
	return Finding{
		Name: k.Name, Title: k.Title, Note: k.Note, Seen: f.seen, Why: k.Why, Fix: k.Fix,
		Setting: e.fill(k.Setting), Nginx: e.fill(k.Nginx),
	}
}

// fill puts into a line what was examined.
func (e *exam) fill(line string) string {
	return strings.NewReplacer("{url}", originOf(e.url), "{host}", e.url.Hostname(), "{origin}", originOf(e.page)).Replace(line)
}

func newExam(cfg Config) (*exam, error) {
	if cfg.Path == "" {
		cfg.Path = "/auth"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	u, err := baseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	e := &exam{cfg: cfg, url: u, page: u, client: newClient(cfg.Transport), kinds: map[string]bool{}}
	switch {
	case cfg.Path[0] != '/' || len(cfg.Path) > 1 && strings.HasSuffix(cfg.Path, "/"):
		return nil, badConfig("the path %s must begin with a slash and not end in one", cfg.Path)
	case cfg.Username == "" && cfg.Password != "":
		return nil, badConfig("a password without a name signs nobody in")
	case cfg.Origin == "":
	default:
		if _, err := csrf.NewOrigins([]string{cfg.Origin}); err != nil {
			return nil, badConfig("%s is no origin as browsers write it: https://app.example.com, or http://localhost:5173", cfg.Origin)
		}
		if e.page, err = url.Parse(cfg.Origin); err != nil {
			return nil, badConfig("%s is no origin", cfg.Origin)
		}
	}
	return e, nil
}

// baseURL reads an address without a path.
func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Path != "" && u.Path != "/" {
		return nil, badConfig("%s has a path: name the host alone, and with --auth-path where auth.path is not /auth", raw)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, badConfig("%s is no address of a server: write it as https://app.example.com", raw)
	}
	u.Path = ""
	return u, nil
}

// crossOrigin reports whether the page is another origin than the server.
func (e *exam) crossOrigin() bool { return originOf(e.page) != originOf(e.url) }
