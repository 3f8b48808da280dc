package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func keysCommand(o *options) *cobra.Command {
	return group("keys", "Manage the keys that sign access tokens", "  tokenjar keys rotate",
		keysListCommand(o), keysRotateCommand(o), keysCompromiseCommand(o), keysImportCommand(o), keysExportCommand(o))
}

// withKeys runs do with the key ring of the configuration.
func (o *options) withKeys(ctx context.Context, do func(cfg config.Loaded, store dataStore, keys *tokenjar.KeyRing) error) error {
	return o.withStore(ctx, func(cfg config.Loaded, store dataStore) error {
		secret, _, err := secret(cfg, newLogger(o.stderr, cfg.Log)) // makes none, since the database is there
		if err != nil {
			return err
		}
		keys, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: store, Secret: secret})
		if err != nil {
			return err
		}
		return do(cfg, store, keys)
	})
}

// oneKey refuses anything but one argument.
func oneKey(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("one key id is needed, not %d: see tokenjar keys list", len(args))
	}
	return nil
}

// keyRecord is a key for programs.
type keyRecord struct {
	ID        string  `json:"kid"`
	Algorithm string  `json:"algorithm"`
	Status    string  `json:"status"`
	CreatedAt *string `json:"created_at"`
	ChangesAt *string `json:"changes_at"`
}

func keyJSON(k tokenjar.KeyInfo) keyRecord {
	return keyRecord{
		ID: k.ID, Algorithm: string(k.Algorithm), Status: string(k.Status), CreatedAt: momentOrNull(k.CreatedAt),
		ChangesAt: momentOrNull(k.ChangesAt),
	}
}

func keyEvent(name string, k tokenjar.KeyInfo) tokenjar.AuditEvent {
	return tokenjar.AuditEvent{Name: name, Detail: map[string]string{"key_id": k.ID, "algorithm": string(k.Algorithm)}}
}

// printKeys lists keys.
func (o *options) printKeys(asJSON bool, keys []tokenjar.KeyInfo) error {
	t := newTable(o.stdout, "STATUS", "ALGORITHM", "MADE", "WHAT NEXT", "KEY ID")
	for _, k := range keys {
		if asJSON {
			if err := printJSON(o.stdout, keyJSON(k)); err != nil {
				return err
			}
			continue
		}
		next := ""
		switch {
		case k.ChangesAt.IsZero():
		case k.Status == tokenjar.KeyNext:
			next = "signs from " + moment(k.ChangesAt)
		default:
			next = "gone at " + moment(k.ChangesAt)
		}
		t.row(string(k.Status), string(k.Algorithm), moment(k.CreatedAt), next, k.ID)
	}
	return t.flush()
}

func keysListCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Long: `List prints the keys and where they are in their lives. A next key is published, so that every service knows it before
it signs; the active one signs; a retired one still verifies, until its last token is dead; a compromised one verifies
nothing.`,
		Example: "  tokenjar keys list",
		Args:    cobra.NoArgs,
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		return o.withKeys(ctx, func(_ config.Loaded, _ dataStore, ring *tokenjar.KeyRing) error {
			keys, err := ring.Keys(ctx)
			if err == nil && len(keys) == 0 {
				fmt.Fprintln(o.stderr, "tokenjar: there are no keys yet: tokenjar serve makes the first one")
			}
			return errors.Join(err, o.printKeys(asJSON, keys))
		})
	})
	return c
}

func keysRotateCommand(o *options) *cobra.Command {
	var now, asJSON bool
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key",
		Long: `Rotate makes a new key of the algorithm that is configured. It is published at once and signs in ten minutes, when
every service has had the time to learn of it; the old key verifies until its last token is dead. Nobody is signed out. A
running server takes it on within a second, and does the same by itself as often as token.rotate_every says.

With --now the new key signs at once: services that keep the published keys may refuse its tokens for some minutes. When
a key has leaked, see tokenjar keys compromise.`,
		Example: "  tokenjar keys rotate",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&now, "now", false, "sign with it at once")
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		return o.withKeys(ctx, func(cfg config.Loaded, store dataStore, ring *tokenjar.KeyRing) error {
			keys, err := ring.Keys(ctx)
			if err != nil {
				return err
			}
			for _, k := range keys {
				if k.Status == tokenjar.KeyActive && k.Algorithm != cfg.Token.Algorithm {
					fmt.Fprintf(o.stderr, "tokenjar: the active key is for %s, the new one for %s, as token.algorithm says here: "+
						"see that the server is told the same\n", k.Algorithm, cfg.Token.Algorithm)
				}
			}
			key, err := ring.Rotate(ctx, cfg.Token.Algorithm, now)
			if err != nil {
				return err
			}
			err = audit(ctx, store, keyEvent("key.rotated", key))
			return errors.Join(err, o.say(asJSON, keyJSON(key), "made the key %s (%s), which signs %s", key.ID, key.Algorithm,
				signsFrom(key)))
		})
	})
	return c
}

func signsFrom(k tokenjar.KeyInfo) string {
	if k.Status == tokenjar.KeyActive {
		return "from now on"
	}
	return "from " + moment(k.ChangesAt)
}

func keysCompromiseCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "compromise KID",
		Short: "Refuse everything that a leaked key has signed",
		Long: `Compromise makes a key verify nothing from now on, for good, and destroys its private part. If it was the active one,
another key signs at once. A running server takes it on within a second. Nobody is signed out: whoever shows a token of
that key is given another one for the refresh token, which the key has not signed.

Services that keep the published keys believe in it until they ask again: restart them, or have them fetch the keys.`,
		Example: "  tokenjar keys compromise vZ1sJ4cZ0rYjQmXl8mTqgqM2iYIqk3ofEBJ8pW0YqnE",
		Args:    oneKey,
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.withKeys(ctx, func(_ config.Loaded, store dataStore, ring *tokenjar.KeyRing) error {
			keys, err := ring.Compromise(ctx, args[0])
			if err != nil {
				return noKey(err, args[0])
			}
			event := tokenjar.AuditEvent{Name: "key.compromised", Detail: map[string]string{"key_id": args[0]}}
			err = audit(ctx, store, event)
			return errors.Join(err, o.printKeys(asJSON, keys))
		})
	})
	return c
}

// noKey says in words that there is no key of an id.
func noKey(err error, id string) error {
	if errors.Is(err, tokenjar.ErrNotFound) {
		return withHint(fmt.Errorf("there is no key %s", id), "tokenjar keys list shows all of them")
	}
	return err
}
