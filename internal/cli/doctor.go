package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/doctor"
	"github.com/tokenjar/tokenjar/internal/plural"
)

// doctorFlags are the flags of the command.
type doctorFlags struct {
	user, origin, path string
	fromStdin, json    bool
}

func doctorCommand(o *options) *cobra.Command {
	var f doctorFlags
	c := &cobra.Command{
		Use:   "doctor URL",
		Short: "Find out why cookies are not set, not sent, or every request is 401",
		Long: `Doctor examines a running server from outside, as a browser meets it: address, certificate, redirects, cookies, CORS, caches,
sizes and clocks, and the proxy in front that may change any of them. Of each finding it prints what was seen, why a browser
does not put up with it, and the line of tokenjar.yaml or of nginx that mends it. What each says: docs/howto/cookies-not-set.md.

URL is the address that browsers know. Where the page is another origin's, --origin names it.

Without an account it asks what anybody may ask, changes nothing and tries no password. With --username it signs in, walks from
sign-in over refresh to sign-out with a cookie jar as strict as browsers', and ends its session in any case. The password is asked
for, or read from standard input with --password-stdin. It is sent to tokenjar alone, and not by plain http over a network.

The exit code is 0 when every check that was begun came to its end, nothing was found but notes, which break nothing, and no
session is left; it is 1 otherwise.`,
		Example: "  tokenjar doctor https://app.example.com\n" +
			"  pass show doctor | tokenjar doctor https://api.example.com --origin https://app.example.com --username doctor --password-stdin",
		Args: func(_ *cobra.Command, urls []string) error {
			if len(urls) != 1 {
				return usagef("say where: one URL")
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.Var((*text)(&f.user), "username", "`name` or address of an account to sign in with")
	flags.Var((*text)(&f.origin), "origin", "`origin` of the page that calls the server (default URL's own)")
	f.path = "/auth"
	flags.Var((*text)(&f.path), "auth-path", "`path` of the sign-in routes, as auth.path")
	flags.BoolVar(&f.fromStdin, "password-stdin", false, "read the password from standard input: one line")
	jsonFlag(c, &f.json)
	c.RunE = fail(func(ctx context.Context, urls []string) error { return o.doctor(ctx, urls[0], f) })
	return c
}

func (o *options) doctor(ctx context.Context, url string, f doctorFlags) error {
	var pw tokenjar.Password
	switch {
	case f.user != "":
		var err error
		if pw, err = o.askPassword(f.fromStdin); err != nil {
			return err
		}
	case f.fromStdin:
		return usagef("a password without a name signs nobody in: give --username")
	}
	ctx, stop := untilSignal(ctx, func() {}, os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := doctor.Run(ctx, doctor.Config{URL: url, Path: f.path, Origin: f.origin, Username: f.user, Password: pw})
	if wrong, ok := errors.AsType[*doctor.ConfigError](err); ok {
		return usagef("%s", wrong)
	}
	if report != nil && report.Left || errors.Is(err, doctor.ErrLeft) {
		defer fmt.Fprintf(o.stderr, "tokenjar: a session may be left: tokenjar sessions revoke --user %s\n", plainLine(f.user))
	}
	if errors.Is(err, context.Canceled) {
		return errors.New(strings.Replace(err.Error(), context.Canceled.Error(), "it was interrupted, so there is no report", 1))
	}
	if err != nil {
		return err
	}
	if f.json {
		err = o.doctorJSON(report)
	} else {
		err = o.doctorText(report)
	}
	if err == nil && report.Failed() {
		return errSaid
	}
	return err
}

// doctorSummary is the last line for programs.
type doctorSummary struct {
	URL      string `json:"url"`
	Checks   int    `json:"checks"`
	Well     int    `json:"well"`
	NotTried int    `json:"not_tried"`
	Broken   int    `json:"broken_off"`
	Findings int    `json:"findings"`
	Notes    int    `json:"notes"`
	Requests int    `json:"requests"`
	Left     bool   `json:"session_left"`
}

func summarizeDoctor(r *doctor.Report) doctorSummary {
	s := doctorSummary{URL: r.URL, Checks: len(r.Outcomes), Requests: r.Requests, Left: r.Left}
	for _, outcome := range r.Outcomes {
		switch outcome.Result {
		case doctor.Well:
			s.Well++
		case doctor.NotTried:
			s.NotTried++
		case doctor.BrokenOff:
			s.Broken++
		}
		for _, finding := range outcome.Findings {
			if finding.Note {
				s.Notes++
			} else {
				s.Findings++
			}
		}
	}
	return s
}

func (o *options) doctorJSON(r *doctor.Report) error {
	for _, outcome := range r.Outcomes {
		if err := printJSON(o.stdout, outcome); err != nil {
			return err
		}
	}
	return printJSON(o.stdout, summarizeDoctor(r))
}

// resultWords are the results for people.
var resultWords = map[doctor.Result]string{
	doctor.Well: "WELL", doctor.Noted: "NOTED", doctor.Found: "FOUND", doctor.NotTried: "NOT TRIED",
	doctor.BrokenOff: "BROKE OFF",
}

// doctorText prints a line for each check and a paragraph for each finding.
func (o *options) doctorText(r *doctor.Report) error {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(plainLine(fmt.Sprintf(format, args...)) + "\n") }
	for _, outcome := range r.Outcomes {
		line("%-9s  %s", resultWords[outcome.Result], outcome.Title)
		if outcome.Why != "" {
			line("  %-8s %s", "why", outcome.Why)
		}
		for _, finding := range outcome.Findings {
			b.WriteByte('\n')
			line("  %s: %s", finding.Name, finding.Title)
			for _, each := range []struct{ name, text string }{
				{"seen", finding.Seen}, {"why", finding.Why}, {"fix", finding.Fix},
				{"setting", finding.Setting}, {"nginx", finding.Nginx},
			} {
				if each.text != "" {
					line("    %-8s %s", each.name, each.text)
				}
			}
		}
		if len(outcome.Findings) > 0 {
			b.WriteByte('\n')
		}
	}
	s := summarizeDoctor(r)
	b.WriteByte('\n')
	broken := ""
	if s.Broken > 0 {
		broken = fmt.Sprintf("%d broken off, ", s.Broken)
	}
	line("%s: %s, %s; %d of %s not tried, %s%s", s.URL, plural.Count(s.Findings, "finding", "findings"),
		plural.Count(s.Notes, "note", "notes"), s.NotTried, plural.Count(s.Checks, "check", "checks"), broken,
		plural.Count(s.Requests, "request", "requests"))
	_, err := fmt.Fprint(o.stdout, b.String())
	return err
}
