package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The whole way of a session, as a browser goes it: each request has the cookies that the jar gives for it and no others.

const (
	askNodes = 6                // times, on connections of their own
	ending   = 10 * time.Second // for ending the session
)

// A session is one that lives on the server.
type session struct {
	refresh string // newest token, "" where none was given to us
}

// goTheWay signs in and goes on as far as a browser would get.
func (e *exam) goTheWay(ctx context.Context) ([]found, error) {
	if e.cfg.Username == "" {
		return nil, &left{"it takes an account: --username and --password-stdin"}
	}
	a, err := e.do(ctx, request{
		method: http.MethodPost, path: e.cfg.Path + "/login", page: e.page,
		body: map[string]string{"username": e.cfg.Username, "password": string(e.cfg.Password)},
	})
	if err != nil {
		return nil, err
	}
	if err := e.refusedSignIn(a); err != nil {
		return nil, err
	}
	if list := judgeStep(a); len(list) > 0 {
		if list[0].kind == kindAnswerSize {
			e.session = &session{} // there may be one, and nobody knows its tokens
		}
		return list, nil
	}
	e.keep(a)
	j := &jar{}
	list := judgeGrant(a, j, e.page, e.ours())
	list = append(list, judgeIssued(a)...)
	if faults(list) {
		return list, nil
	}
	more, err := e.goOn(ctx, j)
	return append(list, more...), err
}

// refusedSignIn is an error where the account cannot sign in: that is no finding.
func (e *exam) refusedSignIn(a *answer) error {
	switch {
	case a.code == "rate_limited":
		return &fault{fmt.Sprintf("%s limits sign-ins: %s, %s", originOf(e.url), a, a.field("Retry-After"))}
	case a.status == http.StatusUnauthorized && a.ours():
		return &fault{fmt.Sprintf("%s refused the sign-in of %s: %d %s", originOf(e.url), e.cfg.Username, a.status, hideTokens(a.code))}
	}
	return nil
}

// keep remembers what is needed to end the session.
func (e *exam) keep(a *answer) {
	if e.session == nil {
		e.session = &session{}
	}
	for _, c := range a.cookies {
		if claims, ok := claimsOf(c.value); ok && claims.Type == "rt+jwt" && !c.deletes {
			e.session.refresh = c.value
		}
	}
}

// goOn goes the way from a jar with the cookies of a sign-in.
func (e *exam) goOn(ctx context.Context, j *jar) ([]found, error) {
	if list, err := e.askWho(ctx, j); err != nil || len(list) > 0 {
		return list, err
	}
	var csrf string
	for _, step := range []struct {
		method, path string
		after        func(*answer) []found
	}{
		{http.MethodGet, "/user", nil},
		{http.MethodGet, "/csrf", func(a *answer) []found {
			var body struct {
				Token string `json:"csrf_token"`
			}
			if json.Unmarshal(a.body, &body) != nil || body.Token == "" {
				return []found{{kindLost, a.String() + " without a csrf_token"}}
			}
			csrf = body.Token
			return nil
		}},
		{http.MethodPost, "/token/refresh", func(a *answer) []found {
			return append(judgeGrant(a, j, e.page, e.ours()), judgeIssued(a)...)
		}},
		{http.MethodGet, "/user", nil},
		{http.MethodPost, "/logout", func(a *answer) []found {
			e.session = nil
			return e.judgeEmpty(a, j)
		}},
	} {
		q := request{method: step.method, path: e.cfg.Path + step.path, page: e.page}
		u := *e.url
		u.Path = q.path
		q.cookie = j.field(&u, e.page)
		if step.method == http.MethodPost {
			q.csrf = csrf
		}
		a, err := e.do(ctx, q)
		if err != nil {
			return nil, err
		}
		e.keep(a)
		list := judgeStep(a)
		if len(list) == 0 && step.after != nil {
			list = step.after(a)
		} else if len(list) == 0 {
			for _, c := range a.cookies { // of a renewal on the way
				j.store(c, a.url, e.page)
			}
		}
		if faults(list) {
			return list, nil
		}
	}
	return nil, nil
}

// askWho asks several times who is signed in: a proxy may lead each connection to another node.
func (e *exam) askWho(ctx context.Context, j *jar) ([]found, error) {
	u := *e.url
	u.Path = e.cfg.Path + "/session"
	var last *answer
	known := 0
	for range askNodes {
		a, err := e.do(ctx, request{path: u.Path, page: e.page, cookie: j.field(&u, e.page), fresh: true})
		if err != nil {
			return nil, err
		}
		if list := judgeStep(a); len(list) > 0 {
			return list, nil
		}
		var body struct{ Authenticated bool }
		if json.Unmarshal(a.body, &body) == nil && body.Authenticated {
			known++
		} else {
			last = a
		}
	}
	switch known {
	case askNodes:
		return nil, nil
	case 0:
		return []found{{kindLost, last.String() + " and that nobody is signed in, right after the sign-in"}}, nil
	}
	return []found{{kindNodes, fmt.Sprintf("%s, asked %d times: %d times signed in, %d times not", last.what, askNodes, known, askNodes-known)}}, nil
}

// judgeStep says why a step of the way is no success.
func judgeStep(a *answer) []found {
	switch {
	case a.status == http.StatusOK:
		return nil
	case a.code == "csrf_failed" && strings.Contains(a.detail, "missing"):
		return []found{{kindNoCSRF, a.String() + ": " + hideTokens(a.detail)}}
	case a.ours():
		return []found{{kindLost, a.String() + ": " + hideTokens(a.detail)}}
	case a.status == http.StatusBadGateway:
		return []found{{kindAnswerSize, a.String() + ", where a smaller answer came through"}}
	case a.status == http.StatusBadRequest || a.status == http.StatusRequestHeaderFieldsTooLarge || a.status == 494: // nginx' own
		return []found{{kindRequestSize, a.String() + ", and not by tokenjar"}}
	}
	return []found{{kindLost, a.String() + ", and not by tokenjar"}}
}

// judgeIssued compares the time at which an access token was made with ours.
func judgeIssued(a *answer) []found {
	for _, c := range a.cookies {
		if claims, ok := claimsOf(c.value); ok && claims.Type == "at+jwt" && claims.Issued > 0 {
			return judgeClock("iat of the access token", time.Unix(claims.Issued, 0), a)
		}
	}
	return nil
}

// judgeEmpty stores the deletions of a sign-out and looks at what the browser has left of ours.
func (e *exam) judgeEmpty(a *answer, j *jar) []found {
	for _, c := range a.cookies {
		if no := j.store(c, a.url, e.page); no.kind != "" && c.value == "" {
			return []found{{no.kind, a.what + ": Set-Cookie: " + c.line + ": " + no.why}}
		}
	}
	for _, left := range j.entries {
		if contains(e.ours(), left.name) {
			return []found{{kindStays, a.what + " leaves " + left.line}}
		}
	}
	return nil
}

// faults reports whether one of the findings is no note.
func faults(list []found) bool {
	for _, f := range list {
		if !kindOf(f.kind).Note {
			return true
		}
	}
	return false
}

// end ends the session that may live still, and reports whether none is left. The token goes in the body, which needs no cookie
// to arrive.
func (e *exam) end(ctx context.Context) bool {
	if e.session == nil {
		return true
	}
	if e.session.refresh == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	a, err := e.do(ctx, request{
		method: http.MethodPost, path: e.cfg.Path + "/token/blacklist", body: map[string]string{"refresh": e.session.refresh},
	})
	return err == nil && a.status == http.StatusOK
}
