package middleware

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// A Condition is a demand on a token that has been verified, judged anew for each request: nil, or an error for package
// problem.
type Condition func(claims token.Claims) error

// Scope demands that the token has every one of the scopes (RFC 6749, section 3.3; RFC 9068, section 2.2.3). The scope
// claim is one text with blanks between them; a list of texts is taken as well. Otherwise the answer is 403
// insufficient_scope, and its challenge names the scopes (RFC 6750, section 3.1).
func Scope(scopes ...string) Condition {
	mustNotBeEmpty("Scope", scopes)
	for _, scope := range scopes {
		if !isScope(scope) {
			panic(fmt.Sprintf("middleware: %q is no scope: use printable ASCII without blanks, quotes and backslashes", scope))
		}
	}
	challenge := `Bearer error="insufficient_scope", scope="` + strings.Join(scopes, " ") + `"`
	return func(claims token.Claims) error {
		granted := texts(claims["scope"])
		if text, ok := claims["scope"].(string); ok {
			granted = strings.Split(text, " ")
		}
		for _, scope := range scopes {
			if !slices.Contains(granted, scope) {
				return problem.New(problem.InsufficientScope).WithChallenge(challenge)
			}
		}
		return nil
	}
}

// isScope reports whether s is a scope-token (RFC 6749, appendix A.4).
func isScope(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// Role demands that the token's roles claim (RFC 9068, section 2.2.3.1) has at least one of the roles: 403
// permission_denied otherwise. It is as old as the token; [Access.Where] asks the user that was just resolved.
func Role(roles ...string) Condition { return ClaimIn("roles", roles...) }

// ClaimIn demands that a claim is one of the values, or a list with at least one of them: 403 permission_denied otherwise,
// and when it is missing. Values are compared byte for byte.
func ClaimIn(claim string, values ...string) Condition {
	mustNotBeEmpty("ClaimIn", values)
	if claim == "" {
		panic("middleware: ClaimIn needs the name of a claim")
	}
	return func(claims token.Claims) error {
		for _, have := range texts(claims[claim]) {
			if slices.Contains(values, have) {
				return nil
			}
		}
		return problem.New(problem.PermissionDenied)
	}
}

// mustNotBeEmpty refuses a demand that would be met by nobody or by everybody.
func mustNotBeEmpty(name string, values []string) {
	if len(values) == 0 || slices.Contains(values, "") {
		panic("middleware: " + name + " needs values that are not empty")
	}
}

// texts returns a claim that is a text or a list of texts; nil for anything else.
func texts(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return []string{claim}
	case []string:
		return claim
	case []any:
		list := make([]string, 0, len(claim))
		for _, element := range claim {
			text, ok := element.(string)
			if !ok {
				return nil
			}
			list = append(list, text)
		}
		return list
	}
	return nil
}

// clockSkew is how far in the future auth_time may lie, by our clock.
const clockSkew = time.Minute

// MaxAuthAge demands that the user signed in at most age ago, by the token's claim auth_time (RFC 9068, section 2.2.1):
// otherwise, and when the token does not say, 401 step_up_required with the challenge of RFC 9470, section 3. Whoever
// issues the token writes auth_time, seconds since 1970, at sign-in: a tokenjar.Service does, a [token.Encoder] does not by
// itself. Renewing a token must not move it; signing in again does. Age is whole seconds; now is the clock, nil means
// time.Now.
func MaxAuthAge(age time.Duration, now func() time.Time) Condition {
	if age < time.Second || age%time.Second != 0 {
		panic("middleware: MaxAuthAge needs whole seconds, at least one")
	}
	if now == nil {
		now = time.Now
	}
	refused := problem.New(problem.StepUpRequired).
		WithChallenge(fmt.Sprintf(`Bearer error="insufficient_user_authentication", max_age="%d"`, age/time.Second))
	return func(claims token.Claims) error {
		at, ok := claims.Time("auth_time")
		if since := now().Sub(at); !ok || since > age || since < -clockSkew {
			return refused
		}
		return nil
	}
}
