package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tokenjar/tokenjar/internal/request"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// Bearer authenticates by the token in the Authorization field (RFC 6750, section 2.1). A page of another origin cannot
// make a browser send it, so no CSRF rule applies. It is safe for concurrent use.
type Bearer[U any] struct {
	tokens  token.Verifier
	resolve Resolver[U]
}

// NewBearer returns an authenticator that takes the tokens which tokens verifies, and resolves their users. Tokens is a
// [*token.Cache] for all but the least of traffic, or a [*token.Decoder].
func NewBearer[U any](tokens token.Verifier, resolve Resolver[U]) (*Bearer[U], error) {
	if err := checkParts(tokens, resolve); err != nil {
		return nil, err
	}
	return &Bearer[U]{tokens, resolve}, nil
}

// checkParts names what is missing.
func checkParts[U any](tokens token.Verifier, resolve Resolver[U]) error {
	var errs []error
	if isNil(tokens) {
		errs = append(errs, errors.New("middleware: tokens is required: a *token.Cache or a *token.Decoder"))
	} else if judge, ok := tokens.(interface{ Authenticates() error }); ok {
		if err := judge.Authenticates(); err != nil {
			errs = append(errs, fmt.Errorf("middleware: tokens: %w", err))
		}
	}
	if resolve == nil {
		errs = append(errs, errors.New("middleware: resolve is required: Claims, for a program without users of its own"))
	}
	return errors.Join(errs...)
}

// Authenticate implements [Authenticator]. The scheme is compared without case; another one is no credential, and what is
// not exactly one token is a bad one. Two Authorization fields are refused with 400: nobody may choose between them.
func (b *Bearer[U]) Authenticate(_ http.ResponseWriter, r *http.Request) (Identity[U], error) {
	raw, bad, err := request.Bearer(r.Header)
	switch {
	case err != nil:
		return Identity[U]{}, problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest).
			WithDetail("The request has more than one Authorization field.")
	case bad:
		return Identity[U]{}, problem.New(problem.TokenInvalid).
			WithDetail("The Authorization field is not the word Bearer, one blank and one token.")
	case raw == "":
		return Identity[U]{}, ErrNoCredential
	}
	verified, err := b.tokens.Verify(r.Context(), raw)
	if err != nil {
		return Identity[U]{}, err
	}
	return Resolve(r, b.resolve, verified, false)
}

// Peek implements [Peeker].
func (b *Bearer[U]) Peek(ctx context.Context, r *http.Request) []Token {
	raw, bad, err := request.Bearer(r.Header)
	if err != nil || bad || raw == "" {
		return nil
	}
	verified, err := b.tokens.Verify(ctx, raw)
	if err != nil {
		return nil
	}
	return []Token{verified}
}
