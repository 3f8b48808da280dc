package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// What arrives: the Cookie field, the origin, a header of the size that sessions need; and whether a cache answers instead.

// checkRequest shows cookies that are no tokens. tokenjar says that they are bad; where it says that there are none, somebody has
// taken them away.
func (e *exam) checkRequest(ctx context.Context) ([]found, error) {
	names := e.ours()
	if len(names) == 0 {
		return nil, &left{"the names of the cookies are not known: no answer has set or deleted one"}
	}
	bad := make([]string, len(names))
	for i, name := range names {
		bad[i] = name + "=doctor"
	}
	a, err := e.do(ctx, request{path: e.cfg.Path + "/user", cookie: strings.Join(bad, "; ")})
	if err != nil {
		return nil, err
	}
	list := judgeCookieArrives(a)
	foreign := &url.URL{Scheme: "https", Host: "doctor.invalid"} // nobody's, for good (RFC 6761, section 6.4)
	if a, err = e.do(ctx, request{method: http.MethodPost, path: e.cfg.Path + "/logout", page: foreign}); err != nil {
		return nil, err
	}
	return append(list, judgeOriginArrives(a)...), nil
}

func judgeCookieArrives(a *answer) []found {
	if a.code == "not_authenticated" {
		return []found{{kindNoCookie, a.String() + " to cookies that are no tokens; it would be token_invalid if they had arrived"}}
	}
	return nil
}

func judgeOriginArrives(a *answer) []found {
	if a.status == http.StatusOK {
		return []found{{kindNoOrigin, a.String() + " to the Origin https://doctor.invalid, which is to be refused"}}
	}
	return nil
}

// headSize is how many bytes of cookies are shown: one token may have as many.
const headSize = 4096

// checkSize shows cookies of the size that a session may have. Their names are nobody's.
func (e *exam) checkSize(ctx context.Context) ([]found, error) {
	const piece = 512
	var cookies []string
	for i := range headSize / piece {
		name := fmt.Sprintf("tokenjar_doctor_%d=", i)
		cookies = append(cookies, name+strings.Repeat("x", piece-len(name)-len("; ")))
	}
	a, err := e.do(ctx, request{path: e.cfg.Path + "/session", cookie: strings.Join(cookies, "; ")})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil: // a moment ago it answered
		return []found{{kindRequestSize, fmt.Sprintf("with %d bytes of cookies %s", headSize, unanswered(a, err))}}, nil
	}
	return judgeSize(a), nil
}

func judgeSize(a *answer) []found {
	if a.status != http.StatusOK && !a.ours() {
		return []found{{kindRequestSize, fmt.Sprintf("%s to %d bytes of cookies", a, headSize)}}
	}
	return nil
}

// checkCache asks the first question again.
func (e *exam) checkCache(ctx context.Context) ([]found, error) {
	a, err := e.do(ctx, request{path: e.cfg.Path + "/session"})
	if err != nil {
		return nil, err
	}
	return judgeCache(e.hello, a), nil
}

// judgeCache compares two answers to one question: each has an id of its own, unless one of them was kept.
func judgeCache(first, second *answer) (list []found) {
	id := second.header.Get("X-Request-Id")
	switch age := second.header.Get("Age"); {
	case id != "" && id == first.header.Get("X-Request-Id"):
		list = append(list, found{kindCached, second.what + ", asked twice: one answer, with " + second.field("X-Request-Id")})
	case age != "":
		list = append(list, found{kindCached, second.what + ": " + second.field("Age")})
	}
	if !strings.Contains(strings.ToLower(second.header.Get("Cache-Control")), "no-store") {
		list = append(list, found{kindCacheControl, second.what + ": " + second.field("Cache-Control")})
	}
	return list
}
