package tokenjar

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Sentinel errors. Compare with [errors.Is]. Most carry the stable code of what a client is told; what that code means is
// decided in package problem.
var (
	// ErrInvalidCredentials says that the name, the password or the account is not good for signing in. Which of them,
	// it does not say: to a stranger an unknown user, a wrong password and a disabled account are the same.
	ErrInvalidCredentials error = &refusal{"invalid_credentials", "invalid credentials"}

	// ErrNotAuthenticated says that a request bears no credential at all.
	ErrNotAuthenticated error = &refusal{"not_authenticated", "not authenticated"}

	// ErrTokenInvalid says that a token is malformed, forged, or not meant for us.
	ErrTokenInvalid error = &refusal{"token_invalid", "token invalid"}

	// ErrTokenExpired says that a genuine token's time is over. It promises nothing about the session.
	ErrTokenExpired error = &refusal{"token_expired", "token expired"}

	// ErrTokenRevoked says that a genuine, unexpired access token belongs to a session that has ended.
	ErrTokenRevoked error = &refusal{"token_revoked", "token revoked"}

	// ErrWrongTokenType says that a genuine token was used for another purpose than its own.
	ErrWrongTokenType error = &refusal{"wrong_token_type", "wrong token type"}

	// ErrRefreshMissing says that a refresh was asked for without a refresh token.
	ErrRefreshMissing error = &refusal{"refresh_missing", "refresh token missing"}

	// ErrSessionEnded says that the session of a genuine refresh token is over.
	ErrSessionEnded error = &refusal{"session_ended", "session ended"}

	// ErrSessionReplaced is the [ErrSessionEnded] of a session that ended because the same browser signed in again.
	// That browser already holds newer cookies, which must not be cleared on account of the old ones.
	ErrSessionReplaced = fmt.Errorf("%w: the same browser signed in again", ErrSessionEnded)

	// ErrSessionReused says that a refresh token was spent twice in a way only a copy explains, and that its session
	// was ended for it (RFC 9700, section 4.14.2).
	ErrSessionReused error = &refusal{"session_reused", "session ended: refresh token reused"}

	// ErrTooManyReplays says that one refresh token was sent again too often within its grace. Nothing has ended.
	ErrTooManyReplays error = &refusal{"rate_limited", "refresh token sent again too often"}

	// ErrNotFound says that the thing named does not exist, or does not belong to who asks.
	ErrNotFound error = &refusal{"not_found", "not found"}

	// ErrConflict says that a unique name is taken, or that a row changed under the caller.
	ErrConflict error = &refusal{"conflict", "conflict"}

	// ErrStoreUnavailable says that the store could not be asked or did not confirm. Nothing may be concluded about
	// users or sessions; the caller tries again.
	ErrStoreUnavailable error = &refusal{"store_unavailable", "store unavailable"}

	// ErrClaimsTooLarge says that an access token with the program's claims does not fit into a cookie. Nothing was
	// changed.
	ErrClaimsTooLarge error = &refusal{"claims_too_large", "access token too large: fewer claims are needed"}

	// ErrKeyRingSealed says that the key ring in the store was sealed under a secret that is not configured.
	ErrKeyRingSealed = errors.New("the key ring in the store does not open with the configured secret")
)

// A refusal is a sentinel error with the stable code under which package problem tells a client of it.
type refusal struct{ code, text string }

func (e *refusal) Error() string       { return e.text }
func (e *refusal) ProblemCode() string { return e.code }

// A ReplayError is [ErrTooManyReplays] with the time after which the same token may be sent again.
type ReplayError struct {
	RetryAfter time.Duration
}

func (e *ReplayError) Error() string { return ErrTooManyReplays.Error() }

// Is reports whether target is [ErrTooManyReplays].
func (e *ReplayError) Is(target error) bool { return target == ErrTooManyReplays }

// ProblemCode, ProblemDetail and ProblemRetryAfter say what a client is told: see package problem.
func (e *ReplayError) ProblemCode() string { return "rate_limited" }

// ProblemDetail is the sentence for people.
func (e *ReplayError) ProblemDetail() string {
	return "This refresh token was sent too often at once. Wait and use the newest one."
}

// ProblemRetryAfter is RetryAfter.
func (e *ReplayError) ProblemRetryAfter() time.Duration { return e.RetryAfter }

// A FieldError names one member of the input that cannot be taken, by a stable code.
type FieldError struct {
	Field  string // as in the request, for example "username"
	Code   string // stable: "required", "too_long", "invalid", …
	Detail string // one sentence for people
}

// A ValidationError lists every field of the input that cannot be taken.
type ValidationError struct {
	Fields []FieldError
}

func (e *ValidationError) Error() string {
	names := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		names[i] = f.Field + " (" + f.Code + ")"
	}
	return "invalid input: " + strings.Join(names, ", ")
}

// ProblemCode and ProblemFields say what a client is told: see package problem.
func (e *ValidationError) ProblemCode() string { return "validation_failed" }

// ProblemFields calls yield for each field.
func (e *ValidationError) ProblemFields(yield func(field, code, detail string)) {
	for _, f := range e.Fields {
		yield(f.Field, f.Code, f.Detail)
	}
}

// invalid returns a ValidationError for one field.
func invalid(field, code, format string, args ...any) error {
	return &ValidationError{Fields: []FieldError{{Field: field, Code: code, Detail: fmt.Sprintf(format, args...)}}}
}
