// Package claims puts roles into access tokens and asks for them.
package claims

import (
	"context"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/token"
)

// Claims is for tokenjar.Config. It is called at sign-in and at every refresh.
func Claims(_ context.Context, u tokenjar.User) (map[string]any, error) {
	roles := []string{"member"}
	if u.Staff {
		roles = append(roles, "staff")
	}
	return map[string]any{"roles": roles, "email": u.Email}, nil
}

// WithRole lets those through whom the guard knows and who have a role: WithRole(guard, "staff").Protect(handler).
func WithRole(guard *session.Guard, role string) middleware.Access[token.Claims] {
	return middleware.Required(session.Authenticator(guard, middleware.Claims)).With(middleware.Role(role))
}
