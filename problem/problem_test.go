package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
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

func TestCopiesDoNotChangeWhatTheyAreMadeOf(t *testing.T) {
	first := problem.New(problem.ValidationFailed).WithErrors(problem.Field{Field: "a"})
	second := first.WithErrors(problem.Field{Field: "b"}).WithDetail("x").WithAction(problem.Retry).WithStatus(400)
	if len(first.Errors) != 1 || len(second.Errors) != 2 || first.Detail == "x" || first.Action == problem.Retry || first.Status != 422 {
		t.Errorf("%+v", first)
	}
}
