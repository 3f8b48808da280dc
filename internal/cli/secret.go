package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func secretCommand(o *options) *cobra.Command {
	return group("secret", "Change the secret", "  tokenjar secret rotate", secretRotateCommand(o))
}

// rotation are the flags of the command.
type rotation struct {
	add, reseal bool
	promote     string
	asJSON      bool
}

func secretRotateCommand(o *options) *cobra.Command {
	var r rotation
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Change the secret, and sign nobody out",
		Long: `Rotate puts a fresh line first in the secret file and seals the signing keys under it. The lines behind it still verify
and open, so that no session ends; it prints from when on the old line is of no use and may be removed. A running server
takes it on within a second.

With several servers, each with a copy of the file, no server may meet a line it does not know:
  1. tokenjar secret rotate --add            puts a fresh line second, and prints its name
  2. copy the file to all servers
  3. tokenjar secret rotate --promote NAME   puts that line first and seals the keys under it
  4. copy the file to all servers again
A server that is forgotten in step 2 cannot open the keys after step 3.

A secret that is not in a file, but in TOKENJAR_SECRET: put a fresh line before the present one yourself, restart the
server with it, and run tokenjar secret rotate --reseal with the same environment.`,
		Example: "  tokenjar secret rotate",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&r.add, "add", false, "put a fresh line second, which changes nothing yet")
	c.Flags().Var((*text)(&r.promote), "promote", "put the line of this `name` first; does nothing if it is")
	c.Flags().BoolVar(&r.reseal, "reseal", false, "leave the lines as they are and seal the keys under the first one")
	c.MarkFlagsMutuallyExclusive("add", "promote", "reseal")
	jsonFlag(c, &r.asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error { return o.rotateSecret(ctx, r) })
	return c
}

func (o *options) rotateSecret(ctx context.Context, r rotation) error {
	if r.reseal {
		return o.withKeys(ctx, func(cfg config.Loaded, store dataStore, keys *tokenjar.KeyRing) error {
			reseal := func(ctx context.Context) error {
				_, err := keys.Reseal(ctx)
				return err
			}
			return o.sealKeys(ctx, r, cfg, store, reseal, "")
		})
	}
	return o.withStore(ctx, func(cfg config.Loaded, store dataStore) error {
		if cfg.SecretInEnvironment() {
			return withHint(errors.New("the secret is in the environment (TOKENJAR_SECRET), where no command can change it"),
				"put a fresh line before the present one there, as openssl rand -base64 32 prints one, restart the server with it, "+
					"and run tokenjar secret rotate --reseal")
		}
		name, err := o.changeSecret(ctx, r, cfg, store)
		if err != nil {
			return err
		}
		if r.add {
			err := audit(ctx, store, tokenjar.AuditEvent{Name: "secret.line_added", Detail: map[string]string{"line": name}})
			return errors.Join(err, o.say(r.asJSON, map[string]string{"line": name, "file": cfg.SecretFile},
				"added the line %s to %s: copy the file to all servers, then run tokenjar secret rotate --promote %s", name,
				cfg.SecretFile, name))
		}
		return o.sealKeys(ctx, r, cfg, store, sealedBy(store, func() (tokenjar.Secret, error) {
			secret, _, err := config.RereadSecret(cfg.SecretFile)
			return secret, err
		}), name)
	})
}

// sealedBy returns what seals the keys under the first line of the secret as it is then. Another change may come between
// the reading and the sealing, whose line the one that was read does not have: then it is read again.
func sealedBy(store dataStore, read func() (tokenjar.Secret, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		for range 10 {
			secret, err := read()
			if err != nil {
				return err
			}
			keys, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: store, Secret: secret})
			if err != nil {
				return err
			}
			if _, err = keys.Reseal(ctx); !errors.Is(err, tokenjar.ErrKeyRingSealed) {
				return err
			}
		}
		return tokenjar.ErrKeyRingSealed
	}
}

// changeSecret changes the file and returns the name of the line that was added or made the first one.
func (o *options) changeSecret(ctx context.Context, r rotation, cfg config.Loaded, store dataStore) (name string, err error) {
	file, err := editSecret(cfg.SecretFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", missingSecret(cfg)
	}
	if err != nil {
		return "", err
	}
	defer file.abandon()
	keys, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: store, Secret: file.secret})
	if err != nil {
		return "", err
	}
	if _, err := keys.Keys(ctx); err != nil { // the secret must be the right one before it gets another line
		return "", err
	}
	switch {
	case r.add:
		name = file.insert(1)
	case r.promote != "":
		name = r.promote
		if changed, err := file.promote(name); err != nil || !changed {
			return name, err
		}
	default:
		name = file.insert(0)
	}
	return name, file.commit()
}

// lastToken returns when the last token may die that another line has signed. The server may have been told of longer
// lives than this command, so what lives is asked as well.
func lastToken(ctx context.Context, cfg config.Loaded, store dataStore) (last time.Time, err error) {
	last = time.Now().Add(cfg.Session.Absolute)
	return last, eachUser(ctx, store, func(u tokenjar.User) error {
		sessions, err := store.UserSessions(ctx, u.ID)
		for _, s := range sessions {
			if s.ExpiresAt.After(last) {
				last = s.ExpiresAt
			}
		}
		return err
	}, func() error { return nil })
}

// sealKeys seals the key ring under the first line and says when the others may go.
func (o *options) sealKeys(ctx context.Context, r rotation, cfg config.Loaded, store dataStore, seal func(context.Context) error, name string) error {
	if err := seal(ctx); err != nil {
		return withHint(fmt.Errorf("seal the keys: %w", err),
			"nobody is signed out: the line before still opens them; run tokenjar secret rotate --reseal")
	}
	audited := audit(ctx, store, tokenjar.AuditEvent{Name: "secret.rotated"})
	last, err := lastToken(ctx, cfg, store)
	until := last.Add(24 * time.Hour).UTC().Format(time.DateOnly)
	if err != nil {
		return errors.Join(audited, withHint(fmt.Errorf("look how long sessions live: %w", err),
			"the secret is changed; keep all its lines, and see tokenjar sessions list for the last that ends"))
	}
	result := map[string]string{"old_lines_until": until}
	line := "the keys are sealed under the first line of the secret"
	if name != "" {
		result["line"], result["file"] = name, cfg.SecretFile
		line = fmt.Sprintf("the line %s of %s signs and seals from now on", name, cfg.SecretFile)
	}
	return errors.Join(audited, err, o.say(r.asJSON, result, "%s; keep the lines behind it until %s, then remove them", line, until))
}
