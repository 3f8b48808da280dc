// Package snippets holds the lines that documents show without the program around them, so that they compile.
package snippets

import (
	"context"
	"database/sql"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/examples/claims"
	"github.com/tokenjar/tokenjar/examples/userstore"
	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/store/sqlite"
	"github.com/tokenjar/tokenjar/token"
)

// OwnUsers is in docs/howto/own-user-table.md.
func OwnUsers(ctx context.Context, url string, secret tokenjar.Secret, store *sqlite.Store, db *sql.DB) (*tokenjar.Service, error) {
	service, err := tokenjar.New(ctx, tokenjar.Config{Issuer: url, Secret: secret, Store: store, Users: userstore.Store{DB: db}})
	return service, err
}

// CreateUser is in docs/howto/own-user-table.md.
func CreateUser(ctx context.Context, store *sqlite.Store, hasher *password.Hasher) (tokenjar.User, error) {
	user, err := tokenjar.CreateUser(ctx, store, hasher, password.Policy{}, tokenjar.NewUser{
		Username: "ada", Email: "ada@example.com", Password: "umbrella-kettle-92",
	})
	return user, err
}

// Claims is in docs/howto/claims.md.
func Claims(ctx context.Context, url string, secret tokenjar.Secret, store *sqlite.Store) (*tokenjar.Service, error) {
	service, err := tokenjar.New(ctx, tokenjar.Config{Issuer: url, Secret: secret, Store: store, Claims: claims.Claims})
	return service, err
}

// AnotherIssuer is in docs/howto/verify-tokens.md.
func AnotherIssuer(ctx context.Context) (*token.Decoder, error) {
	keys, err := jwks.New(jwks.Config{
		URL:        "https://login.example.com/oauth2/v1/keys",
		Algorithms: []token.Algorithm{token.RS256},
	})
	if err != nil {
		return nil, err
	}
	if err := keys.Load(ctx); err != nil { // optional: without it the first token fetches them
		return nil, err
	}
	return token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: "https://login.example.com", Audience: "https://api.example.com",
	})
}
