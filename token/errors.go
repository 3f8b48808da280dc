package token

import "errors"

// What a verifier may answer. [Decoder.Decode] judges in the order structure, header, signature, typ, claims and
// reports the first that fails, so everything but ErrMalformed and ErrSignature speaks about a token whose signature
// held. Compare with [errors.Is].
var (
	// ErrMalformed: not a compact JWS in the one spelling accepted here, or its header or payload is not strict JSON
	// of the expected shape. What stands before a token or adds a dot behind it makes it malformed; anything else
	// behind it, also a blank or a line's end, belongs to the signature: see ErrSignature.
	ErrMalformed = errors.New("token: malformed")

	// ErrSignature: the signature does not verify or has not the length of this key's, the key ring has no such kid, or
	// the header names an algorithm that is not the key's. The length is judged before the spelling, so a good token
	// with "\n", "=" or other bytes behind it is this and not ErrMalformed.
	ErrSignature = errors.New("token: signature does not verify")

	// ErrType: the header's typ is not the one this decoder takes. The token was made for another purpose.
	ErrType = errors.New("token: wrong type")

	// ErrClaims: a claim is missing, of the wrong shape or of the wrong value. The error is a [*ClaimError].
	ErrClaims = errors.New("token: claim refused")

	// ErrNotYetValid: nbf or iat lies in the future, beyond the leeway.
	ErrNotYetValid = errors.New("token: not yet valid")

	// ErrKeysUnavailable: the keys to verify with could not be had, so nothing is known about the token. Only a [KeySet]
	// that fetches its keys returns it; it is a fault of ours or the issuer's, never of the client's.
	ErrKeysUnavailable = errors.New("token: verification keys are unavailable")

	// ErrExpired: exp has been reached. It is judged last, so the token was good in every other respect.
	ErrExpired = errors.New("token: expired")
)

// What a signer may answer.
var (
	// ErrCannotSign: the ring has no signing key.
	ErrCannotSign = errors.New("token: key ring has no signing key")

	// ErrTooLarge: the token would pass [MaxSize], so no decoder would take it.
	ErrTooLarge = errors.New("token: larger than 8 KiB")
)

// ClaimError names the claim that was refused; it wraps [ErrClaims]. The texts hold no value from the token.
type ClaimError struct {
	Claim  string // name, such as "aud"
	Reason string // a fixed phrase
}

// Error names the claim and the reason, and nothing of the token.
func (e *ClaimError) Error() string { return "token: claim " + e.Claim + ": " + e.Reason }

// Unwrap returns [ErrClaims].
func (e *ClaimError) Unwrap() error { return ErrClaims }
