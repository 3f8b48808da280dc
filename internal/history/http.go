package history

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// HTTP is a [Client] of the HTTP API: a program that keeps its tokens itself, or a page with cookies.
type HTTP struct {
	URL      string // public, without a slash at its end; also the Origin of a page
	Client   *http.Client
	Username string
	Password string
	Cookies  bool // a page: it signs in and refreshes by cookie, every other time by renewal on the way

	turns int
}

// endings are the codes that say a session is over.
var endings = []string{"session_ended", "session_reused", "token_revoked"}

// Login implements [Client].
func (c *HTTP) Login(ctx context.Context) Answer {
	path := "/auth/token"
	if c.Cookies {
		path = "/auth/login"
	}
	return c.ask(ctx, http.MethodPost, path, map[string]string{"username": c.Username, "password": c.Password}, Tokens{}, nil)
}

// Refresh implements [Client].
func (c *HTTP) Refresh(ctx context.Context, t Tokens) Answer {
	if !c.Cookies {
		return c.ask(ctx, http.MethodPost, "/auth/token/refresh", map[string]string{"refresh": t.Refresh}, t, nil)
	}
	with := func(r *http.Request) { c.cookie(r, "refresh_token", t.Refresh); r.Header.Set("X-CSRFToken", t.CSRF) }
	c.turns++
	if c.turns%2 == 0 {
		return c.ask(ctx, http.MethodPost, "/auth/token/refresh", nil, t, with)
	}
	a := c.ask(ctx, http.MethodGet, "/auth/user", nil, t, with)
	if a.Outcome == OK && a.Refresh == "" {
		a.Outcome, a.Note = Unknown, "answered when the session had moved on: no cookies"
	}
	return a
}

// Revoke implements [Client].
func (c *HTTP) Revoke(ctx context.Context, t Tokens) Answer {
	if !c.Cookies {
		return c.ask(ctx, http.MethodPost, "/auth/token/blacklist", map[string]string{"refresh": t.Refresh}, t, nil)
	}
	return c.ask(ctx, http.MethodPost, "/auth/logout", nil, t, func(r *http.Request) {
		c.cookie(r, "access_token", t.Access)
		c.cookie(r, "refresh_token", t.Refresh)
		r.Header.Set("X-CSRFToken", t.CSRF)
	})
}

// Read implements [Client].
func (c *HTTP) Read(ctx context.Context, t Tokens) Answer {
	return c.ask(ctx, http.MethodGet, "/auth/user", nil, t, func(r *http.Request) {
		if c.Cookies {
			c.cookie(r, "access_token", t.Access)
		} else {
			r.Header.Set("Authorization", "Bearer "+t.Access)
		}
	})
}

func (c *HTTP) cookie(r *http.Request, name, value string) {
	if strings.HasPrefix(c.URL, "https:") {
		name = "__Host-" + name
	}
	r.AddCookie(&http.Cookie{Name: name, Value: value})
}

// ask sends one request. The tokens of the answer are those that it sets or has in its body; the session and the CSRF token
// stay what they were if it says nothing of them.
func (c *HTTP) ask(ctx context.Context, method, path string, body any, t Tokens, with func(*http.Request)) Answer {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return Answer{Outcome: Unknown, Err: err}
		}
		content = strings.NewReader(string(data))
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, content)
	if err != nil {
		return Answer{Outcome: Unknown, Err: err}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		r.Header.Set("Origin", c.URL)
	}
	if with != nil {
		with(r)
	}
	res, err := c.Client.Do(r)
	if err != nil {
		return Answer{Outcome: Unknown, Note: "no answer"}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{Outcome: Unknown, Note: "half an answer"}
	}
	return judge(res, data, t)
}

func judge(res *http.Response, body []byte, t Tokens) Answer {
	code := res.Header.Get("X-Tokenjar-Problem")
	a := Answer{Tokens: Tokens{Session: t.Session, CSRF: t.CSRF}, Note: strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", code))}
	switch {
	case res.StatusCode == http.StatusOK:
		a.Outcome = OK
	case res.StatusCode == http.StatusUnauthorized && slices.Contains(endings, code):
		a.Outcome = Ended
	case res.StatusCode == http.StatusTooManyRequests:
		a.Outcome = Refused
	case res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusBadGateway:
		a.Outcome = Unknown
	default:
		a.Outcome, a.Err = Unknown, fmt.Errorf("%d %.300s", res.StatusCode, body)
	}
	if a.Outcome != OK {
		return a
	}
	var in struct{ Access, Refresh string }
	json.Unmarshal(body, &in) // not every answer has them
	a.Access, a.Refresh = in.Access, in.Refresh
	for _, cookie := range res.Cookies() {
		switch strings.TrimPrefix(cookie.Name, "__Host-") {
		case "access_token":
			a.Access = cookie.Value
		case "refresh_token":
			a.Refresh = cookie.Value
		case "csrftoken":
			a.CSRF = cookie.Value
		}
	}
	if a.Session == "" && a.Access != "" {
		a.Session, a.Err = sessionOf(a.Access)
	}
	return a
}

// sessionOf reads the session from an access token, without verifying it.
func sessionOf(access string) (string, error) {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("no access token: %q", access)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Session string `json:"sid"`
	}
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	return claims.Session, err
}
