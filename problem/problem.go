package problem

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/contextkey"
)

// ContentType is the media type of a problem document (RFC 9457, section 6.1).
const ContentType = "application/problem+json"

// Header carries the code on every refusal of ours, so that a client never takes an upstream's 401 for ours.
const Header = "X-Tokenjar-Problem"

// A Problem is a refusal as the client reads it (RFC 9457, section 3.1, with our members code, action, request_id and
// errors).
type Problem struct {
	Type      string  `json:"type" doc:"Names the kind of problem; the last part is the code" example:"urn:problem-type:tokenjar:csrf_failed"`
	Title     string  `json:"title" doc:"The kind of problem in words"`
	Status    int     `json:"status" doc:"The HTTP status"`
	Detail    string  `json:"detail" doc:"What happened and what to do, for people"`
	Code      Code    `json:"code" doc:"Stable name of the problem, for programs"`
	Action    Action  `json:"action" doc:"What a client does next" enum:"refresh,login,retry,fix_request,fix_config"`
	RequestID string  `json:"request_id" doc:"Names this request in the log"`
	Errors    []Field `json:"errors,omitempty" doc:"The members of the request that cannot be taken"`

	retryAfter time.Duration
	challenge  string
}

// A Field is one member of the request that cannot be taken.
type Field struct {
	Field  string `json:"field" doc:"Name of the member; empty for the whole body"`
	Code   string `json:"code" doc:"Stable name of what is wrong"`
	Detail string `json:"detail" doc:"The same for people"`
}

// Error makes a Problem an error, so that a handler may return one.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// New returns the problem of a code with its usual texts.
func New(code Code) *Problem {
	k, ok := kinds[code]
	if !ok {
		code, k = Internal, kinds[Internal]
	}
	return &Problem{
		Type: "urn:problem-type:tokenjar:" + string(code), Title: k.title, Status: k.status,
		Detail: k.detail, Code: code, Action: k.action,
	}
}

// WithDetail returns a copy with another sentence for people. It must hold nothing secret and nothing the client could
// have forged into it.
func (p Problem) WithDetail(detail string) *Problem {
	p.Detail = detail
	return &p
}

// WithAction returns a copy with another thing for the client to do next.
func (p Problem) WithAction(a Action) *Problem {
	p.Action = a
	return &p
}

// WithStatus returns a copy with another status, where one code has two: a body that cannot be read is 400, one that
// can be read but not taken is 422.
func (p Problem) WithStatus(status int) *Problem {
	p.Status = status
	return &p
}

// WithErrors returns a copy with further members that cannot be taken.
func (p Problem) WithErrors(fields ...Field) *Problem {
	p.Errors = slices.Concat(p.Errors, fields)
	return &p
}

// From returns the problem that an error is for the client. A [*Problem] is returned as it is. An error of any package may
// say which problem it is by methods, each optional but the first:
//
//	ProblemCode() string                                       // one of the codes of this package
//	ProblemDetail() string                                     // a sentence for people, in place of the usual one
//	ProblemRetryAfter() time.Duration                          // when trying again makes sense
//	ProblemFields(yield func(field, code, detail string))      // the members that cannot be taken
//
// An error that says nothing and is not known here is [Internal], without its text.
func From(err error) *Problem {
	code := carriedCode(err)
	if p, ok := errors.AsType[*Problem](err); ok && p != nil && code != StoreUnavailable {
		return p
	}
	if code == "" {
		code = knownCode(err)
	}
	p := New(code)
	if refused, ok := errors.AsType[*csrf.Error](err); ok && (p.Code == OriginNotAllowed || p.Code == CSRFFailed) {
		p.Detail = csrfDetail(refused)
	}
	walk(err, func(err error) bool {
		if coded, ok := err.(interface{ ProblemCode() string }); !ok || coded.ProblemCode() != string(p.Code) {
			return true
		}
		if e, ok := err.(interface{ ProblemDetail() string }); ok {
			p.Detail = e.ProblemDetail()
		}
		if e, ok := err.(interface{ ProblemRetryAfter() time.Duration }); ok {
			p.retryAfter = e.ProblemRetryAfter()
		}
		if e, ok := err.(interface {
			ProblemFields(func(field, code, detail string))
		}); ok {
			e.ProblemFields(func(field, code, detail string) { p.Errors = append(p.Errors, Field{field, code, detail}) })
		}
		return false
	})
	return p
}

// Write answers with the problem that err is, and logs what is our own fault. No cookie is touched.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	p := Prepare(w.Header(), r.Context(), err)
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers alone: cannot happen
		panic("problem: " + err.Error())
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		w.Write(append(body, '\n'))
	}
}

// Prepare sets the headers of the problem that err is and returns it, for callers who write bodies themselves.
func Prepare(h http.Header, ctx context.Context, err error) *Problem {
	p := From(err).complete()
	p.RequestID, _ = ctx.Value(contextkey.RequestID).(string)
	if p.RequestID == "" { // no server of ours is around this handler
		p.RequestID = rand.Text()
		h.Set("X-Request-Id", p.RequestID)
	}
	if p.Status >= 500 && !errors.Is(err, context.Canceled) && p.Code != KeysUnavailable {
		// A client that leaves is no fault of ours, and of keys that cannot be fetched tells, once, whoever fetches them.
		log, ok := ctx.Value(contextkey.Logger).(*slog.Logger)
		if !ok {
			log = slog.Default()
		}
		log.LogAttrs(ctx, slog.LevelError, "request failed",
			slog.String("code", string(p.Code)), slog.String("request_id", p.RequestID), slog.Any("err", err))
	}
	h.Set("Content-Type", ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set(Header, string(p.Code))
	h.Del("Content-Length")
	if challenge := p.bearerChallenge(); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds := int64(math.Ceil(p.retryAfter.Seconds()))
		h.Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	}
	return &p
}

// WithChallenge returns a copy whose 401 or 403 carries another bearer challenge (RFC 6750, section 3), such as
// `Bearer error="insufficient_scope", scope="orders"`. The text must hold nothing a client sent.
func (p Problem) WithChallenge(challenge string) *Problem {
	p.challenge = challenge
	return &p
}

// complete returns a copy of a problem that a program may have written down itself: with what its code stands for in place of
// what it left out, and with a status that is a refusal.
func (p Problem) complete() Problem {
	usual := New(p.Code)
	if p.Status < 400 || p.Status > 599 {
		p.Status = usual.Status
	}
	for _, field := range []struct{ own, usual *string }{
		{&p.Type, &usual.Type}, {&p.Title, &usual.Title}, {&p.Detail, &usual.Detail}, {(*string)(&p.Code), (*string)(&usual.Code)},
		{(*string)(&p.Action), (*string)(&usual.Action)},
	} {
		if *field.own == "" {
			*field.own = *field.usual
		}
	}
	return p
}

// bearerChallenge is the challenge of a 401 (RFC 6750, section 3.1): error codes only where a token was shown. A 403 has
// one only when it was given one.
func (p *Problem) bearerChallenge() string {
	if p.challenge != "" || p.Status != http.StatusUnauthorized {
		return p.challenge
	}
	switch p.Code {
	case TokenInvalid, TokenExpired, TokenRevoked, WrongTokenType:
		return `Bearer error="invalid_token"`
	case StepUpRequired:
		return `Bearer error="insufficient_user_authentication"` // RFC 9470, section 3
	}
	return "Bearer"
}
