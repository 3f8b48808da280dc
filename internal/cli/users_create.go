package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/password"
)

func usersCreateCommand(o *options) *cobra.Command {
	var (
		email     string
		fromStdin bool
		staff     bool
		asJSON    bool
	)
	c := &cobra.Command{
		Use:   "create NAME --email ADDRESS",
		Short: "Make a user who can sign in",
		Long: `Create makes a user who can sign in at once, also while a server is running.

The password is asked for twice, or read from standard input with --password-stdin. It is never an argument, since others
on the machine could read it.`,
		Example: "  tokenjar users create ada --email ada@example.com\n" +
			"  pass show ada | tokenjar users create ada --email ada@example.com --password-stdin",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("one user name is needed, not %d", len(args))
			}
			return nil
		},
	}
	c.Flags().Var((*text)(&email), "email", "mail `address`, by which the user can sign in as well")
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input: one line")
	c.Flags().BoolVar(&staff, "staff", false, "make the user a member of the staff")
	jsonFlag(c, &asJSON)
	if err := c.MarkFlagRequired("email"); err != nil {
		panic(err)
	}
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.createUser(ctx, tokenjar.NewUser{Username: args[0], Email: email, Staff: staff}, fromStdin, asJSON)
	})
	return c
}

func (o *options) createUser(ctx context.Context, user tokenjar.NewUser, fromStdin, asJSON bool) (err error) {
	cfg, err := o.load(nil)
	if err != nil {
		return err
	}
	log := newLogger(o.stderr, cfg.Log)
	if user.Password, err = o.readPassword(fromStdin); err != nil {
		return err
	}
	if user.Email == "" {
		return &tokenjar.ValidationError{Fields: []tokenjar.FieldError{{Field: "email", Code: "required", Detail: "An address is needed."}}}
	}
	var store dataStore
	var notOpened error
	defer func() {
		if store != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	hasher, err := password.New(password.Config{Slots: cfg.Password.HashSlots})
	if err != nil {
		return err
	}
	made, err := tokenjar.CreateUser(ctx, lateStore{open: func() (tokenjar.UserAdmin, error) {
		store, notOpened = o.makeStore(ctx, cfg, log, asJSON)
		return store, notOpened
	}}, hasher, password.Policy{Min: cfg.Password.MinLength}, user)
	if notOpened != nil {
		return notOpened
	}
	if errors.Is(err, tokenjar.ErrConflict) {
		return withHint(fmt.Errorf("the name %s or the address %s is taken", user.Username, user.Email),
			"names and addresses are compared without case")
	}
	if err != nil {
		return err
	}
	audited := audit(ctx, store, tokenjar.AuditEvent{Name: "user.created", UserID: made.ID})
	if made, err = store.User(ctx, made.ID); err != nil { // with the time of its creation
		return errors.Join(audited, err)
	}
	return errors.Join(audited, o.say(asJSON, userJSON(made), "made user %s (%s)", made.Username, made.Email))
}

// A lateStore is opened for the first user: what is refused before leaves neither a secret nor a database.
type lateStore struct {
	tokenjar.UserAdmin
	open func() (tokenjar.UserAdmin, error)
}

func (l lateStore) CreateUser(ctx context.Context, u tokenjar.User) error {
	store, err := l.open()
	if err != nil {
		return err
	}
	return store.CreateUser(ctx, u)
}

// makeStore opens the store. A database that is not there is made, with its secret.
func (o *options) makeStore(ctx context.Context, cfg config.Loaded, log *slog.Logger, asJSON bool) (dataStore, error) {
	exists, err := isThere(cfg.DatabasePath())
	if err != nil {
		return nil, err
	}
	if !exists || cfg.Postgres() { // where the tables may be missing
		_, created, err := secret(cfg, log)
		if err != nil {
			return nil, err
		}
		if created != "" {
			to := o.stdout
			if asJSON {
				to = o.stderr
			}
			fmt.Fprintf(to, "made the secret %s: keep it, and keep it private\n", plainLine(created))
		}
	}
	return openStore(ctx, cfg.Config, log)
}
