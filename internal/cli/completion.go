package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

func completionCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion for a shell",
		Long: `Completion prints a script that has a shell complete the commands and flags of tokenjar.

  bash        in ~/.bashrc: source <(tokenjar completion bash)
  zsh         tokenjar completion zsh > "${fpath[1]}/_tokenjar"
  fish        tokenjar completion fish > ~/.config/fish/completions/tokenjar.fish
  powershell  in $PROFILE: tokenjar completion powershell | Out-String | Invoke-Expression`,
		Example:   "  source <(tokenjar completion bash)",
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 || writers(c)[args[0]] == nil {
			return usagef("one shell is needed: bash, zsh, fish or powershell")
		}
		return nil
	}
	c.RunE = fail(func(_ context.Context, args []string) error { return writers(c)[args[0]](o.stdout) })
	return c
}

// writers write the completion of each shell.
func writers(c *cobra.Command) map[string]func(io.Writer) error {
	root := c.Root()
	return map[string]func(io.Writer) error{
		"bash":       func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        root.GenZshCompletion,
		"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": root.GenPowerShellCompletionWithDesc,
	}
}
