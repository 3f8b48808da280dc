package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func usersSetRolesCommand(o *options) *cobra.Command {
	staff, superuser := role{name: "staff"}, role{name: "superuser"}
	var asJSON bool
	c := &cobra.Command{
		Use:   "set-roles USER [--staff=BOOL] [--superuser=BOOL]",
		Short: "Give a user a role, or take it away",
		Long: `Set-roles changes the flags that are named and leaves the other as it is. No session ends: access tokens issued before
count as expired, on a running server within a second, so whoever has one is renewed with the roles as they are now. The
user is named by user name, address or id.

Tokens of this program hold no roles. The flags are for programs that read the users, and for those that embed the
library and put roles into tokens with a hook: docs/howto/claims.md.`,
		Example: "  tokenjar users set-roles ada --staff=true",
		Args: func(c *cobra.Command, args []string) error {
			value := slices.ContainsFunc(args, func(word string) bool { // in "--staff false" it is taken for a user
				_, err := strconv.ParseBool(word)
				return err == nil
			})
			for _, r := range []*role{&staff, &superuser} {
				if r.given && value && len(args) > 1 {
					return usagef("%s", r.hint())
				}
			}
			return oneUser(c, args)
		},
	}
	c.Flags().VarPF(&staff, "staff", "", "whether the user is staff").NoOptDefVal = "true"
	c.Flags().VarPF(&superuser, "superuser", "", "whether the user is a superuser").NoOptDefVal = "true"
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		if !staff.given && !superuser.given {
			return usagef("say which role: --staff=true, --staff=false, --superuser=true or --superuser=false")
		}
		return o.withUser(ctx, args[0], func(_ config.Loaded, store dataStore, u tokenjar.User) error {
			r := tokenjar.Roles{Staff: u.Staff, Superuser: u.Superuser}
			if staff.given {
				r.Staff = staff.held
			}
			if superuser.given {
				r.Superuser = superuser.held
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

// A role is the value of a flag that says whether a user has it.
type role struct {
	name        string
	given, held bool
}

func (r *role) hint() string { return fmt.Sprintf("write --%[1]s=true or --%[1]s=false", r.name) }

func (r *role) String() string { return strconv.FormatBool(r.held) }
func (r *role) Type() string   { return "bool" }

func (r *role) Set(value string) error {
	held, err := strconv.ParseBool(value)
	if err != nil {
		return errors.New(r.hint())
	}
	r.given, r.held = true, held
	return nil
}
