package problem

import (
	"context"
	"errors"
	"net/http"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/token"
)

// A Code is the stable name of a problem.
type Code string

// The codes, each with its usual HTTP status. [New] gives it its action and its texts.
const (
	InvalidCredentials   Code = "invalid_credentials"    // 401: user name or password is not right
	NotAuthenticated     Code = "not_authenticated"      // 401: no credential
	TokenInvalid         Code = "token_invalid"          // 401: the token is damaged, or not one of ours
	TokenExpired         Code = "token_expired"          // 401: the token was good, and its time is over
	TokenRevoked         Code = "token_revoked"          // 401: the token's session was ended
	WrongTokenType       Code = "wrong_token_type"       // 401: a refresh token for an access token, or the reverse
	RefreshMissing       Code = "refresh_missing"        // 401: nothing to renew the session with
	SessionEnded         Code = "session_ended"          // 401: the session or its user is gone
	SessionReused        Code = "session_reused"         // 401: a refresh token was spent twice, so its session was ended
	CSRFFailed           Code = "csrf_failed"            // 403: X-CSRFToken is missing, or not this session's
	OriginNotAllowed     Code = "origin_not_allowed"     // 403: a page of another origin sent the request
	InsufficientScope    Code = "insufficient_scope"     // 403: the token lacks a scope
	PermissionDenied     Code = "permission_denied"      // 403: this user may not do that
	StepUpRequired       Code = "step_up_required"       // 401: the sign-in is not recent enough
	RateLimited          Code = "rate_limited"           // 429: too many tries; Retry-After says when again
	ValidationFailed     Code = "validation_failed"      // 422: the request cannot be taken; 400 where it cannot be read
	UnsupportedMediaType Code = "unsupported_media_type" // 415: the body is not JSON in UTF-8, or is encoded
	BodyTooLarge         Code = "body_too_large"         // 413: the body is larger than is read
	HeaderTooLarge       Code = "header_too_large"       // 431: more cookies than are read
	NotFound             Code = "not_found"              // 404: nothing is there
	MethodNotAllowed     Code = "method_not_allowed"     // 405: the Allow header says which methods are
	BadPath              Code = "bad_path"               // 400: two programs may read the path differently
	MisdirectedHost      Code = "misdirected_host"       // 421: the Host is not that of public_url
	ProxyMisconfigured   Code = "proxy_misconfigured"    // 403: a proxy asks about a request and does not say about which
	Conflict             Code = "conflict"               // 409: taken, or changed meanwhile
	StoreUnavailable     Code = "store_unavailable"      // 503: a store or database does not answer; nobody is signed out
	KeysUnavailable      Code = "keys_unavailable"       // 503: the keys to verify with cannot be fetched
	UpstreamUnavailable  Code = "upstream_unavailable"   // 502: a service behind us does not answer as it should; 503: it has no room
	UpstreamTimeout      Code = "upstream_timeout"       // 504: it does not answer in time
	Overloaded           Code = "overloaded"             // 503: too many sign-ins at once, or the request's time is over
	ClaimsTooLarge       Code = "claims_too_large"       // 503: the configured claims do not fit a cookie
	Internal             Code = "internal_error"         // 500: a fault of ours, told in the log
)

// An Action is what a client does next.
type Action string

// The actions.
const (
	Refresh    Action = "refresh"     // ask for a new access token
	Login      Action = "login"       // have the user sign in
	Retry      Action = "retry"       // the same request again, after Retry-After
	FixRequest Action = "fix_request" // the program that sent it is at fault
	FixConfig  Action = "fix_config"  // whoever runs the server is asked
)

type kind struct {
	status int
	action Action
	title  string
	detail string
}

var kinds = map[Code]kind{
	InvalidCredentials: {http.StatusUnauthorized, FixRequest, "Sign-in failed",
		"The user name or the password is not right."},
	NotAuthenticated: {http.StatusUnauthorized, Login, "Not signed in",
		"This needs a signed-in user."},
	TokenInvalid: {http.StatusUnauthorized, Login, "Token not accepted",
		"The token is not one of ours, or it is damaged."},
	TokenExpired: {http.StatusUnauthorized, Refresh, "Token expired",
		"The token's time is over."},
	TokenRevoked: {http.StatusUnauthorized, Login, "Session ended",
		"The session this token belongs to has ended. Sign in again."},
	WrongTokenType: {http.StatusUnauthorized, FixRequest, "Wrong kind of token",
		"This token is for another purpose: an access token is needed where a refresh token was sent, or the reverse."},
	RefreshMissing: {http.StatusUnauthorized, Login, "No refresh token",
		"There is no refresh token to renew the session with. Sign in."},
	SessionEnded: {http.StatusUnauthorized, Login, "Session ended",
		"The session has ended. Sign in again."},
	SessionReused: {http.StatusUnauthorized, Login, "Session ended for safety",
		"A copy of this session's refresh token was used, so the session was ended. Sign in again; if you do not know " +
			"why this happened, change your password."},
	CSRFFailed: {http.StatusForbidden, FixRequest, "CSRF check failed",
		"The X-CSRFToken header is missing or not this session's."},
	OriginNotAllowed: {http.StatusForbidden, FixConfig, "Origin not allowed",
		"A page of another origin sent this request."},
	InsufficientScope: {http.StatusForbidden, FixRequest, "Scope missing",
		"The token does not have the scope this needs."},
	PermissionDenied: {http.StatusForbidden, FixRequest, "Not permitted",
		"This user may not do that."},
	StepUpRequired: {http.StatusUnauthorized, Login, "Sign in again",
		"This needs a sign-in that is more recent. Sign in again."},
	RateLimited: {http.StatusTooManyRequests, Retry, "Too many requests",
		"Too many requests. Wait and try again."},
	ValidationFailed: {http.StatusUnprocessableEntity, FixRequest, "Request not understood",
		"The request cannot be taken as it is."},
	UnsupportedMediaType: {http.StatusUnsupportedMediaType, FixRequest, "Unsupported media type",
		"Send the body as application/json, in UTF-8, without content encoding."},
	BodyTooLarge: {http.StatusRequestEntityTooLarge, FixRequest, "Body too large",
		"The body is larger than this server reads."},
	HeaderTooLarge: {http.StatusRequestHeaderFieldsTooLarge, FixRequest, "Header fields too large",
		"The request bears more cookies than this server reads. Delete this site's cookies."},
	NotFound: {http.StatusNotFound, FixRequest, "Not found",
		"There is nothing here."},
	MethodNotAllowed: {http.StatusMethodNotAllowed, FixRequest, "Method not allowed",
		"This cannot be done with that method: see the Allow header."},
	BadPath: {http.StatusBadRequest, FixRequest, "Path not accepted",
		"The path has dot segments, doubled slashes, or characters or escapes that two programs may read differently."},
	MisdirectedHost: {http.StatusMisdirectedRequest, FixConfig, "Not this host",
		"This server does not answer for that host. Use the configured public_url."},
	ProxyMisconfigured: {http.StatusForbidden, FixConfig, "Proxy not configured",
		"The proxy in front asks whether a request may pass, and does not say which one."},
	Conflict: {http.StatusConflict, FixRequest, "Conflict",
		"That is taken, or was changed meanwhile."},
	StoreUnavailable: {http.StatusServiceUnavailable, Retry, "Temporarily unavailable",
		"The store does not answer. Nothing was changed and nobody is signed out. Try again."},
	KeysUnavailable: {http.StatusServiceUnavailable, Retry, "Temporarily unavailable",
		"The keys to verify the token with cannot be fetched. Nothing is known about the token. Try again."},
	UpstreamUnavailable: {http.StatusBadGateway, Retry, "Service unavailable",
		"The service behind this route does not answer as it should. Try again."},
	UpstreamTimeout: {http.StatusGatewayTimeout, Retry, "Service too slow",
		"The service behind this route did not answer in time."},
	Overloaded: {http.StatusServiceUnavailable, Retry, "Busy",
		"Too many sign-ins are being checked. Try again."},
	ClaimsTooLarge: {http.StatusServiceUnavailable, FixConfig, "Claims too large",
		"The configured claims do not fit into a cookie. Nobody can sign in until there are fewer."},
	Internal: {http.StatusInternalServerError, Retry, "Internal error",
		"Something went wrong here. It has been logged under the request id."},
}

// Actions returns every action, sorted as declared, for documentation and tests.
func Actions() []Action { return []Action{Refresh, Login, Retry, FixRequest, FixConfig} }

// knownCode finds the code of an error of a package that knows nothing of codes. The first match counts.
func knownCode(err error) Code {
	for _, row := range []struct {
		err  error
		code Code
	}{
		{token.ErrKeysUnavailable, KeysUnavailable},
		{token.ErrExpired, TokenExpired},
		{token.ErrType, WrongTokenType},
		{token.ErrMalformed, TokenInvalid},
		{token.ErrSignature, TokenInvalid},
		{token.ErrClaims, TokenInvalid},
		{token.ErrNotYetValid, TokenInvalid},
		{csrf.ErrOrigin, OriginNotAllowed},
		{csrf.ErrToken, CSRFFailed},
		{cookie.ErrTooMany, HeaderTooLarge},
		{cookie.ErrTooLarge, ClaimsTooLarge},
		{context.Canceled, Overloaded}, // nobody reads the answer
		{context.DeadlineExceeded, Overloaded},
	} {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return Internal
}

// carriedCode returns the code that err or what it wraps carries, "" when none does. That nothing is known comes first,
// whatever else is wrapped.
func carriedCode(err error) (code Code) {
	walk(err, func(err error) bool {
		if coded, ok := err.(interface{ ProblemCode() string }); ok && (code == "" || coded.ProblemCode() == string(StoreUnavailable)) {
			code = Code(coded.ProblemCode())
		}
		return code != StoreUnavailable
	})
	return code
}

// walk calls visit for err and everything it wraps, until visit returns false.
func walk(err error, visit func(error) bool) bool {
	if err == nil {
		return true
	}
	if !visit(err) {
		return false
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return walk(wrapper.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, err := range wrapper.Unwrap() {
			if !walk(err, visit) {
				return false
			}
		}
	}
	return true
}

// csrfDetail says what a request would have needed. The reason is one of package csrf's words, never the client's.
func csrfDetail(e *csrf.Error) string {
	switch {
	case e.Rule == csrf.OriginRule:
		return "The request does not come from a page of this site (" + e.Reason + "). If that page is yours, its origin has to " +
			"be among the trusted origins."
	case e.Reason == csrf.ReasonMissing:
		return "The X-CSRFToken header is missing. Send the value of the CSRF cookie in it (" + e.Reason + ")."
	case e.Reason == csrf.ReasonNoSession:
		return "The token names no session that a CSRF token could be bound to (" + e.Reason + "): the claim for it is missing."
	}
	return "The X-CSRFToken header is not this session's (" + e.Reason + "). Read the CSRF cookie again."
}

// Codes returns every code, sorted as declared, for documentation and tests.
func Codes() []Code {
	return []Code{
		InvalidCredentials, NotAuthenticated, TokenInvalid, TokenExpired, TokenRevoked, WrongTokenType, RefreshMissing,
		SessionEnded, SessionReused, CSRFFailed, OriginNotAllowed, InsufficientScope, PermissionDenied, StepUpRequired, RateLimited, ValidationFailed, UnsupportedMediaType,
		BodyTooLarge, HeaderTooLarge, NotFound, MethodNotAllowed, BadPath, MisdirectedHost, ProxyMisconfigured, Conflict, StoreUnavailable, KeysUnavailable,
		UpstreamUnavailable, UpstreamTimeout, Overloaded, ClaimsTooLarge, Internal,
	}
}
