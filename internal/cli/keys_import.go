package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/token"
)

func keysImportCommand(o *options) *cobra.Command {
	var now, asJSON bool
	var algorithm string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Sign with a key of your own",
		Long: `Import adds a private key that was made elsewhere: PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted) or a JWK. It becomes
the next signing key, as a rotated one does, and its key id is that of the JWK, or its thumbprint (RFC 7638). It has to be
of the algorithm that is configured, since others sign nothing.

What is in the database is sealed under the secret; remove the file when you have a copy in a safe place.`,
		Example: "  tokenjar keys import signing.pem",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("one file is needed, not %d", len(args))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&now, "now", false, "sign with it at once: services that keep the published keys may refuse its tokens for some minutes")
	c.Flags().Var((*text)(&algorithm), "algorithm", "what an RSA key in PEM is for (default token.algorithm)")
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, args []string) error {
		return o.withKeys(ctx, func(cfg config.Loaded, store dataStore, ring *tokenjar.KeyRing) error {
			key, err := readKey(args[0], token.Algorithm(algorithm), cfg.Token.Algorithm)
			if err != nil {
				return err
			}
			if everybodyReads(args[0]) {
				fmt.Fprintf(o.stderr, "tokenjar: everybody on this machine can read %s: remove it, or chmod 600 it\n", plainLine(args[0]))
			}
			info, err := ring.Import(ctx, key, now)
			if errors.Is(err, tokenjar.ErrConflict) {
				return withHint(fmt.Errorf("there is, or was, a key %s in the ring", key.ID()), "a compromised key never comes back; nothing was changed")
			}
			if err != nil {
				return err
			}
			err = audit(ctx, store, keyEvent("key.imported", info))
			return errors.Join(err, o.say(asJSON, keyJSON(info), "took the key %s (%s), which signs %s", info.ID, info.Algorithm,
				signsFrom(info)))
		})
	})
	return c
}

// plainKeyID are the ids that no terminal, path or URL takes for something else. Thumbprints are such.
var plainKeyID = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}$`)

const maxKeyFile = 64 << 10 // bytes

// readKey reads a private key of the algorithm that is configured. No error quotes the file.
func readKey(path string, alg, configured token.Algorithm) (*token.Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read key: %w", err)
	case len(text) > maxKeyFile:
		return nil, fmt.Errorf("read key: %s is larger than 64 KiB, which no key is", path)
	}
	isJWK := bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
	if isJWK && alg != "" {
		return nil, usagef("--algorithm is for PEM: a JWK says itself what it is for")
	}
	var key *token.Key
	if isJWK {
		key, err = token.ParseKey(text)
	} else {
		key, err = parsePEM(text, alg, configured)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case !plainKeyID.MatchString(key.ID()):
		return nil, withHint(fmt.Errorf("%s: the key id %q is not made of letters, digits, dots and _ ~ - alone", path, key.ID()),
			"give the JWK another kid, or none to have its thumbprint")
	case !key.CanSign():
		return nil, withHint(fmt.Errorf("%s holds a public key", path), "import the private key that belongs to it")
	case key.Algorithm() != configured:
		return nil, withHint(fmt.Errorf("%s holds a key for %s, but token.algorithm is %s", path, key.Algorithm(), configured),
			"set token.algorithm: %s, restart the server, and import it then", key.Algorithm())
	}
	return key, nil
}

func parsePEM(text []byte, alg, configured token.Algorithm) (*token.Key, error) {
	if alg != "" {
		return token.ParsePEM("", alg, text)
	}
	key, err := token.ParsePEM("", "", text)
	if err != nil || key.Algorithm() != token.RS256 {
		return key, err
	}
	// An RSA key in PEM fits several algorithms: the configured one, if it does.
	if other, err := token.ParsePEM("", configured, text); err == nil {
		return other, nil
	}
	return key, nil
}

// everybodyReads reports whether a private key lies open.
func everybodyReads(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}
