package httpapi

import (
	"context"

	"github.com/tokenjar/tokenjar"
)

type blacklistInput struct {
	Body struct {
		Refresh string `json:"refresh,omitempty" maxLength:"8192" doc:"A token of the session to end, for clients without cookies. Without it the cookies count, and are cleared"`
	}
}

type blacklistOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"Deletions of all our cookies; none when the token came in the body"`
	Body      struct{}
}

// blacklist ends the session of a token, whether it is spent, expired or over already. A token that does not verify
// names no session, and the answer is the same: whoever asks wants it not to work, and it does not.
func (a *API) blacklist(ctx context.Context, in *blacklistInput) (*blacklistOutput, error) {
	v := visitOf(ctx)
	if v.bodyToken {
		token := []string{in.Body.Refresh}
		return &blacklistOutput{}, a.service.Logout(ctx, a.service.SignedSessions(token, token))
	}
	if len(v.shown.Refresh) == 0 && !v.shown.BadRefresh {
		return nil, tokenjar.ErrRefreshMissing
	}
	// The access cookie is cleared as well, so its session must not live on without anybody who can end it.
	named := a.service.SignedSessions(v.shown.Access, v.shown.Refresh)
	if _, err := a.liveWithCSRF(ctx, v, named); err != nil {
		return nil, err
	}
	if err := a.service.Logout(ctx, named); err != nil {
		return nil, err
	}
	return &blacklistOutput{SetCookie: headerValues(a.guard.ClearCookies())}, nil
}

// liveWithCSRF returns those of the sessions that cookies name which are live, once the request has shown the CSRF
// token of one of them. What is over asks for none.
func (a *API) liveWithCSRF(ctx context.Context, v *visit, named []tokenjar.SignedSession) ([]tokenjar.SignedSession, error) {
	live, err := a.service.LiveSessions(ctx, named)
	if err != nil {
		return nil, err
	}
	return live, a.checkAnyCSRF(v.request, live)
}
