package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
)

// notice is how long /readyz says 503 before connections are refused: long enough for whoever balances the load to look.
const notice = time.Second

func serveCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve until told to stop",
		Long: `Serve answers requests until it is told to stop.

Settings come from tokenjar.yaml in the working folder, the environment (TOKENJAR_LISTEN and so on) and the flags; what
comes later wins. Without any, it serves this machine alone and keeps its secret and its database in the working folder.

A SQLite file is for one server, which locks it; a PostgreSQL is for any number.

It is ready when it has printed its address; GET /readyz then answers 200. At SIGTERM and SIGINT /readyz says 503 for a
second, then the requests under way may finish, for at most 10 seconds; a second signal ends it at once. SIGHUP is
ignored: to take on new settings, restart it. What tokenjar users, sessions, keys and secret change while it runs is taken
on within a second.

Logs go to standard error. When nobody reads them the server goes on: lines are then dropped, and both the log and the
metric tokenjar_log_lines_dropped_total say how many.`,
		Example: "  tokenjar serve --listen 127.0.0.1:9000\n" +
			"  tokenjar serve --listen :8080 --public-url https://app.example.com",
		Args: cobra.NoArgs,
	}
	flags := settingFlags(c)
	c.RunE = fail(func(ctx context.Context, _ []string) error { return o.serve(ctx, flags()) })
	return c
}

// settingFlags adds the flags that are settings. The function it returns gives those that were used, by key.
func settingFlags(c *cobra.Command) func() map[string]string {
	var listen, publicURL string
	c.Flags().Var((*text)(&listen), "listen", "`address` and port to listen on (default 127.0.0.1:8080)")
	c.Flags().Var((*text)(&publicURL), "public-url", "`URL` under which browsers know this server")
	return func() map[string]string {
		used := map[string]string{}
		if c.Flags().Changed("listen") {
			used["listen"] = listen
		}
		if c.Flags().Changed("public-url") {
			used["public_url"] = publicURL
		}
		return used
	}
}

func (o *options) serve(ctx context.Context, flags map[string]string) (err error) {
	cfg, err := o.load(flags)
	if err != nil {
		return err
	}
	log, lines := serverLog(o.stderr, cfg.Log)
	defer func() { err = lastLines(lines, err) }()
	ctx, stop := untilSignal(ctx, func() { lines.close(flushWithin / 10) }, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ignoreHangup()
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
	secret, created, err := secret(cfg, log)
	if err != nil {
		return err
	}
	if created != "" {
		fmt.Fprintf(o.stdout, "tokenjar made the secret %s and keeps its data in %s: keep both, and keep the secret private\n",
			created, cfg.DatabaseName())
	}
	store, err := openStore(ctx, cfg.Config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if file, ok := store.(lockable); ok {
		release, err := file.Lock()
		if err != nil {
			return lockHint(err, cfg.DatabasePath())
		}
		defer func() { err = errors.Join(err, release()) }()
	}

	var address net.Addr
	s, err := server.Open(ctx, cfg.Config, secret, store, server.Options{
		Now: o.now, Logger: log, LogDropped: lines.Dropped, Version: version().Version, Notice: notice, Secret: secretAgain(cfg),
		Ready: func(url string) {
			fmt.Fprintf(o.stdout, "tokenjar serves %s (listening on %s)\n", url, address)
		},
	})
	if err != nil {
		return listenHint(err, cfg.Listen)
	}
	address = s.Addr()
	return s.Run(ctx)
}

// A lockable is a store for one server.
type lockable interface {
	Lock() (release func() error, err error)
}

// lastLines ends the log. Where nobody reads it, an error would not be read either: it is kept as the exit code alone.
func lastLines(lines *logWriter, err error) error {
	if !lines.close(flushWithin) && err != nil {
		return errSaid
	}
	return err
}

// secretAgain returns what reads the secret file again while the server runs; nil when there is no file that could
// change: what came from the environment or through a pipe comes once.
func secretAgain(cfg config.Loaded) func() (tokenjar.Secret, error) {
	if info, err := os.Stat(cfg.SecretFile); cfg.SecretInEnvironment() || err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return func() (tokenjar.Secret, error) {
		secret, _, err := config.RereadSecret(cfg.SecretFile)
		return secret, err
	}
}

// lockHint says what to do when a database cannot be claimed.
func lockHint(err error, database string) error {
	if errors.Is(err, fs.ErrPermission) {
		return withHint(err, "a command ran as another user before, as with sudo: give %s and the files beside it back to the "+
			"server's user, with chown", database)
	}
	return withHint(err, "stop the other one first; one database is for one server")
}

// listenHint says what to do when an address cannot be listened on.
func listenHint(err error, listen string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "another program listens there: use another port with --listen, or port 0 for a free one")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return withHint(err, "%s is no address of this machine: use --listen", listen)
	case errors.Is(err, syscall.EACCES):
		return withHint(err, "ports below 1024 need privileges: use another with --listen")
	}
	return err
}
