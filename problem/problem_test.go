package problem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

func write(method string, err error) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Length", "999")
	rec.Header().Set("Cache-Control", "public")
	r := httptest.NewRequest(method, "/", nil)
	problem.Write(rec, r.WithContext(tokenjar.ContextWithRequestID(r.Context(), "the-id")), err)
	return rec
}

func TestEveryCode(t *testing.T) {
	for _, code := range problem.Codes() {
		t.Run(string(code), func(t *testing.T) {
			rec := write("GET", problem.New(code))
			var body map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			for _, member := range []string{"type", "title", "status", "detail", "code", "action", "request_id"} {
				if body[member] == "" || body[member] == nil {
					t.Errorf("%s is missing: %s", member, rec.Body)
				}
			}
			if _, found := body["errors"]; found || len(body) != 7 || body["code"] != string(code) || body["request_id"] != "the-id" || body["status"] != float64(rec.Code) {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			h := rec.Header()
			if h.Get("Content-Type") != problem.ContentType || h.Get("Cache-Control") != "no-store" || h.Get(problem.Header) != string(code) || h.Get("Content-Length") != "" {
				t.Errorf("got %v", h)
			}
			if (h.Get("WWW-Authenticate") != "") != (rec.Code == 401) || strings.Contains(h.Get("WWW-Authenticate"), "Basic") {
				t.Errorf("WWW-Authenticate %q", h.Get("WWW-Authenticate"))
			}
			if (h.Get("Retry-After") != "") != (rec.Code == 503 || rec.Code == 429) {
				t.Errorf("Retry-After %q", h.Get("Retry-After"))
			}
			if head := write("HEAD", problem.New(code)); head.Body.Len() != 0 || head.Code != rec.Code {
				t.Errorf("HEAD: %d, %d bytes", head.Code, head.Body.Len())
			}
		})
	}
}

func TestErrorsMeetTheirStatus(t *testing.T) {
	for _, row := range []struct {
		err    error
		status int
		code   problem.Code
	}{
		{errors.New("SELECT secret FROM table"), 500, problem.Internal},
		{tokenjar.ErrInvalidCredentials, 401, problem.InvalidCredentials},
		{tokenjar.ErrNotAuthenticated, 401, problem.NotAuthenticated},
		{tokenjar.ErrTokenInvalid, 401, problem.TokenInvalid},
		{tokenjar.ErrTokenExpired, 401, problem.TokenExpired},
		{tokenjar.ErrTokenRevoked, 401, problem.TokenRevoked},
		{tokenjar.ErrWrongTokenType, 401, problem.WrongTokenType},
		{tokenjar.ErrRefreshMissing, 401, problem.RefreshMissing},
		{tokenjar.ErrSessionEnded, 401, problem.SessionEnded},
		{tokenjar.ErrTooManyReplays, 429, problem.RateLimited},
		{tokenjar.ErrConflict, 409, problem.Conflict},
		{tokenjar.ErrStoreUnavailable, 503, problem.StoreUnavailable},
		{tokenjar.ErrClaimsTooLarge, 503, problem.ClaimsTooLarge},
		{tokenjar.ErrKeyRingSealed, 500, problem.Internal},
		{&tokenjar.RateLimitError{Limit: "account", RetryAfter: 2500 * time.Millisecond}, 429, problem.RateLimited},
		{&password.BusyError{RetryAfter: time.Second}, 503, problem.Overloaded},
		{fmt.Errorf("read: %w", token.ErrExpired), 401, problem.TokenExpired},
		{token.ErrType, 401, problem.WrongTokenType},
		{token.ErrMalformed, 401, problem.TokenInvalid},
		{token.ErrSignature, 401, problem.TokenInvalid},
		{&token.ClaimError{Claim: "aud", Reason: "another audience"}, 401, problem.TokenInvalid},
		{token.ErrNotYetValid, 401, problem.TokenInvalid},
		{token.ErrKeysUnavailable, 503, problem.KeysUnavailable},
		{cookie.ErrTooMany, 431, problem.HeaderTooLarge},
		{fmt.Errorf("access cookie: %w", cookie.ErrTooLarge), 503, problem.ClaimsTooLarge},
		{&csrf.Error{Rule: csrf.OriginRule, Reason: csrf.ReasonNullOrigin}, 403, problem.OriginNotAllowed},
		{&csrf.Error{Rule: csrf.TokenRule, Reason: csrf.ReasonMissing}, 403, problem.CSRFFailed},
		{context.DeadlineExceeded, 503, problem.Overloaded},
		{fmt.Errorf("%w: %w", tokenjar.ErrConflict, context.Canceled), 409, problem.Conflict},
		{errors.Join(errors.New("a"), tokenjar.ErrNotFound), 404, problem.NotFound},
		{teapot{}, 500, problem.Internal}, // a code that nobody knows
		{tokenjar.ErrNotFound, 404, problem.NotFound},
		{fmt.Errorf("a: %w", tokenjar.ErrSessionReused), 401, problem.SessionReused},
		{tokenjar.ErrSessionReplaced, 401, problem.SessionEnded},
		{fmt.Errorf("%w: %w", tokenjar.ErrSessionEnded, tokenjar.ErrStoreUnavailable), 503, problem.StoreUnavailable}, // nothing is known
		{&tokenjar.ReplayError{}, 429, problem.RateLimited},
		{&tokenjar.ValidationError{Fields: []tokenjar.FieldError{{Field: "f", Code: "c", Detail: "d"}}}, 422, problem.ValidationFailed},
		{fmt.Errorf("in a handler: %w", problem.New(problem.Conflict)), 409, problem.Conflict},
		{problem.New("no such code"), 500, problem.Internal},
		{problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest), 400, problem.ValidationFailed},
	} {
		rec := write("GET", row.err)
		if rec.Code != row.status || rec.Header().Get(problem.Header) != string(row.code) || strings.Contains(rec.Body.String(), "SELECT") {
			t.Errorf("%v: got %d %s", row.err, rec.Code, rec.Body)
		}
	}
}

// teapot carries a code that is none of ours.
type teapot struct{}

func (teapot) Error() string       { return "SELECT teapot" }
func (teapot) ProblemCode() string { return "teapot" }

func TestErrorsSayWhichProblemTheyAre(t *testing.T) {
	rec := write("GET", fmt.Errorf("login: %w", &tokenjar.RateLimitError{Limit: "account", RetryAfter: 2500 * time.Millisecond}))
	if rec.Header().Get("Retry-After") != "3" || !strings.Contains(rec.Body.String(), "Too many tries to sign in.") {
		t.Errorf("got Retry-After %q, %s", rec.Header().Get("Retry-After"), rec.Body)
	}
	rec = write("GET", &tokenjar.ReplayError{RetryAfter: time.Second})
	if !strings.Contains(rec.Body.String(), "This refresh token was sent too often at once.") {
		t.Errorf("got %s", rec.Body)
	}
	rec = write("GET", &tokenjar.ValidationError{Fields: []tokenjar.FieldError{{Field: "name", Code: "too_long", Detail: "Shorter."}}})
	if !strings.Contains(rec.Body.String(), `"errors":[{"field":"name","code":"too_long","detail":"Shorter."}]`) {
		t.Errorf("got %s", rec.Body)
	}
}

func TestChallenges(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{tokenjar.ErrNotAuthenticated, "Bearer"},
		{token.ErrExpired, `Bearer error="invalid_token"`},
		{problem.New(problem.StepUpRequired), `Bearer error="insufficient_user_authentication"`},
		{problem.New(problem.StepUpRequired).WithChallenge(`Bearer error="insufficient_user_authentication", max_age="60"`), `Bearer error="insufficient_user_authentication", max_age="60"`},
		{problem.New(problem.InsufficientScope).WithChallenge(`Bearer error="insufficient_scope", scope="a"`), `Bearer error="insufficient_scope", scope="a"`},
		{problem.New(problem.PermissionDenied), ""},
	} {
		if got := write("GET", row.err).Header().Get("WWW-Authenticate"); got != row.want {
			t.Errorf("%v: got %q, want %q", row.err, got, row.want)
		}
	}
}

func TestAProblemThatIsWrittenDownIsCompleted(t *testing.T) {
	for _, row := range []struct {
		p      *problem.Problem
		status int
		code   problem.Code
	}{
		{&problem.Problem{Code: problem.PermissionDenied}, 403, problem.PermissionDenied},
		{problem.New(problem.PermissionDenied).WithStatus(200), 403, problem.PermissionDenied},
		{problem.New(problem.PermissionDenied).WithStatus(999), 403, problem.PermissionDenied},
		{&problem.Problem{}, 500, problem.Internal},
		{&problem.Problem{Code: "teapot", Status: 418, Title: "Teapot", Detail: "Short and stout."}, 418, "teapot"},
	} {
		rec := write("GET", row.p)
		var body problem.Problem
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if rec.Code != row.status || body.Status != row.status || body.Code != row.code || body.Title == "" || body.Detail == "" || body.Action == "" || body.Type == "" {
			t.Errorf("%+v: got %d %s", row.p, rec.Code, rec.Body)
		}
	}
}

func TestCopiesDoNotChangeWhatTheyAreMadeOf(t *testing.T) {
	first := problem.New(problem.ValidationFailed).WithErrors(problem.Field{Field: "a"})
	second := first.WithErrors(problem.Field{Field: "b"}).WithDetail("x").WithAction(problem.Retry).WithStatus(400)
	if len(first.Errors) != 1 || len(second.Errors) != 2 || first.Detail == "x" || first.Action == problem.Retry || first.Status != 422 {
		t.Errorf("%+v", first)
	}
}
