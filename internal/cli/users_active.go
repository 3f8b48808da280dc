package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/plural"
)

func usersActiveCommand(o *options, active bool) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "disable USER",
		Short: "Keep a user out, and end all sessions",
		Long: `Disable ends all sessions of a user and lets no new one begin, until the user is enabled again. A running server
takes it on within a second. The user is named by user name, address or id.`,
		Example: "  tokenjar users disable ada",
		Args:    oneUser,
	}
	if active {
		c.Use, c.Short, c.Example = "enable USER", "Let a disabled user sign in again", "  tokenjar users enable ada"
		c.Long = "Enable lets a user sign in again who was disabled. Sessions that ended stay ended."
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.withUser(ctx, args[0], func(_ config.Loaded, store dataStore, u tokenjar.User) error {
			ended, err := store.SetUserActive(ctx, u.ID, active)
			if err != nil {
				return err
			}
			if active {
				err = audit(ctx, store, tokenjar.AuditEvent{Name: "user.enabled", UserID: u.ID})
				return errors.Join(err, o.say(asJSON, endedJSON(u, nil), "enabled %s", u.Username))
			}
			events := append([]tokenjar.AuditEvent{{Name: "user.disabled", UserID: u.ID}},
				revoked(u.ID, ended, tokenjar.ReasonUserDisabled)...)
			err = audit(ctx, store, events...)
			return errors.Join(err, o.say(asJSON, endedJSON(u, ended), "disabled %s: %s ended", u.Username,
				plural.Count(len(ended), "session", "sessions")))
		})
	})
	return c
}
