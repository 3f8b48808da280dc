package httpapi

import (
	"context"
	"errors"
	"time"

	"github.com/tokenjar/tokenjar"
)

type verifyInput struct {
	Body struct {
		Token string `json:"token,omitempty" maxLength:"8192" doc:"An access or a refresh token. Without it the cookie counts"`
	}
}

type verifyOutput struct {
	Body struct {
		Active    bool   `json:"active" doc:"Always true: what is not active is 401"`
		TokenType string `json:"token_type" enum:"access,refresh"`
		Exp       int64  `json:"exp" doc:"When it runs out, in seconds since 1970"`
	}
}

// verify tells whether a token is good now, its session's end included. It changes nothing.
func (a *API) verify(ctx context.Context, in *verifyInput) (*verifyOutput, error) {
	v := visitOf(ctx)
	if v.bodyToken {
		return a.verifyToken(ctx, in.Body.Token)
	}
	cred, err := a.guard.Judge(v.shown)
	if err != nil {
		return nil, err
	}
	if err := a.guard.CheckCSRF(v.request, cred); err != nil {
		return nil, err
	}
	if cred.NeedsRenewal() {
		return a.verifyToken(ctx, cred.RefreshToken)
	}
	if err := a.service.CheckSession(ctx, cred.Identity); err != nil {
		return nil, err
	}
	return active("access", cred.Identity.ExpiresAt), nil
}

func (a *API) verifyToken(ctx context.Context, raw string) (*verifyOutput, error) {
	id, err := a.service.Authenticate(raw)
	if err == nil {
		if err := a.service.CheckSession(ctx, id); err != nil {
			return nil, err
		}
		return active("access", id.ExpiresAt), nil
	}
	state, refreshErr := a.service.Inspect(ctx, raw)
	switch {
	case refreshErr == nil:
		return active("refresh", state.Token.ExpiresAt), nil
	case errors.Is(refreshErr, tokenjar.ErrTokenInvalid):
		return nil, err // no refresh token at all: what was wrong with it as an access token says more
	}
	return nil, refreshErr
}

func active(kind string, expires time.Time) *verifyOutput {
	out := &verifyOutput{}
	out.Body.Active, out.Body.TokenType, out.Body.Exp = true, kind, expires.Unix()
	return out
}
