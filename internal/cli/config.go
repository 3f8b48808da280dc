package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/plural"
)

func configCommand(o *options) *cobra.Command {
	return group("config", "Check and print the settings", "  tokenjar config check",
		configCheckCommand(o), configPrintCommand(o))
}

func configCheckCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Name every mistake in the settings",
		Long: `Check reads the settings as serve would, and the secret, and names every mistake at once, each with its place and what
to do. It starts nothing and writes nothing. The exit code is 1 when there is a mistake; a warning is none.`,
		Example: "  tokenjar config check --config /etc/tokenjar/tokenjar.yaml",
		Args:    cobra.NoArgs,
	}
	flags := settingFlags(c)
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(context.Context, []string) error { return o.checkConfig(flags(), asJSON) })
	return c
}

// checkRecord is the result of a check, for programs.
type checkRecord struct {
	OK       bool            `json:"ok"`
	File     string          `json:"file"` // empty: none
	Mistakes []mistakeRecord `json:"mistakes"`
	Warnings []string        `json:"warnings"`
}

type mistakeRecord struct {
	Where   string `json:"where"`   // "tokenjar.yaml:3", "TOKENJAR_LISTEN", "--listen"; empty: not in one place
	Setting string `json:"setting"` // empty: none in particular
	Detail  string `json:"detail"`
}

func (o *options) checkConfig(flags map[string]string, asJSON bool) error {
	cfg, err := o.load(flags)
	warnings := cfg.Warnings
	if err == nil {
		var warning string
		if _, warning, err = cfg.Secret(); warning != "" {
			warnings = append(warnings, warning)
		}
		if !cfg.SecretInEnvironment() && errors.Is(err, fs.ErrNotExist) {
			err = missingSecret(cfg)
		}
	}
	if !asJSON {
		if err == nil {
			err = o.say(false, nil, "ok: %s", origins(cfg))
		}
		for _, w := range warnings {
			fmt.Fprintf(o.stderr, "tokenjar: warning: %s\n", plainLine(w))
		}
		return err
	}
	if err != nil && cfg.File == "" {
		cfg.File = o.config
		if there, _ := isThere(config.DefaultFile); there && o.config == "" {
			cfg.File = config.DefaultFile
		}
	}
	result := checkRecord{OK: err == nil, File: cfg.File, Mistakes: []mistakeRecord{}, Warnings: append([]string{}, warnings...)}
	if mistakes, ok := errors.AsType[config.Mistakes](err); ok {
		for _, m := range mistakes {
			result.Mistakes = append(result.Mistakes, mistakeRecord{m.Where, m.Key, m.Detail})
		}
	} else if err != nil {
		detail := err.Error()
		if hint := hintFor(err); hint != "" {
			detail += ": " + hint
		}
		result.Mistakes = append(result.Mistakes, mistakeRecord{Detail: detail})
	}
	if printErr := printJSON(o.stdout, result); printErr != nil || err == nil {
		return printErr
	}
	return errSaid
}

// origins says in a sentence where the settings come from.
func origins(cfg config.Loaded) string {
	file, environment, flag := 0, 0, 0
	for _, v := range cfg.Values() {
		switch {
		case strings.HasPrefix(v.From, "--"):
			flag++
		case strings.HasPrefix(v.From, "TOKENJAR_"):
			environment++
		case cfg.File != "" && strings.HasPrefix(v.From, cfg.File+":"):
			file++
		}
	}
	parts := []string{"no file"}
	if cfg.File != "" {
		parts[0] = fmt.Sprintf("%s from %s", plural.Count(file, "setting", "settings"), cfg.File)
	}
	if environment > 0 {
		parts = append(parts, fmt.Sprintf("%d from the environment", environment))
	}
	if flag > 0 {
		parts = append(parts, fmt.Sprintf("%d from flags", flag))
	}
	return strings.Join(append(parts, "the rest by default"), ", ")
}

func configPrintCommand(o *options) *cobra.Command {
	var defaults, asJSON bool
	c := &cobra.Command{
		Use:   "print",
		Short: "Print the settings, and where each comes from",
		Long: `Print writes all settings as a file, each with the place it comes from: a line of the file, a variable of the
environment, a flag, or the default. The secret is not shown.

With --defaults it prints every setting with its default and what it means, whatever the configuration says.`,
		Example: "  tokenjar config print --defaults",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&defaults, "defaults", false, "print the defaults, explained")
	flags := settingFlags(c)
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(context.Context, []string) error {
		switch {
		case defaults && asJSON:
			return eachJSON(o, config.Settings())
		case defaults:
			return config.Print(o.stdout, config.Defaults())
		}
		cfg, err := o.load(flags())
		if err != nil {
			return err
		}
		if asJSON {
			return eachJSON(o, cfg.Values())
		}
		return config.PrintValues(o.stdout, cfg)
	})
	return c
}

func eachJSON[T any](o *options, list []T) error {
	for _, v := range list {
		if err := printJSON(o.stdout, v); err != nil {
			return err
		}
	}
	return nil
}
