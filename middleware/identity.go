package middleware

import (
	"context"

	"github.com/tokenjar/tokenjar/token"
)

// An Identity is who a request speaks for: a user of the program's own type, and the token that said so.
type Identity[U any] struct {
	// User is what the program's [Resolver] returned.
	User U
	// Token is what was verified: a [token.Verified] of this package's authenticators, a tokenjar.Identity where package
	// session authenticated the request, nil where an authenticator of the program's own used no token.
	Token Token
	// ByCookie says that the browser sent the credential by itself, so that CSRF has been judged.
	ByCookie bool
}

// A Token is a verified token, of which the claims can be read.
type Token interface {
	// Claims returns all claims, read anew at each call: the caller may keep and change them.
	Claims() token.Claims
}

// Claims returns the claims of the token; none when there is no token.
func (id Identity[U]) Claims() token.Claims {
	if id.Token == nil {
		return token.Claims{}
	}
	return id.Token.Claims()
}

// identityKey is the key under which a context carries a *[Identity] of one user type.
type identityKey[U any] struct{}

// ContextWithIdentity returns a context that carries who the request speaks for: for tests, and for programs with
// authentication of their own.
func ContextWithIdentity[U any](ctx context.Context, id Identity[U]) context.Context {
	return context.WithValue(ctx, identityKey[U]{}, &id)
}

// IdentityFromContext returns who the request speaks for. It reports false for an anonymous request, and for one that was
// authenticated with another user type.
func IdentityFromContext[U any](ctx context.Context) (Identity[U], bool) {
	id, ok := ctx.Value(identityKey[U]{}).(*Identity[U])
	if !ok || id == nil {
		return Identity[U]{}, false
	}
	return *id, true
}

// UserFromContext returns the user whom the request speaks for, as [IdentityFromContext] does.
func UserFromContext[U any](ctx context.Context) (U, bool) {
	id, ok := IdentityFromContext[U](ctx)
	return id.User, ok
}
