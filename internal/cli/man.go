package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages",
		Long:    "Man writes a manual page for each command into a folder, which is made if needed: tokenjar.1, tokenjar-serve.1 and so on.",
		Example: "  tokenjar man /usr/local/share/man/man1",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("one folder is needed, not %d", len(args))
			}
			return nil
		},
	}
	c.RunE = fail(func(_ context.Context, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return err
		}
		built, err := time.Parse(time.RFC3339, version().Time)
		if err != nil {
			built = time.Unix(0, 0).UTC() // the same pages from the same source, always
		}
		c.Root().DisableAutoGenTag = true
		header := &doc.GenManHeader{Title: "TOKENJAR", Section: "1", Source: "tokenjar " + version().Version, Date: &built}
		if err := doc.GenManTree(c.Root(), header, args[0]); err != nil {
			return fmt.Errorf("write manual pages: %w", err)
		}
		return o.say(false, nil, "wrote the manual pages to %s", args[0])
	})
	return c
}
