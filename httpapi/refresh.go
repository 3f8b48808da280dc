package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/session"
)

type refreshInput struct {
	Body struct {
		Refresh string `json:"refresh,omitempty" maxLength:"8192" doc:"A refresh token, for clients without cookies. Without it the cookie counts"`
	}
}

type refreshOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"The access, refresh and CSRF cookie; none when the token came in the body"`
	Body      struct {
		Access  string `json:"access,omitempty" doc:"Access token; only when the refresh token came in the body"`
		Refresh string `json:"refresh,omitempty" doc:"Refresh token; only when the refresh token came in the body"`
		Expirations
	}
}

// refresh renews the session of the cookie, or of the token in the body: then no cookie is looked at or set.
func (a *API) refresh(ctx context.Context, in *refreshInput) (*refreshOutput, error) {
	v := visitOf(ctx)
	request := tokenjar.RefreshRequest{
		Token: in.Body.Refresh, Passive: session.Passive(v.request), Client: a.guard.Client(v.request),
	}
	if !v.bodyToken {
		cred, err := a.guard.JudgeRefresh(v.shown)
		if err != nil {
			return nil, a.refreshRefused(ctx, v, err)
		}
		if err := a.guard.CheckCSRF(v.request, cred); err != nil {
			return nil, a.csrfRefused(ctx, v, cred, err)
		}
		request.Token = cred.RefreshToken
	}
	grant, err := a.service.Refresh(ctx, request)
	if err != nil {
		return nil, a.refreshRefused(ctx, v, err)
	}
	out := &refreshOutput{}
	out.Body.Expirations = a.expirations(grant)
	if v.bodyToken {
		out.Body.Access, out.Body.Refresh = grant.AccessToken, grant.RefreshToken
		return out, nil
	}
	if out.SetCookie, err = a.grantCookies(grant); err != nil {
		return nil, err
	}
	return out, nil
}

// csrfRefused lets a dead session's cookie be told so, and cleared, although its CSRF token is missing: a stale cookie
// must not keep anybody from finding out that they have to sign in.
func (a *API) csrfRefused(ctx context.Context, v *visit, cred session.Credential, refused error) error {
	_, err := a.service.LiveSession(ctx, tokenjar.Identity{SessionID: cred.SessionID(), UserID: cred.Refresh.UserID})
	if errors.Is(err, tokenjar.ErrSessionEnded) || errors.Is(err, tokenjar.ErrSessionReused) {
		return a.refreshRefused(ctx, v, err)
	}
	return refused
}

// refreshRefused clears the cookies when they are dead for good. They stay when anything may be better next time.
func (a *API) refreshRefused(ctx context.Context, v *visit, err error) error {
	p := problem.From(err)
	if p.Status != http.StatusUnauthorized {
		return err
	}
	if !v.bodyToken {
		if p.Code == problem.TokenExpired {
			for _, raw := range v.shown.Refresh {
				a.service.SettleExpired(ctx, raw)
			}
		}
		a.clearDead(ctx, v)
	}
	return p.WithAction(problem.Login)
}
