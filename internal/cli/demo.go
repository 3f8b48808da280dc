package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/password"
)

const demoUser = "demo"

// demo are the flags of the command.
type demo struct {
	listen, accessLifetime, password string
	verbose                          bool
	fixedListen                      bool // the flag was given
}

func demoCommand(o *options) *cobra.Command {
	var d demo
	c := &cobra.Command{
		Use:   "demo",
		Short: "Try it in a browser, with nothing to set up",
		Long: `Demo serves a page to click through: sign in, call an API, watch the session being renewed, sign out. The API is a
service of its own behind the proxy, on another port of this machine.

Its database lies in a temporary folder that is removed at the end. There is one user, with a password made for this run.
It reads no configuration, except a file that is named with --config.`,
		Example: "  tokenjar demo --access-lifetime 20s",
		Args:    cobra.NoArgs,
	}
	d.listen = "127.0.0.1:8080"
	c.Flags().Var((*text)(&d.listen), "listen", "`address` and port; without this flag another port if that one is taken")
	d.accessLifetime = "1m"
	c.Flags().Var((*text)(&d.accessLifetime), "access-lifetime", "life of an access token, short enough to watch its renewal")
	c.Flags().Var((*text)(&d.password), "password", "password of the user (default one made for this run)")
	c.Flags().BoolVar(&d.verbose, "verbose", false, "log requests and security events")
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		d.fixedListen = c.Flags().Changed("listen")
		return o.demo(ctx, d)
	})
	return c
}

func (o *options) demo(ctx context.Context, d demo) (err error) {
	dir, err := os.MkdirTemp("", "tokenjar-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := untilSignal(ctx, func() { os.RemoveAll(dir) }, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	level := "warn"
	if d.verbose {
		level = "info"
	}
	cfg, err := config.Load(config.Source{File: o.config, NoFile: true, Flags: map[string]string{
		"listen": d.listen, "token.access_lifetime": d.accessLifetime,
		"database":  "sqlite:" + filepath.Join(dir, "demo.db"),
		"log.level": level, "log.format": "text",
	}})
	if err != nil {
		return err
	}
	log, lines := serverLog(o.stderr, cfg.Log)
	defer func() { err = lastLines(lines, err) }()
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		return err
	}
	store, err := openStore(ctx, cfg.Config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	policy := password.Policy{Min: cfg.Password.MinLength}
	user := tokenjar.NewUser{Username: demoUser, Email: "demo@example.com", Password: tokenjar.Password(d.password)}
	for d.password == "" {
		if made := memorable(); policy.Check(made, user.Username, user.Email) == nil {
			d.password, user.Password = made, tokenjar.Password(made)
		}
	}
	hasher, err := password.New(password.Config{Slots: cfg.Password.HashSlots})
	if err != nil {
		return err
	}
	if _, err := tokenjar.CreateUser(ctx, store, hasher, policy, user); err != nil {
		return err
	}

	opts := server.Options{
		Logger: log, LogDropped: lines.Dropped, Version: version().Version,
		Demo:  &server.Demo{Username: demoUser, Password: d.password},
		Ready: func(url string) { greet(o.stdout, url, d.password) },
	}
	s, err := server.Open(ctx, cfg.Config, secret, store, opts)
	if errors.Is(err, syscall.EADDRINUSE) && !d.fixedListen {
		fmt.Fprintf(o.stderr, "tokenjar: %s is taken, so the demo takes a free port\n", cfg.Listen)
		cfg.Listen = "127.0.0.1:0"
		s, err = server.Open(ctx, cfg.Config, secret, store, opts)
	}
	if err != nil {
		return listenHint(err, cfg.Listen)
	}
	return s.Run(ctx)
}

// greet says where the demo is.
func greet(w io.Writer, url, password string) {
	fmt.Fprintf(w, `tokenjar demo

  open      %s
  user      %s
  password  %s

All data lives in a temporary folder and is gone at the end; Ctrl-C ends the demo.
`, url, demoUser, password)
}

// memorable returns a random password that can be read aloud: four words of two syllables, 50 bits. The demo lives for
// minutes and limits nobody but a guesser on the same machine.
func memorable() string {
	const consonants, vowels = "bdfghklmnprstvwz", "aeiou"
	pick := func(from string) byte {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(from))))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		return from[n.Int64()]
	}
	words := make([]string, 4)
	for i := range words {
		words[i] = string([]byte{pick(consonants), pick(vowels), pick(consonants), pick(vowels)})
	}
	return strings.Join(words, "-")
}
