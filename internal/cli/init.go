package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func initCommand(o *options) *cobra.Command {
	var dir, publicURL string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration file and a secret",
		Long: `Init writes tokenjar.yaml, which explains every setting, and tokenjar.secret, which only you can read.

It never overwrites a file. With --config the settings get another name or place; the secret always lies beside them.`,
		Example: "  tokenjar init --dir /etc/tokenjar --public-url https://app.example.com",
		Args:    cobra.NoArgs,
	}
	dir = "."
	c.Flags().Var((*text)(&dir), "dir", "`folder` to write to, made if needed")
	c.Flags().Var((*text)(&publicURL), "public-url", "`URL` under which browsers will know the server")
	c.RunE = fail(func(context.Context, []string) error {
		if strings.HasPrefix(dir, "-") {
			return usagef("--dir %s: a folder whose name begins with a hyphen is written ./%s", dir, dir)
		}
		file := filepath.Join(dir, config.DefaultFile)
		if o.config != "" {
			if c.Flags().Changed("dir") {
				return usagef("--config and --dir both say where to write: use one")
			}
			file = o.config
		}
		return o.init(file, publicURL)
	})
	return c
}

func (o *options) init(file, publicURL string) error {
	cfg := config.Defaults()
	cfg.PublicURL = publicURL
	if err := cfg.Check(); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := config.Starter(&text, cfg, "listen", "public_url", "secret_file", "database"); err != nil {
		return err
	}
	dir := filepath.Dir(file)
	secretFile := filepath.Join(dir, cfg.SecretFile)
	for _, path := range []string{file, secretFile} {
		if exists, err := isThere(path); err != nil {
			return err
		} else if exists {
			return taken(path)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := createFile(secretFile, 0o600, []byte(tokenjar.GenerateSecret()+"\n")); err != nil {
		return takenOr(err, secretFile)
	}
	if err := createFile(file, 0o644, text.Bytes()); err != nil {
		os.Remove(secretFile) // ours, a moment old
		return takenOr(err, file)
	}
	flag := ""
	if file != config.DefaultFile {
		flag = " --config " + shellWord(file)
	}
	_, err := fmt.Fprintf(o.stdout, `wrote %s and %s

Next:
  tokenjar users create NAME --email ADDRESS%s
  tokenjar serve%s
`, file, secretFile, flag, flag)
	return err
}

func taken(path string) error {
	return withHint(fmt.Errorf("%s is there already", path), "nothing was written; use another folder with --dir, or move the file away")
}

func takenOr(err error, path string) error {
	if errors.Is(err, fs.ErrExist) {
		return taken(path)
	}
	return err
}
