package cli

import "github.com/spf13/cobra"

func usersCommand(o *options) *cobra.Command {
	return group("users", "Manage the users", "  tokenjar users create ada --email ada@example.com",
		usersCreateCommand(o))
}
