package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar/internal/plural"
	"github.com/tokenjar/tokenjar/internal/torture"
)

// tortureFlags are the flags of the command.
type tortureFlags struct {
	user, publicURL, path string
	grace                 time.Duration
	rounds                int
	rate                  float64
	metrics               []string
	slow, fromStdin, json bool
}

func tortureCommand(o *options) *cobra.Command {
	var f tortureFlags
	c := &cobra.Command{
		Use:   "torture URL… --user USER",
		Short: "Try the rotation contract on a running deployment",
		Long: `Torture attacks a deployment from outside: many refreshes of one token at once, answers that are thrown away, old
tokens, sign-out against refresh. It prints a verdict on each rule of the contract: PASS, FAIL with what was seen, what it
means and what to look at, or NOT TRIED with the reason. What each says: docs/howto/torture.md.

Each URL is a node of one deployment; every request names the host and origin of --public-url. The sessions are those of one
account, which should be made for this, and are ended at the end. It signs in two to four times and once for each round, and
waits where the server limits that.

At most 64 requests are under way at once, --rate a second on average, and in all 1000 and 100 for each round and node.

The password is asked for, or read from standard input with --password-stdin. The exit code is 0 when no rule fails.`,
		Example: "  pass show torture | tokenjar torture https://app.example.com --user torture --password-stdin\n" +
			"  tokenjar torture http://10.0.0.1:8080 http://10.0.0.2:8080 --public-url https://app.example.com --user torture --slow",
		Args: func(_ *cobra.Command, nodes []string) error {
			if len(nodes) == 0 {
				return usagef("say where: the URL of one node or more")
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.Var((*text)(&f.user), "user", "`name` or address of the account")
	flags.Var((*text)(&f.publicURL), "public-url", "`address` that browsers know (default the first URL)")
	f.path = "/auth"
	flags.Var((*text)(&f.path), "auth-path", "`path` of the sign-in routes, as auth.path")
	flags.DurationVar(&f.grace, "grace", 10*time.Second, "the server's session.grace, 1s to 60s")
	flags.BoolVar(&f.slow, "slow", false, "wait for the grace, twice, where that is more than 2s")
	flags.IntVar(&f.rounds, "rounds", torture.DefaultRounds, fmt.Sprintf("how often sign-out races refresh, 1 to %d", torture.MaxRounds))
	flags.Float64Var(&f.rate, "rate", torture.DefaultRate, fmt.Sprintf("requests a second, 1 to %d", torture.MaxRate))
	flags.StringArrayVar(&f.metrics, "metrics", nil, "`URL` of a node's metrics, once for each node, to compare counters")
	flags.BoolVar(&f.fromStdin, "password-stdin", false, "read the password from standard input: one line")
	jsonFlag(c, &f.json)
	c.RunE = fail(func(ctx context.Context, nodes []string) error { return o.torture(ctx, nodes, f) })
	return c
}

func (o *options) torture(ctx context.Context, nodes []string, f tortureFlags) error {
	switch {
	case f.user == "":
		return usagef("say whose sessions: --user names an account that was made for this")
	case f.rounds < 1 || f.rounds > torture.MaxRounds: // 0 would be the default there
		return usagef("%d rounds are out of bounds: --rounds is 1 to %d", f.rounds, torture.MaxRounds)
	case !(f.rate >= 1 && f.rate <= torture.MaxRate):
		return usagef("%g requests a second are out of bounds: --rate is 1 to %d", f.rate, torture.MaxRate)
	case f.grace == 0:
		return usagef("with a grace of 0 every second use of a token is reuse, by your own setting: there is nothing to try")
	}
	pw, err := o.askPassword(f.fromStdin)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx, func() {}, os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := torture.Run(ctx, torture.Config{
		Nodes: nodes, PublicURL: f.publicURL, Path: f.path, Username: f.user, Password: pw,
		Grace: f.grace, Slow: f.slow, Rounds: f.rounds, Rate: f.rate, Metrics: f.metrics,
		Progress: func(text string) { fmt.Fprintln(o.stderr, "tokenjar: "+plainLine(text)) },
	})
	if wrong, ok := errors.AsType[*torture.ConfigError](err); ok {
		return usagef("%s", wrong)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New(strings.Replace(err.Error(), context.Canceled.Error(), "it was interrupted, so there is no verdict", 1))
	}
	if err != nil {
		return err
	}
	if f.json {
		err = o.tortureJSON(report)
	} else {
		err = o.tortureText(report, f.user)
	}
	if report.Left > 0 {
		fmt.Fprintf(o.stderr, "tokenjar: %s could not be ended: tokenjar sessions revoke --user %s\n", plural.Count(report.Left, "session", "sessions"),
			plainLine(f.user))
	}
	if err == nil && report.Failed() {
		return errSaid
	}
	return err
}

// tortureSummary is the last line for programs.
type tortureSummary struct {
	URL      string  `json:"url"`
	Nodes    int     `json:"nodes"`
	Passed   int     `json:"passed"`
	Failed   int     `json:"failed"`
	NotTried int     `json:"not_tried"`
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	Left     int     `json:"sessions_left"`
}

func summarize(r *torture.Report) tortureSummary {
	s := tortureSummary{URL: r.URL, Nodes: r.Nodes, Requests: r.Requests, Seconds: r.Took.Round(100 * time.Millisecond).Seconds(), Left: r.Left}
	for _, v := range r.Verdicts {
		switch v.Result {
		case torture.Pass:
			s.Passed++
		case torture.Fail:
			s.Failed++
		default:
			s.NotTried++
		}
	}
	return s
}

func (o *options) tortureJSON(r *torture.Report) error {
	for _, v := range r.Verdicts {
		if err := printJSON(o.stdout, v); err != nil {
			return err
		}
	}
	return printJSON(o.stdout, summarize(r))
}

// words are the verdicts for people.
var words = map[torture.Result]string{torture.Pass: "PASS", torture.Fail: "FAIL", torture.NotTried: "NOT TRIED"}

// tortureText prints a paragraph for each verdict.
func (o *options) tortureText(r *torture.Report, user string) error {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(plainLine(fmt.Sprintf(format, args...)) + "\n") }
	line("%s as %s, account %s", plural.Count(r.Nodes, "node", "nodes"), r.URL, user)
	if r.Nodes == 1 {
		line("What lies between nodes is not tried: name the others as well, if there are any.")
	}
	for _, v := range r.Verdicts {
		b.WriteByte('\n')
		line("%-9s  %-8s  %s", words[v.Result], v.Rule, v.Title)
		for _, each := range []struct{ name, text string }{
			{"seen", v.Seen}, {"means", v.Means}, {"look at", v.LookAt}, {"why", v.Why},
		} {
			if each.text != "" {
				line("  %-8s %s", each.name, each.text)
			}
		}
		if v.Result == torture.Pass {
			for _, note := range v.Notes {
				line("  - %s", note)
			}
		}
	}
	s := summarize(r)
	b.WriteByte('\n')
	line("%d passed, %d failed, %d not tried: %s in %g s", s.Passed, s.Failed, s.NotTried, plural.Count(s.Requests, "request", "requests"), s.Seconds)
	_, err := fmt.Fprint(o.stdout, b.String())
	return err
}
