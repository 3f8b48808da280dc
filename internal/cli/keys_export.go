package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func keysExportCommand(o *options) *cobra.Command {
	var private bool
	c := &cobra.Command{
		Use:   "export KID",
		Short: "Print a key as a JWK",
		Long: `Export prints the public part of a key as a JWK, for a service that cannot fetch /.well-known/jwks.json.

With --private it prints the whole key. Whoever has it can make access tokens for any user: send it straight to a file
that only you can read, or to another program. This is noted in the audit trail.`,
		Example: "  tokenjar keys export vZ1sJ4cZ0rYjQmXl8mTqgqM2iYIqk3ofEBJ8pW0YqnE",
		Args:    oneKey,
	}
	c.Flags().BoolVar(&private, "private", false, "print the private part as well")
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.withKeys(ctx, func(_ config.Loaded, store dataStore, ring *tokenjar.KeyRing) error {
			if !private {
				jwk, err := ring.ExportPublic(ctx, args[0])
				if err != nil {
					return noKey(err, args[0])
				}
				_, err = fmt.Fprintf(o.stdout, "%s\n", jwk)
				return err
			}
			jwk, err := ring.Export(ctx, args[0])
			if err != nil {
				return noKey(err, args[0])
			}
			// Noted first: a key that got out without a note would be worse than a note without a key.
			event := tokenjar.AuditEvent{Name: "key.exported", Reason: "private", Detail: map[string]string{"key_id": args[0]}}
			if err := audit(ctx, store, event); err != nil {
				return err
			}
			_, err = fmt.Fprintf(o.stdout, "%s\n", jwk)
			return err
		})
	})
	return c
}
