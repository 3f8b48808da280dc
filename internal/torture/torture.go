package torture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/plural"
)

// Bounds of what a run may do to a server.
const (
	DefaultRate   = 50  // requests a second, on average
	MaxRate       = 200 // the most that an operator may ask for
	Burst         = 64  // requests that may be under way at once
	DefaultRounds = 5   // of sign-out against refresh; each needs a sign-in
	MaxRounds     = 200

	baseRequests     = 1000 // in all, beside those of the rounds
	requestsPerRound = 100  // of one round, for each node

	// Bound is how soon a sign-out must hold on the nodes that were not asked.
	Bound = time.Second

	shortGrace = 2 * time.Second // waited for without being told to
	margin     = 1500 * time.Millisecond
	maxSkew    = 5 * time.Second
	ending     = 30 * time.Second // for ending the sessions
)

// Config says what to try, and where. Nodes, Username and Password are required.
type Config struct {
	// Nodes are the addresses of the nodes, "http" or "https", without a path. One is enough; then what is between nodes
	// is not tried.
	Nodes []string
	// PublicURL is the address that browsers know, whose host and origin every request names. The certificate of an https
	// node must be for its host. Default: the first node.
	PublicURL string
	// Path is where the sign-in routes are. Default: /auth.
	Path string

	// Username and Password are those of an account made for this: all sessions that are opened are its.
	Username string
	Password tokenjar.Password

	// Grace is the server's session.grace, 1 s to 60 s. Default: 10 s.
	Grace time.Duration
	// Slow allows waiting longer than the grace, twice, when that is more than two seconds.
	Slow bool
	// Rounds is how often sign-out races refresh, 1 to [MaxRounds]. Default: 5. Each needs a sign-in, which the server limits.
	Rounds int
	// Rate is how many requests there are in a second on average, at most [Burst] of them at once. Default: 50.
	Rate float64
	// Metrics are the addresses of the nodes' metrics, one for each node; none: counters are not compared.
	Metrics []string

	// Transport sends the requests. Default: one like [http.DefaultTransport].
	Transport http.RoundTripper
	// Now and Sleep are the clock. Default: the machine's. Sleep returns the context's error when that ends first.
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
	// Progress is told in a few words what is being done. Default: nobody is.
	Progress func(text string)
}

// A Result is what became of a rule.
type Result string

// The results.
const (
	Pass     Result = "pass"
	Fail     Result = "fail"
	NotTried Result = "not_tried"
)

// A Verdict is the judgement on one rule.
type Verdict struct {
	Rule    string             `json:"rule"`
	Title   string             `json:"title"`
	Result  Result             `json:"verdict"`
	Seen    string             `json:"seen,omitempty"`    // of a failure: what was seen,
	Means   string             `json:"means,omitempty"`   // what it means
	LookAt  string             `json:"look_at,omitempty"` // and what to look at
	Why     string             `json:"why,omitempty"`     // it was not tried
	Notes   []string           `json:"notes,omitempty"`   // what was tried, and what was left out
	Figures map[string]float64 `json:"figures,omitempty"` // what was measured
}

// A Report is what a run has found out.
type Report struct {
	Verdicts []Verdict
	Nodes    int
	URL      string // public
	Requests int
	Took     time.Duration
	Left     int // sessions that could not be ended
}

// Failed reports whether a rule does not hold.
func (r *Report) Failed() bool {
	for _, v := range r.Verdicts {
		if v.Result == Fail {
			return true
		}
	}
	return false
}

// A ConfigError says that a run cannot begin as it was described.
type ConfigError struct{ text string }

func (e *ConfigError) Error() string { return e.text }

func badConfig(format string, args ...any) error { return &ConfigError{fmt.Sprintf(format, args...)} }

// A run is one run.
type run struct {
	cfg      Config
	origin   string
	host     string
	nodes    []*node
	client   *http.Client
	budget   *budget
	sessions []*session

	judging  sync.Mutex
	verdicts []*Verdict

	mu      sync.Mutex // what answers tell
	answers int
	slowest time.Duration // of them
	cookies int
	lives   map[string]life // of access tokens, by id
	offsets []offset
	tally   map[string]int // of events that we have caused
}

// A node is one address of the deployment.
type node struct {
	index int
	url   string
}

func (n *node) String() string { return n.url }

// Run tries every rule it can. It returns an error, and no report, when it was told nonsense ([*ConfigError]), when a node
// does not answer, when the account cannot sign in, and when the context ends. The sessions it has opened are ended in
// any case.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	begun := r.cfg.Now()
	err = r.all(ctx)
	left := r.endAll(context.WithoutCancel(ctx))
	if err != nil {
		if left > 0 {
			err = fmt.Errorf("%w; %d of its sessions could not be ended", err, left)
		}
		return nil, err
	}
	report := &Report{
		Nodes: len(r.nodes), URL: r.origin, Requests: r.budget.spent(), Took: r.cfg.Now().Sub(begun), Left: left,
	}
	for _, v := range r.verdicts {
		report.Verdicts = append(report.Verdicts, *v)
	}
	return report, nil
}

func newRun(cfg Config) (*run, error) {
	if len(cfg.Nodes) == 0 {
		return nil, badConfig("no node is named")
	}
	or := func(field *string, def string) {
		if *field == "" {
			*field = def
		}
	}
	or(&cfg.PublicURL, cfg.Nodes[0])
	or(&cfg.Path, "/auth")
	if cfg.Grace == 0 {
		cfg.Grace = tokenjar.DefaultGrace
	}
	if cfg.Rounds == 0 {
		cfg.Rounds = DefaultRounds
	}
	if cfg.Rate == 0 {
		cfg.Rate = DefaultRate
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	public, err := baseURL(cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Username == "" || cfg.Password == "":
		return nil, badConfig("an account and its password are needed")
	case cfg.Path[0] != '/' || len(cfg.Path) > 1 && strings.HasSuffix(cfg.Path, "/"):
		return nil, badConfig("the path %s must begin with a slash and not end in one", cfg.Path)
	case cfg.Grace < time.Second || cfg.Grace > time.Minute:
		return nil, badConfig("a grace of %s cannot be tried: it must be 1s to 60s", cfg.Grace)
	case cfg.Rounds < 1 || cfg.Rounds > MaxRounds:
		return nil, badConfig("%d rounds are out of bounds: 1 to %d", cfg.Rounds, MaxRounds)
	case !(cfg.Rate >= 1) || cfg.Rate > MaxRate && !math.IsInf(cfg.Rate, 1): // that is for tests
		return nil, badConfig("%g requests a second are out of bounds: 1 to %d", cfg.Rate, MaxRate)
	case len(cfg.Metrics) > 0 && len(cfg.Metrics) != len(cfg.Nodes):
		return nil, badConfig("--metrics names %s for %s: name one for each node, or none",
			plural.Count(len(cfg.Metrics), "address", "addresses"), plural.Count(len(cfg.Nodes), "node", "nodes"))
	}
	r := &run{
		cfg: cfg, origin: public.Scheme + "://" + public.Host, host: public.Host,
		budget: newBudget(cfg.Rate, baseRequests+requestsPerRound*cfg.Rounds*len(cfg.Nodes), cfg.Now, cfg.Sleep),
		lives:  map[string]life{}, tally: map[string]int{},
	}
	seen := map[string]bool{}
	for i, raw := range cfg.Nodes {
		u, err := baseURL(raw)
		if err != nil {
			return nil, err
		}
		address := u.Scheme + "://" + u.Host
		if seen[address] {
			return nil, badConfig("%s is named twice", address)
		}
		seen[address] = true
		r.nodes = append(r.nodes, &node{index: i, url: address})
	}
	r.client = newClient(cfg.Transport, public.Hostname())
	for _, rule := range rules {
		r.verdicts = append(r.verdicts, &Verdict{Rule: rule.id, Title: rule.title, Result: NotTried})
	}
	return r, nil
}

// baseURL reads an address without a path.
func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err == nil && strings.HasPrefix(u.Scheme, "http") && u.Host != "" && u.Path != "" && u.Path != "/" {
		return nil, badConfig("%s has a path: name the host alone, and with --auth-path where auth.path is not /auth", raw)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return nil, badConfig("%s is no address of a node: write it as https://app.example.com", raw)
	}
	return u, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// all runs the trials one after the other. The order is the one in which one session serves as many of them as it can:
// sign-ins are what a server limits most.
func (r *run) all(ctx context.Context) error {
	if err := r.sayHello(ctx); err != nil {
		return err
	}
	before, err := r.scrape(ctx)
	if err != nil {
		return err
	}
	if _, err := r.login(ctx, r.nodes[0]); err != nil { // now, since a wrong password is no verdict
		return err
	}
	for _, trial := range []struct {
		text  string
		rules []string
		try   func(context.Context) error
	}{
		{"parallel refreshes", []string{"R1", "R3", "R6"}, r.tryParallel},
		{"lost answers", []string{"R2", "R11"}, r.tryLostAnswers},
		{"a copied token", []string{"R4", "R7"}, r.tryReuse},
		{"late retries", []string{"R5"}, r.tryLate},
		{"sign-out against refresh", []string{"R9"}, r.tryLogout},
		{"clocks", []string{"R8"}, r.tryClocks},
		{"counters", []string{"R10"}, func(ctx context.Context) error { return r.tryMetrics(ctx, before) }},
	} {
		r.cfg.Progress(trial.text)
		err := trial.try(ctx)
		var broken *brokenOff
		switch {
		case errors.As(err, &broken):
			for _, rule := range trial.rules {
				r.notTried(rule, "it was broken off: "+broken.Error())
			}
			for _, s := range r.sessions { // nobody knows what became of them
				s.spoiled = true
			}
		case err != nil:
			return err
		}
	}
	r.judgeAnswers()
	r.judgeLives()
	r.notTried("R12", "a store cannot be broken from outside: stop the database for a minute while a browser is signed in. Every "+
		"answer must be 503 with Retry-After, no cookie may go, and the session must go on afterwards")
	return nil
}

// A brokenOff error ends a trial without a verdict: the server did not answer, or not in a way that says anything.
type brokenOff struct{ text string }

func (e *brokenOff) Error() string { return e.text }

func breakOff(format string, args ...any) error { return &brokenOff{fmt.Sprintf(format, args...)} }

// between returns a node and the one after it: the same one when there is only one.
func (r *run) between(i int) (a, b *node) {
	return r.nodes[i%len(r.nodes)], r.nodes[(i+1)%len(r.nodes)]
}
