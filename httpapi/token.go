package httpapi

import (
	"context"

	"github.com/tokenjar/tokenjar"
)

type tokenInput struct {
	Body struct {
		Username string `json:"username,omitempty" maxLength:"254" doc:"User name; one with an @ is taken as an e-mail address" example:"ada"`
		Email    string `json:"email,omitempty" maxLength:"254" doc:"E-mail address, in place of the user name"`
		Password string `json:"password" maxLength:"1024" doc:"The password, as typed"`
	}
}

type tokenOutput struct {
	Body struct {
		Access  string `json:"access" doc:"Access token: send it as Authorization: Bearer"`
		Refresh string `json:"refresh" doc:"Refresh token: spend it once, at token/refresh, in the body"`
		Expirations
	}
}

// token signs a client in that keeps its tokens itself: a program or an app, never a page. Limits, work and refusals
// are those of login. Cookies are neither read nor set, and no session that the request's cookies name ends: what a
// browser sends along by itself has no part in this.
func (a *API) token(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	grant, err := a.service.Login(ctx, tokenjar.Credentials{
		Username: in.Body.Username, Email: in.Body.Email, Password: tokenjar.Password(in.Body.Password),
	}, a.guard.Client(visitOf(ctx).request))
	if err != nil {
		return nil, err
	}
	out := &tokenOutput{}
	out.Body.Access, out.Body.Refresh = grant.AccessToken, grant.RefreshToken
	out.Body.Expirations = a.expirations(grant)
	return out, nil
}
