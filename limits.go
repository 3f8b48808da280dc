package tokenjar

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// LoginLimits bound how often passwords are tried. Both are asked before a password is looked at, so a right password
// and a wrong one are turned away alike. Package ratelimit has an implementation. Methods are safe for concurrent use.
type LoginLimits interface {
	// AllowAddress counts a try from a client's address; "" when it cannot be known.
	AllowAddress(ctx context.Context, ip string) error
	// AllowAccount counts a try for an account, under a key that is one however the account was named.
	AllowAccount(ctx context.Context, key string) error
}

// A RateLimitError says that a limit has been reached. Nothing was checked and nothing has changed.
type RateLimitError struct {
	Limit      string        // "address" or "account"
	RetryAfter time.Duration // when the next try will be allowed
}

// Error says so.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many tries for this %s: again in %s", e.Limit, e.RetryAfter)
}

// ProblemCode, ProblemDetail and ProblemRetryAfter say what a client is told: see package problem.
func (e *RateLimitError) ProblemCode() string { return "rate_limited" }

// ProblemDetail is the sentence for people.
func (e *RateLimitError) ProblemDetail() string {
	return "Too many tries to sign in. Wait and try again."
}

// ProblemRetryAfter is RetryAfter.
func (e *RateLimitError) ProblemRetryAfter() time.Duration { return e.RetryAfter }

func (s *Service) allowAddress(ctx context.Context, from Client) error {
	if s.cfg.Limits == nil {
		return nil
	}
	return s.cfg.Limits.AllowAddress(ctx, from.IP)
}

func (s *Service) allowAccount(ctx context.Context, key string) error {
	if s.cfg.Limits == nil {
		return nil
	}
	return s.cfg.Limits.AllowAccount(ctx, key)
}

// accountKey is what tries for an account are counted under: the same whether it was named by name or by address, and
// in whatever case. Names that nobody has are counted as well, so that being turned away does not tell whether an account
// exists. That one counter serves both names of an account can be observed, by whoever knows or guesses both.
func accountKey(u User, id Identifier) string {
	if u.ID != "" {
		return "user " + u.ID
	}
	key, ok := UsernameKey(id.Username)
	if id.Email != "" {
		key, ok = EmailKey(id.Email)
	}
	if !ok {
		key = id.Username + id.Email
	}
	sum := sha256.Sum256([]byte(key)) // of bounded length, whatever was typed
	return "name " + string(sum[:])
}
