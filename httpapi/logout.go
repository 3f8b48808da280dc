package httpapi

import (
	"context"
)

type logoutInput struct {
	All bool `query:"all" doc:"End all sessions of the user, not only this one"`
}

type logoutOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"Deletions of all our cookies"`
	Body      struct {
		Detail string `json:"detail" example:"Successfully logged out."`
	}
}

// logout ends every session of which the request bears a genuine token, expired or not, and clears the cookies. It
// works without and with bad cookies. Only a living session asks for its CSRF token; while the store cannot confirm
// the end, nobody is told to be signed out.
func (a *API) logout(ctx context.Context, in *logoutInput) (*logoutOutput, error) {
	v := visitOf(ctx)
	byCookie := a.service.SignedSessions(v.shown.Access, v.shown.Refresh)
	live, err := a.service.LiveSessions(ctx, byCookie)
	if err != nil {
		return nil, err
	}
	if err := a.checkAnyCSRF(v.request, live); err != nil {
		return nil, err
	}
	ends := byCookie
	if len(byCookie) == 0 && v.shown.Bearer != "" {
		ends = a.service.SignedSessions([]string{v.shown.Bearer}, []string{v.shown.Bearer})
		if live, err = a.service.LiveSessions(ctx, ends); err != nil {
			return nil, err
		}
	}
	// Also what is over already: a clock that steps back must not undo an end that was asked for.
	if err := a.service.Logout(ctx, ends); err != nil {
		return nil, err
	}
	if in.All {
		for _, each := range live {
			if _, err := a.service.LogoutAll(ctx, each.UserID); err != nil {
				return nil, err
			}
		}
	}
	out := &logoutOutput{SetCookie: headerValues(a.guard.ClearCookies())}
	out.Body.Detail = "Successfully logged out."
	return out, nil
}
