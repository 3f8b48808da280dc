package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Main runs the command that the program was called with and returns its exit code.
func Main() int { return MainAt(time.Now) }

// MainAt does so by a clock: tests have nodes whose clock is wrong.
func MainAt(now func() time.Time) int {
	ignorePipe()
	return run(context.Background(), os.Args[1:], world{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), now: now,
	})
}

// A world is what commands see of the system.
type world struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	now     func() time.Time // of a server; nil: the machine's
}

// run is Main with everything named.
func run(ctx context.Context, args []string, w world) int {
	root := newRoot(w)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if _, failed := errors.AsType[*failure](err); failed {
		report(w.stderr, err)
		return 1
	}
	// cobra refused the arguments, or a command did
	report(w.stderr, withHint(usageText(err), "see %s --help", command.CommandPath()))
	return 2
}

// usageText puts cobra's refusal on one line.
func usageText(err error) error {
	text, similar, found := strings.Cut(strings.TrimSpace(err.Error()), "\n\nDid you mean this?\n")
	if found {
		text += "; did you mean " + strings.Join(strings.Fields(similar), " or ") + "?"
	}
	return errors.New(text)
}

// options are the flags that every command takes.
type options struct {
	world
	config string
}

func newRoot(w world) *cobra.Command {
	o := &options{world: w}
	root := &cobra.Command{
		Use:   "tokenjar",
		Short: "JWT sessions in HttpOnly cookies",
		Long: "tokenjar signs users in, keeps their tokens in cookies that no script can read, renews them and ends them.\n" +
			"It needs no configuration to begin with.",
		Example:       "  tokenjar demo",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	root.PersistentFlags().Var((*text)(&o.config), "config", "configuration `file` (default tokenjar.yaml, if there is one)")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serveCommand(o), demoCommand(o), initCommand(o), configCommand(o), migrateCommand(o),
		usersCommand(o), sessionsCommand(o), keysCommand(o), secretCommand(o),
		doctorCommand(o), tortureCommand(o), openapiCommand(o), completionCommand(o), manCommand(o), versionCommand(o))
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		c.Hidden = c.Name() == "help" // --help is enough to learn
	}
	root.SetUsageTemplate(usage)
	return root
}

// helpCommand is cobra's own, but fails for what is no command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Explain a command",
		RunE: func(c *cobra.Command, words []string) error {
			about, rest, err := c.Root().Find(words)
			switch {
			case err != nil:
				return err
			case len(rest) > 0:
				return fmt.Errorf("unknown command %q for %q", rest[0], about.CommandPath())
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// A text is the value of a flag. It refuses to be empty: a flag is given to say something, and a variable of the shell
// that is not set must not turn "this one" into "any".
type text string

func (t *text) String() string { return string(*t) }
func (t *text) Type() string   { return "string" }

func (t *text) Set(value string) error {
	if value == "" {
		return errors.New("it is empty: give it a value, or leave it out")
	}
	*t = text(value)
	return nil
}

// usage is cobra's own, with the example at the end, where the eye rests.
const usage = `Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasExample}}

Example:
{{.Example}}{{end}}
`

// group makes a command that does nothing but hold others.
func group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
			}
			return c.Help()
		}}
	c.AddCommand(commands...)
	return c
}

// A failure is an error of a command that was called rightly.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errSaid fails a command that has said everything already.
var errSaid = errors.New("")

// fail makes a command's errors failures. Those made with usagef stay what they are.
func fail(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := do(c.Context(), args)
		if _, usage := errors.AsType[*usageError](err); usage || err == nil {
			return err
		}
		return &failure{err}
	}
}

// A usageError says that a command was called wrongly in a way that cobra cannot know.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }
