package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
)

func openapiCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document",
		Long: `Openapi prints the OpenAPI 3.1 document of the API, as a server with this configuration serves it at /openapi.json. It
needs neither a database nor a secret.`,
		Example: "  tokenjar openapi > openapi.json",
		Args:    cobra.NoArgs,
	}
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		cfg, err := o.load(nil)
		if err != nil {
			return err
		}
		document, err := openapi(ctx, cfg.Config)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(o.stdout, "%s\n", document)
		return err
	})
	return c
}

// openapi builds the API on a store that is thrown away, and returns its document.
func openapi(ctx context.Context, cfg config.Config) ([]byte, error) {
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		return nil, err
	}
	publicURL := cfg.URL(8080) // any port will do: it does not stand in the document
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	service, err := tokenjar.New(ctx, tokenjar.Config{
		Issuer: publicURL, Secret: secret, Store: memory.New(memory.Config{}), Logger: log,
	})
	if err != nil {
		return nil, err
	}
	cookies, err := cookie.New(cfg.CookieConfig(publicURL))
	if err != nil {
		return nil, err
	}
	guard, err := session.New(session.Config{Service: service, PublicURL: publicURL, Cookies: cookies})
	if err != nil {
		return nil, err
	}
	api, err := httpapi.New(httpapi.Config{Guard: guard, Path: cfg.Auth.Path, Version: version().Version})
	if err != nil {
		return nil, err
	}
	return api.OpenAPI(), nil
}
