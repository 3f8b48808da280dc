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
	"github.com/tokenjar/tokenjar/store/sqlite"
)

func migrateCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date",
		Long: `Migrate brings the schema of the database to the version that this program uses, in steps that are made whole or not at
all. Every other command does the same when it opens the database; this one does nothing else. Make a backup first: an
older program refuses a newer database.`,
		Example: "  tokenjar migrate",
		Args:    cobra.NoArgs,
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		cfg, err := o.load(nil)
		if err != nil {
			return err
		}
		if err := databaseExists(cfg); err != nil {
			return err
		}
		before, err := schemaVersion(ctx, cfg.DatabasePath())
		if err != nil {
			before = -1 // the store knows better why
		}
		return o.withStore(ctx, func(cfg config.Loaded, _ *sqlite.Store) error {
			after, err := schemaVersion(ctx, cfg.DatabasePath())
			if err != nil {
				return err
			}
			result := map[string]int{"before": before, "after": after}
			if before == after {
				return o.say(asJSON, result, "%s has schema version %d, which is the newest", cfg.DatabasePath(), after)
			}
			return o.say(asJSON, result, "%s: schema version %d became %d", cfg.DatabasePath(), before, after)
		})
	})
	return c
}

// schemaVersion reads the number of the last migration from the file's header.
func schemaVersion(ctx context.Context, path string) (version int, err error) {
	abs, err := filepath.Abs(path)
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
