package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/plural"
	"github.com/tokenjar/tokenjar/password"
)

func usersSetPasswordCommand(o *options) *cobra.Command {
	var fromStdin, asJSON bool
	c := &cobra.Command{
		Use:   "set-password USER",
		Short: "Give a user another password, and end all sessions",
		Long: `Set-password gives a user another password without asking for the old one, and ends all sessions of the user. A
running server takes it on within a second. A disabled user stays disabled.

The password is asked for twice, or read from standard input with --password-stdin.`,
		Example: "  tokenjar users set-password ada\n" +
			"  pass show ada | tokenjar users set-password ada --password-stdin",
		Args: oneUser,
	}
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input: one line")
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.withUser(ctx, args[0], func(cfg config.Loaded, store dataStore, u tokenjar.User) error {
			chosen, err := o.readPassword(fromStdin)
			if err != nil {
				return err
			}
			hasher, err := password.New(password.Config{Slots: cfg.Password.HashSlots})
			if err != nil {
				return err
			}
			ended, err := tokenjar.ResetPassword(ctx, store, hasher, password.Policy{Min: cfg.Password.MinLength}, u, chosen)
			if err != nil {
				return err
			}
			events := append([]tokenjar.AuditEvent{{Name: "password.changed", UserID: u.ID}},
				revoked(u.ID, ended, tokenjar.ReasonPasswordChanged)...)
			err = audit(ctx, store, events...)
			return errors.Join(err, o.say(asJSON, endedJSON(u, ended), "%s has a new password: %s ended", u.Username,
				plural.Count(len(ended), "session", "sessions")))
		})
	})
	return c
}
