package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/store/postgres"
)

func migrateCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date",
		Long: `Migrate brings the schema of the database to the version that this program uses, in steps that are made whole or not at
all. Every other command does the same when it opens the database; this one does nothing else. Make a backup first: an
older program refuses a newer database. In an empty PostgreSQL it makes the tables.`,
		Example: "  tokenjar migrate",
		Args:    cobra.NoArgs,
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		cfg, err := o.load(nil)
		if err != nil {
			return err
		}
		before, err := schemaVersion(ctx, cfg.Config)
		if cfg.Postgres() {
			if err != nil {
				return err
			}
			store, err := openStore(ctx, cfg.Config, newLogger(o.stderr, cfg.Log))
			if err != nil {
				return err
			}
			return errors.Join(o.migrated(ctx, cfg, before, asJSON), store.Close())
		}
		if err != nil {
			before = -1 // the store knows better why
		}
		return o.withStore(ctx, func(cfg config.Loaded, _ dataStore) error { return o.migrated(ctx, cfg, before, asJSON) })
	})
	return c
}

// migrated says what has become of the version before.
func (o *options) migrated(ctx context.Context, cfg config.Loaded, before int, asJSON bool) error {
	after, err := schemaVersion(ctx, cfg.Config)
	if err != nil {
		return err
	}
	result := map[string]int{"before": before, "after": after}
	if before == after {
		return o.say(asJSON, result, "%s has schema version %d, which is the newest", cfg.DatabaseName(), after)
	}
	return o.say(asJSON, result, "%s: schema version %d became %d", cfg.DatabaseName(), before, after)
}

// schemaVersion returns the number of the last migration: of a PostgreSQL from a table, 0 when there is none; of a SQLite file
// from its header.
func schemaVersion(ctx context.Context, cfg config.Config) (version int, err error) {
	if cfg.Postgres() {
		version, err := postgres.SchemaVersion(ctx, cfg.Database)
		if err != nil {
			err = fmt.Errorf("%s: %w", cfg.DatabaseName(), err)
		}
		return version, err
	}
	abs, err := filepath.Abs(cfg.DatabasePath())
	if err != nil {
		return 0, err
	}
	if abs = filepath.ToSlash(abs); !strings.HasPrefix(abs, "/") {
		abs = "/" + abs
	}
	name := url.URL{Scheme: "file", Path: abs, RawQuery: "mode=rw&_pragma=query_only(1)&_pragma=busy_timeout(1000)"}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return version, nil
}
