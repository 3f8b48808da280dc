package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tokenjar/tokenjar/problem"
)

// A handler of the program's own refuses in the form in which the middleware around it does, so that its clients meet one.
func ExampleWrite() {
	transfer := func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("amount") == "" {
			problem.Write(w, r, problem.New(problem.ValidationFailed).WithErrors(
				problem.Field{Field: "amount", Code: "required", Detail: "Say how much."}))
			return
		}
		problem.Write(w, r, problem.New(problem.PermissionDenied).WithDetail("This account is closed."))
	}

	for _, path := range []string{"/transfer", "/transfer?amount=7"} {
		w := httptest.NewRecorder()
		transfer(w, httptest.NewRequest("POST", path, nil))
		var p problem.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			log.Fatal(err)
		}
		fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Header().Get(problem.Header))
		fmt.Println(p.Code, p.Action, p.Detail, p.Errors)
	}
	// Output:
	// 422 application/problem+json validation_failed
	// validation_failed fix_request The request cannot be taken as it is. [{amount required Say how much.}]
	// 403 application/problem+json permission_denied
	// permission_denied fix_request This account is closed. []
}

// quotaError is an error of the program's own, which says by its methods what a client is told. It imports nothing for that.
type quotaError struct{ reset time.Duration }

func (e quotaError) Error() string { return "quota of account 7 at warehouse-3 is used up" } // for the log

func (quotaError) ProblemCode() string                { return "rate_limited" }
func (quotaError) ProblemDetail() string              { return "You have sent all orders of today." }
func (e quotaError) ProblemRetryAfter() time.Duration { return e.reset }

func ExampleFrom() {
	err := fmt.Errorf("order: %w", quotaError{reset: time.Hour})
	p := problem.From(err)
	fmt.Println(p.Status, p.Code, p.Action)
	fmt.Println(p.Detail)

	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest("POST", "/orders", nil), err)
	fmt.Println(w.Code, "retry after", w.Header().Get("Retry-After"))

	// What says nothing is our own fault, and its text stays out of the answer.
	p = problem.From(errors.New("pq: relation orders does not exist"))
	fmt.Println(p.Status, p.Code)
	fmt.Println(p.Detail)
	// Output:
	// 429 rate_limited retry
	// You have sent all orders of today.
	// 429 retry after 3600
	// 500 internal_error
	// Something went wrong here. It has been logged under the request id.
}
