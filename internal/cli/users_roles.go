package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func usersSetRolesCommand(o *options) *cobra.Command {
	var staff, superuser, asJSON bool
	c := &cobra.Command{
		Use:   "set-roles USER [--staff=BOOL] [--superuser=BOOL]",
		Short: "Give a user a role, or take it away",
		Long: `Set-roles changes the flags that are named and leaves the other as it is. No session ends: access tokens issued before
count as expired, on a running server within a second, so whoever has one is renewed with the roles as they are now. The
user is named by user name, address or id.`,
		Example: "  tokenjar users set-roles ada --staff=true",
		Args:    oneUser,
	}
	c.Flags().BoolVar(&staff, "staff", false, "whether the user is staff")
	c.Flags().BoolVar(&superuser, "superuser", false, "whether the user is a superuser")
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		if !c.Flags().Changed("staff") && !c.Flags().Changed("superuser") {
			return usagef("say which role: --staff=true, --staff=false, --superuser=true or --superuser=false")
		}
		return o.withUser(ctx, args[0], func(_ config.Loaded, store dataStore, u tokenjar.User) error {
			r := tokenjar.Roles{Staff: u.Staff, Superuser: u.Superuser}
			if c.Flags().Changed("staff") {
				r.Staff = staff
			}
			if c.Flags().Changed("superuser") {
				r.Superuser = superuser
			}
			if err := store.SetUserRoles(ctx, u.ID, r); err != nil {
				return err
			}
			var err error
			if r.Staff != u.Staff || r.Superuser != u.Superuser {
				err = audit(ctx, store, tokenjar.AuditEvent{Name: "user.roles_changed", UserID: u.ID, Detail: map[string]string{
					"staff": fmt.Sprint(r.Staff), "superuser": fmt.Sprint(r.Superuser)}})
			}
			u.Staff, u.Superuser = r.Staff, r.Superuser
			return errors.Join(err, o.say(asJSON, userJSON(u), "%s: staff %t, superuser %t", u.Username, r.Staff, r.Superuser))
		})
	})
	return c
}
