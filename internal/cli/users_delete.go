package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/plural"
)

func usersDeleteCommand(o *options) *cobra.Command {
	var sure, asJSON bool
	c := &cobra.Command{
		Use:   "delete USER",
		Short: "Delete a user for good, and end all sessions",
		Long: `Delete removes a user and ends all sessions of the user. A running server takes it on within a second. It cannot be
undone; the id is never given again, so that nobody who takes the name inherits anything.

On a terminal it asks for the user name once more; elsewhere it needs --yes.`,
		Example: "  tokenjar users delete ada --yes",
		Args:    oneUser,
	}
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.withUser(ctx, args[0], func(_ config.Loaded, store dataStore, u tokenjar.User) error {
			if !sure {
				if err := o.confirm(u); err != nil {
					return err
				}
			}
			ended, err := store.DeleteUser(ctx, u.ID)
			if err != nil {
				return err
			}
			events := append([]tokenjar.AuditEvent{{Name: "user.deleted", UserID: u.ID}},
				revoked(u.ID, ended, tokenjar.ReasonUserDisabled)...)
			err = audit(ctx, store, events...)
			return errors.Join(err, o.say(asJSON, endedJSON(u, ended), "deleted %s: %s ended", u.Username,
				plural.Count(len(ended), "session", "sessions")))
		})
	})
	return c
}

// confirm has the name of a user typed again.
func (o *options) confirm(u tokenjar.User) error {
	terminal, ok := o.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return usagef("standard input is no terminal to ask whether %s is to be deleted: use --yes", plainLine(u.Username))
	}
	fmt.Fprintf(o.stderr, "Delete %s (%s) for good? Type the user name: ", plainLine(u.Username), plainLine(u.Email))
	typed, _ := bufio.NewReader(terminal).ReadString('\n') // an end of input is a wrong answer
	if strings.TrimRight(typed, "\r\n") != u.Username {
		return errors.New("that is not the user name: nothing was deleted")
	}
	return nil
}
