package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	stdlog "log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/store/postgres"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// load reads the configuration of a command. flags are settings by key.
func (o *options) load(flags map[string]string) (config.Loaded, error) {
	cfg, err := config.Load(config.Source{File: o.config, Environ: o.environ, Flags: flags})
	if errors.Is(err, fs.ErrNotExist) {
		err = withHint(err, "name the right file with --config, or make one with tokenjar init")
	}
	return cfg, err
}

// newLogger logs to standard error as the configuration says. It waits for whoever reads; see [serverLog].
func newLogger(w io.Writer, cfg config.Log) *slog.Logger { return slog.New(logHandler(w, cfg)) }

// serverLog is newLogger for what must go on when nobody reads. The caller closes the writer, last of all.
func serverLog(w io.Writer, cfg config.Log) (*slog.Logger, *logWriter) {
	// net/http has one line for the log of the whole program: the beginning of what a service sends unasked, which may be
	// anybody's data.
	stdlog.SetOutput(io.Discard)
	lines := newLogWriter(w, func(n int64) []byte {
		var line bytes.Buffer
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines are missing here, because they were not read fast enough", 0)
		r.AddAttrs(slog.Int64("dropped", n))
		logHandler(&line, cfg).Handle(context.Background(), r) // whatever the level is; a buffer takes all
		return line.Bytes()
	})
	return newLogger(lines, cfg), lines
}

func logHandler(w io.Writer, cfg config.Log) slog.Handler {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	o := &slog.HandlerOptions{Level: levels[cfg.Level]}
	if cfg.Format == "text" {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

// A database is never made without its secret, and a secret never for a database that exists: the database holds keys
// that only its own secret opens. So a secret that went missing stops the start, instead of being replaced by one that
// opens nothing. Servers that share a PostgreSQL share the secret as well: none of them makes one.

// secret returns the secret of the configuration. In a folder that has neither a database nor a secret it makes one,
// unless a configuration file says where it should have been; created is then its path.
func secret(cfg config.Loaded, log *slog.Logger) (s tokenjar.Secret, created string, err error) {
	s, warning, err := cfg.Secret()
	if warning != "" {
		log.Warn(warning)
	}
	if cfg.SecretInEnvironment() || !errors.Is(err, fs.ErrNotExist) {
		return s, "", err
	}
	if missing := missingSecret(cfg); missing != nil {
		if s, _, err = cfg.Secret(); err == nil { // another command has made it, and the database, in this moment
			return s, "", nil
		}
		return s, "", missing
	}
	text := tokenjar.GenerateSecret()
	err = createFile(cfg.SecretFile, 0o600, []byte(text+"\n"))
	switch {
	case errors.Is(err, fs.ErrExist): // another command was faster
		s, _, err = cfg.Secret()
		return s, "", err
	case err != nil:
		return s, "", fmt.Errorf("make the secret: %w", err)
	}
	s, err = tokenjar.ParseSecret([]byte(text))
	return s, cfg.SecretFile, err
}

// missingSecret says why no secret may be made in place of the file that is not there; nil: it may.
func missingSecret(cfg config.Loaded) error {
	if cfg.Postgres() {
		return withHint(fmt.Errorf("there is no secret file %s", cfg.SecretFile),
			"all servers on one database have the same: copy it from another one; for the first, tokenjar init in an empty folder "+
				"makes one, or put openssl rand -base64 32 into it")
	}
	database := cfg.DatabasePath()
	switch exists, err := isThere(database); {
	case err != nil:
		return err
	case exists:
		return withHint(fmt.Errorf("the database %s is there, but its secret file %s is not", database, cfg.SecretFile),
			"put the file back from your backup, or say where it is: secret_file in tokenjar.yaml, or TOKENJAR_SECRET_FILE; "+
				"a new secret would not open this database")
	case cfg.File != "":
		return withHint(fmt.Errorf("there is no secret file %s", cfg.SecretFile),
			"tokenjar init in an empty folder makes one; any file with 32 random bytes or more on a line will do")
	}
	return nil
}

// withStore runs do with the store of the configuration. A database that does not exist is not made: what there is to
// manage lies in the one that a server uses.
func (o *options) withStore(ctx context.Context, do func(cfg config.Loaded, store dataStore) error) (err error) {
	cfg, err := o.load(nil)
	if err != nil {
		return err
	}
	if err := databaseExists(ctx, cfg); err != nil {
		return err
	}
	store, err := openStore(ctx, cfg.Config, newLogger(o.stderr, cfg.Log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return do(cfg, store)
}

func databaseExists(ctx context.Context, cfg config.Loaded) error {
	if cfg.Postgres() {
		switch version, err := schemaVersion(ctx, cfg.Config); {
		case err != nil:
			return err
		case version == 0:
			return withHint(fmt.Errorf("there are no tables of tokenjar in %s", cfg.DatabaseName()),
				"name the right database, or make the tables with tokenjar migrate")
		}
		return nil
	}
	exists, err := isThere(cfg.DatabasePath())
	if err == nil && !exists {
		err = withHint(fmt.Errorf("there is no database %s", cfg.DatabasePath()),
			"name the right configuration with --config, or make one with tokenjar users create or tokenjar serve")
	}
	return err
}

// A dataStore is the store of the configuration, whatever its kind.
type dataStore interface {
	server.Store
	tokenjar.AuditStore
	Close() error
}

// openStore opens the database of the configuration.
func openStore(ctx context.Context, cfg config.Config, log *slog.Logger) (dataStore, error) {
	if !cfg.Postgres() {
		store, err := sqlite.Open(ctx, cfg.DatabasePath(), sqlite.Config{Logger: log})
		if err != nil {
			return nil, err // and no interface that holds nil
		}
		return store, nil
	}
	store, err := postgres.Open(ctx, cfg.Database, postgres.Config{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.DatabaseName(), err)
	}
	return store, nil
}

func isThere(path string) (bool, error) {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

// createFile makes a file, whole or not at all. It fails with fs.ErrExist when there is one of that name.
func createFile(path string, mode fs.FileMode, text []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".tokenjar-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	err = os.Link(temp.Name(), path) // fails when the name is taken
	if err == nil {
		syncFolder(path)
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode) // a file system without hard links
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	syncFolder(path)
	return nil
}

// syncFolder makes a name last that a file was just given: a database must not outlive its secret when the power fails.
func syncFolder(path string) {
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // not every system can flush a folder
		dir.Sync()
		dir.Close()
	}
}
