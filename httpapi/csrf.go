package httpapi

import (
	"context"

	"github.com/tokenjar/tokenjar"
)

type csrfOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"The CSRF cookie"`
	Body      struct {
		Token string `json:"csrf_token" doc:"Send it as X-CSRFToken with every unsafe request"`
	}
}

// csrf gives the CSRF token of the session that the cookies name, for pages that cannot read the cookie.
func (a *API) csrf(ctx context.Context, _ *struct{}) (*csrfOutput, error) {
	cred, err := a.guard.Judge(visitOf(ctx).shown)
	if err != nil {
		return nil, err
	}
	var sess tokenjar.Session
	switch {
	case cred.Bearer:
		return nil, tokenjar.ErrNotAuthenticated // a bearer needs no CSRF token
	case cred.NeedsRenewal():
		state, err := a.service.Inspect(ctx, cred.RefreshToken)
		if err != nil {
			return nil, err
		}
		sess = state.Session
	default:
		if sess, err = a.service.LiveSession(ctx, cred.Identity); err != nil {
			return nil, err
		}
	}
	c, err := a.guard.CSRFCookie(sess)
	if err != nil {
		return nil, err
	}
	out := &csrfOutput{SetCookie: []string{c.String()}}
	out.Body.Token = a.guard.CSRFToken(sess.ID)
	return out, nil
}
