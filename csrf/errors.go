package csrf

import "errors"

// ErrOrigin and ErrToken are what errors.Is finds in a refusal of rule 1 and rule 2.
var (
	// ErrOrigin: rule 1. A page of a foreign origin sent the request, or Origin and Sec-Fetch-Site cannot be believed.
	ErrOrigin = errors.New("csrf: origin not allowed")
	// ErrToken: rule 2. The X-CSRFToken header is missing, sent twice, or not the token of that session.
	ErrToken = errors.New("csrf: token not accepted")
)

// Rule names the rule that refused a request.
type Rule uint8

// The two rules.
const (
	OriginRule Rule = iota + 1 // rule 1: the request comes from a page of ours or of a trusted origin
	TokenRule                  // rule 2: it carries the CSRF token of its session
)

// The reasons of a refusal. They are stable words for logs, metrics and problem documents, and hold nothing the
// client sent.
const (
	ReasonMissing         = "missing"          // no X-CSRFToken; no Origin on a handshake
	ReasonMalformed       = "malformed"        // not the form of any token
	ReasonMismatch        = "mismatch"         // a token, but not of this session
	ReasonNoSession       = "no_session"       // the caller named no session to check against
	ReasonDuplicateHeader = "duplicate_header" // the header was sent more than once
	ReasonForeignOrigin   = "foreign_origin"   // Origin is neither ours nor trusted
	ReasonNullOrigin      = "null_origin"      // Origin: null
	ReasonContradiction   = "contradiction"    // Origin and Sec-Fetch-Site cannot both be true
	ReasonCrossSite       = "cross_site"       // Sec-Fetch-Site: cross-site
	ReasonSameSite        = "same_site"        // Sec-Fetch-Site: same-site, a sibling host
	ReasonNoInitiator     = "no_initiator"     // Sec-Fetch-Site: none on a request no page started
	ReasonUnknownValue    = "unknown_value"    // Sec-Fetch-Site is none of the four known words
)

// An Error is a refusal: which rule, and why in one stable word. It matches [ErrOrigin] or [ErrToken].
type Error struct {
	Rule   Rule
	Reason string
}

// Error gives the rule and the reason.
func (e *Error) Error() string { return e.sentinel().Error() + ": " + e.Reason }

// Is reports whether target is the sentinel of the rule.
func (e *Error) Is(target error) bool { return target == e.sentinel() }

func (e *Error) sentinel() error {
	if e.Rule == TokenRule {
		return ErrToken
	}
	return ErrOrigin
}

func refuseOrigin(reason string) error { return &Error{Rule: OriginRule, Reason: reason} }
func refuseToken(reason string) error  { return &Error{Rule: TokenRule, Reason: reason} }
