// Package claims puts roles into access tokens and asks for them.
package claims

import (
	"context"
	"net/http"
	"slices"

	"github.com/tokenjar/tokenjar"
)

// Claims is for tokenjar.Config. It is called at sign-in and at every refresh.
func Claims(_ context.Context, u tokenjar.User) (map[string]any, error) {
	roles := []string{"member"}
	if u.Staff {
		roles = append(roles, "staff")
	}
	return map[string]any{"roles": roles, "email": u.Email}, nil
}

// RequireRole lets those through who have a role. It stands behind the guard: guard.Required(RequireRole("staff", h)).
func RequireRole(role string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := tokenjar.IdentityFromContext(r.Context())
		roles, _ := id.Claims()["roles"].([]any) // as JSON has them
		if !slices.Contains(roles, any(role)) {
			http.Error(w, "this needs the role "+role, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
