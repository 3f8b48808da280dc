package problem_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"

	"github.com/tokenjar/tokenjar/internal/golden"
)

const referenceFile = "../docs/reference/errors.md"

// The page of errors is made of the table: go test ./problem -update.
func TestTheReferenceOfErrorsIsTheTable(t *testing.T) {
	golden.Compare(t, referenceFile, []byte(reference()))
}

func reference() string {
	var b strings.Builder
	b.WriteString(`# Errors

<!-- Made of the table in package problem: go test ./problem -update -->

Every refusal of tokenjar is a problem document (RFC 9457), ` + "`application/problem+json`" + `:

` + "```json" + `
` + example() + `
` + "```" + `

- ` + "`code`" + ` is stable: programs decide by it. ` + "`title`" + ` and ` + "`detail`" + ` are for people and may be reworded.
- ` + "`action`" + ` says what a client does next: ` + "`refresh`" + ` (ask for a new access token, then send the request again),
  ` + "`login`" + ` (have the user sign in), ` + "`retry`" + ` (the same request again, after ` + "`Retry-After`" + `), ` + "`fix_request`" + ` (the
  program that sent it is at fault), ` + "`fix_config`" + ` (whoever runs the server is asked). One answer may say another
  action than the table, when more is known: a dead access token beside a good refresh cookie is ` + "`refresh`" + `.
- ` + "`errors`" + ` lists the members of the body that cannot be taken: ` + "`field`" + `, ` + "`code`" + `, ` + "`detail`" + `.
- ` + "`request_id`" + ` stands in the log line of the request and in the audit trail, and in the ` + "`X-Request-Id`" + ` header.
- The header ` + "`X-Tokenjar-Problem`" + ` repeats the code. Only answers of tokenjar have it: a 401 without it is somebody
  else's, and no reason to refresh.

| code | status | action | meaning |
| --- | --- | --- | --- |
`)
	for _, code := range problem.Codes() {
		p := problem.New(code)
		fmt.Fprintf(&b, "| `%s` | %d %s | `%s` | %s |\n", code, p.Status, http.StatusText(p.Status), p.Action, p.Detail)
	}
	return b.String()
}

// example is one refusal as it is sent.
func example() string {
	r := httptest.NewRequest(http.MethodGet, "/auth/user", nil)
	w := httptest.NewRecorder()
	problem.Write(w, r.WithContext(tokenjar.ContextWithRequestID(r.Context(), "7Q4FQK5ZB2N3LMSYX6IVH4CWTA")), problem.New(problem.TokenExpired))
	return strings.TrimSpace(w.Body.String())
}
