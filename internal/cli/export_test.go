package cli

import (
	"bytes"
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// Run runs a command within this process.
func Run(stdin string, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), args, world{
		stdin: strings.NewReader(stdin), stdout: &out, stderr: &err, environ: environ,
	})
	return code, out.String(), err.String()
}

// Commands returns the words of every command that users see.
func Commands() (all [][]string) {
	var visit func(c *cobra.Command, words []string)
	visit = func(c *cobra.Command, words []string) {
		all = append(all, words)
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				visit(sub, append(words[:len(words):len(words)], sub.Name()))
			}
		}
	}
	visit(newRoot(world{}), nil)
	return all
}

// Memorable makes a password for the demo.
var Memorable = memorable

// CreateFile makes a file, whole or not at all.
var CreateFile = createFile

// LockHint is what to do when a database cannot be claimed.
func LockHint(err error, database string) string { return hintFor(lockHint(err, database)) }
