package server_test

import (
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
)

func TestWhoMayReadAServicesAnswersIsOursToSay(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	w := servertest.Start(t, theRoutes(service.URL), sharing())
	ada := w.SignIn(t, servertest.Ada)
	service.Answer(func(upstreamtest.Request) upstreamtest.Answer {
		return upstreamtest.Answer{Bytes: ok("Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: *\r\nVary: Accept\r\n")}
	})
	for _, row := range []struct {
		is, method, target, origin, fields, who string
		want                                    int
		shared                                  bool
		reached                                 bool
	}{
		{is: "O-10: a listed origin", origin: spa, want: 200, shared: true, reached: true},
		{is: "O-01: one that is not listed", origin: "https://evil.example", want: 200, reached: true},
		{is: "O-02: a look-alike", origin: spa + ".evil.example", want: 200, reached: true},
		{is: "O-02: in another case", origin: strings.ToUpper(spa), want: 200, reached: true},
		{is: "O-02: null", origin: "null", want: 200, reached: true},
		{is: "O-10: no origin", want: 200, reached: true},
		{is: "O-10: where nobody is asked", target: "/open/x", origin: "https://evil.example", want: 200, reached: true},
		{is: "O-09: a refusal for a listed origin", origin: spa, who: "nobody", want: 401, shared: true},
		{is: "O-09: a bad path", target: "/api/%2e%2e/x", origin: spa, want: 400, shared: true},
		{is: "O-09: a write that may not be", method: "POST", origin: spa, fields: "Content-Length: 0\r\n", want: 403, shared: true},
		{is: "O-01: a write from elsewhere", method: "POST", origin: "https://evil.example", fields: "X-CSRFToken: " + ada.CSRF + "\r\nContent-Length: 0\r\n", want: 403},
		{is: "O-07: a preflight ends here", method: "OPTIONS", origin: spa, fields: "Access-Control-Request-Method: PUT\r\n", want: 204, shared: true},
		{is: "O-07: with bad cookies", method: "OPTIONS", origin: spa, who: "nobody", fields: "Cookie: access_token=evil\r\nAccess-Control-Request-Method: PUT\r\n", want: 204, shared: true},
		{is: "O-06: for a method that is none", method: "OPTIONS", origin: spa, fields: "Access-Control-Request-Method: TRACE\r\n", want: 204},
		{is: "O-01: from elsewhere", method: "OPTIONS", origin: "https://evil.example", fields: "Access-Control-Request-Method: GET\r\n", want: 204},
		{is: "O-07: OPTIONS that is no preflight is the service's", method: "OPTIONS", origin: spa, want: 200, shared: true, reached: true},
	} {
		t.Run(row.is, func(t *testing.T) {
			service.Take()
			if row.method == "" {
				row.method = "GET"
			}
			if row.target == "" {
				row.target = "/api/x"
			}
			text := row.method + " " + row.target + " HTTP/1.1\r\nHost: " + w.Host() + "\r\nConnection: close\r\n" + row.fields
			if row.who == "" {
				text += credentials(ada)
			}
			if row.origin != "" {
				text += "Origin: " + row.origin + "\r\n"
			}
			answers := w.Answers(t, text+"\r\n", row.method)
			if len(answers) != 1 || answers[0].Status != row.want {
				t.Fatalf("got %v, want %d", answers, row.want)
			}
			a, origin := answers[0], ""
			if row.shared {
				origin = row.origin
			}
			if got := a.Field("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("Access-Control-Allow-Origin: got %q, want %q", got, origin)
			}
			if credentials := a.Field("Access-Control-Allow-Credentials"); (credentials != "") != row.shared {
				t.Errorf("Access-Control-Allow-Credentials: got %q", credentials)
			}
			if strings.Contains(a.Field("Access-Control-Expose-Headers"), "*") {
				t.Errorf("exposes %q", a.Field("Access-Control-Expose-Headers"))
			}
			if !strings.Contains(a.Field("Vary"), "Origin") {
				t.Errorf("O-05: Vary: %q", a.Field("Vary"))
			}
			if row.reached && row.target == "/api/x" {
				for _, name := range []string{"Accept", "Cookie", "Authorization"} {
					if !strings.Contains(a.Field("Vary"), name) {
						t.Errorf("Vary: %q, which lacks %s", a.Field("Vary"), name)
					}
				}
			}
			if n := len(service.Take()); (n == 1) != row.reached {
				t.Errorf("INV-2: the service got %d requests", n)
			}
		})
	}
}
