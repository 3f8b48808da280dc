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
		Ended  *int   `json:"ended,omitempty" doc:"With all=true: how many sessions were ended"`
	}
}

// logout ends every session of which the request bears a genuine token, expired or not, and clears the cookies. It
// works without and with bad cookies. Only a living session asks for its CSRF token; while the store cannot confirm
// the end, nobody is told to be signed out.
func (a *API) logout(ctx context.Context, in *logoutInput) (*logoutOutput, error) {
	v := visitOf(ctx)
	byCookie := a.service.SignedSessions(v.shown.Access, v.shown.Refresh)
	live, err := a.liveWithCSRF(ctx, v, byCookie)
	if err != nil {
		return nil, err
	}
	ends := byCookie
	if len(byCookie) == 0 && v.shown.Bearer != "" {
		ends = a.service.SignedSessions([]string{v.shown.Bearer}, []string{v.shown.Bearer})
		if live, err = a.service.LiveSessions(ctx, ends); err != nil {
			return nil, err
		}
	}
	out := &logoutOutput{SetCookie: headerValues(a.guard.ClearCookies())}
	out.Body.Detail = "Successfully logged out."
	if in.All {
		// All of them before this one: should the store fail in between, this session is still there to try again.
		ended := 0
		for _, each := range live {
			n, err := a.service.LogoutAll(ctx, each.UserID)
			if err != nil {
				return nil, err
			}
			ended += n
		}
		out.Body.Ended = &ended
	}
	// Also what is over already: a clock that steps back must not undo an end that was asked for.
	if err := a.service.Logout(ctx, ends); err != nil {
		return nil, err
	}
	return out, nil
}
