package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func usersListCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the users",
		Long:    "List prints all users, in the order in which they were made.",
		Example: "  tokenjar users list --json | jq -r 'select(.active | not) | .username'",
		Args:    cobra.NoArgs,
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		return o.withStore(ctx, func(_ config.Loaded, store dataStore) error {
			t := newTable(o.stdout, "NAME", "ADDRESS", "ACTIVE", "STAFF", "LAST LOGIN", "ID")
			err := eachUser(ctx, store, func(u tokenjar.User) error {
				if asJSON {
					return printJSON(o.stdout, userJSON(u))
				}
				t.row(u.Username, u.Email, yesNo(u.Active), yesNo(u.Staff), moment(u.LastLogin), u.ID)
				return nil
			}, t.flush)
			if err == nil && !asJSON && !t.begun {
				fmt.Fprintln(o.stderr, "tokenjar: there are no users yet")
			}
			return err
		})
	})
	return c
}

func usersShowCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "show USER",
		Short:   "Show a user",
		Long:    "Show prints what is known of a user, who is named by user name, address or id.",
		Example: "  tokenjar users show ada@example.com",
		Args:    oneUser,
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.withUser(ctx, args[0], func(_ config.Loaded, store dataStore, u tokenjar.User) error {
			sessions, err := store.UserSessions(ctx, u.ID)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(o.stdout, struct {
					userRecord
					Sessions int `json:"sessions"`
				}{userJSON(u), len(sessions)})
			}
			t := newTable(o.stdout)
			for _, line := range [][2]string{
				{"name", u.Username}, {"address", u.Email}, {"first name", u.FirstName}, {"last name", u.LastName}, {"active", yesNo(u.Active)},
				{"staff", yesNo(u.Staff)}, {"made", moment(u.CreatedAt)}, {"last login", moment(u.LastLogin)},
				{"sessions", fmt.Sprint(len(sessions))}, {"id", u.ID},
			} {
				t.row(line[0], line[1])
			}
			return t.flush()
		})
	})
	return c
}
