package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
)

type loginInput struct {
	Body struct {
		Username string `json:"username,omitempty" maxLength:"254" doc:"User name; one with an @ is taken as an e-mail address" example:"ada"`
		Email    string `json:"email,omitempty" maxLength:"254" doc:"E-mail address, in place of the user name"`
		Password string `json:"password" maxLength:"1024" doc:"The password, as typed"`
		Remember bool   `json:"remember,omitempty" doc:"Keep the session over a restart of the browser"`
	}
}

type loginOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"The access, refresh and CSRF cookie"`
	Body      struct {
		User User `json:"user"`
		Expirations
	}
}

// Expirations tells a client how long its tokens live. They equal the tokens' claims.
type Expirations struct {
	AccessExpiration  time.Time `json:"access_expiration" doc:"When the access token runs out"`
	AccessExpiresIn   int64     `json:"access_expires_in" doc:"Seconds until then, by the server's clock"`
	RefreshExpiration time.Time `json:"refresh_expiration" doc:"When the session ends if it is not used"`
}

func (a *API) expirations(g tokenjar.Grant) Expirations {
	return Expirations{
		AccessExpiration:  g.AccessExpires.UTC(),
		AccessExpiresIn:   a.secondsUntil(g.AccessExpires),
		RefreshExpiration: g.RefreshExpires.UTC(),
	}
}

func (a *API) secondsUntil(t time.Time) int64 {
	return max(0, int64(t.Sub(a.guard.Now()).Round(time.Second)/time.Second))
}

// login signs a user in. Sessions that the browser already had, by whatever genuine token it shows, end.
func (a *API) login(ctx context.Context, in *loginInput) (*loginOutput, error) {
	v := visitOf(ctx)
	credentials := tokenjar.Credentials{
		Username: in.Body.Username, Email: in.Body.Email, Password: tokenjar.Password(in.Body.Password),
		Remember: in.Body.Remember,
	}
	for _, s := range a.service.SignedSessions(v.shown.Access, v.shown.Refresh) {
		credentials.Replaces = append(credentials.Replaces, s.SessionID)
	}
	grant, err := a.service.Login(ctx, credentials, a.guard.Client(v.request))
	if err != nil {
		v.clearDead(a, ctx)
		return nil, err
	}
	out := &loginOutput{}
	if out.SetCookie, err = a.grantCookies(ctx, grant); err != nil {
		return nil, err
	}
	out.Body.User = publicUser(grant.User)
	out.Body.Expirations = a.expirations(grant)
	return out, nil
}

// grantCookies builds the cookies of a grant. A session whose cookies no browser would take is ended again.
func (a *API) grantCookies(ctx context.Context, grant tokenjar.Grant) ([]string, error) {
	cookies, err := a.guard.GrantCookies(grant)
	if errors.Is(err, cookie.ErrTooLarge) {
		end := []tokenjar.SignedSession{{SessionID: grant.SessionID, UserID: grant.User.ID}}
		err = errors.Join(err, a.service.Logout(ctx, end))
	}
	if err != nil {
		return nil, fmt.Errorf("build cookies: %w", err)
	}
	return headerValues(cookies), nil
}

func headerValues(cookies []*http.Cookie) []string {
	values := make([]string, len(cookies))
	for i, c := range cookies {
		values[i] = c.String()
	}
	return values
}

// clearDead takes cookies from the browser that cannot come to life again: none of them verifies, or the session of
// every one that does is over. Asking the store may fail; then the cookies stay.
func (v *visit) clearDead(a *API, ctx context.Context) {
	if !v.shown.AnyCookie {
		return
	}
	live, err := a.service.LiveSessions(ctx, a.service.SignedSessions(v.shown.Access, v.shown.Refresh))
	if err == nil && len(live) == 0 {
		v.cookies = a.guard.ClearCookies()
	}
}
