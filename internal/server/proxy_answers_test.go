package server_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
	"github.com/tokenjar/tokenjar/store/memory"
)

// An answerRow is what a service answers and what must come out. A text "evil" must not, and "{service}" stands for the address
// of the service.
type answerRow struct {
	is     string
	target string // default /api/x
	answer string // status line, fields and body
	close  bool   // the service closes the connection behind it
	want   int
	broken bool              // the client must see that the answer is not whole
	body   string            // what it must be, if not empty
	has    map[string]string // fields, "" for none
}

func ok(fields string) string { return "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 2\r\n\r\nok" }

func setCookies(lines ...string) string {
	var all strings.Builder
	for _, l := range lines {
		all.WriteString("Set-Cookie: " + l + "\r\n")
	}
	return ok(all.String())
}

const tempting = "Cache-Control: public, max-age=3600\r\nExpires: Fri, 01 Jan 2100 00:00:00 GMT\r\nCDN-Cache-Control: max-age=3600\r\nCloudflare-CDN-Cache-Control: max-age=3600\r\n" +
	"Surrogate-Control: max-age=3600\r\nX-Accel-Expires: 3600\r\nETag: \"a\"\r\n"

var private = map[string]string{
	"Cache-Control": "private, max-age=3600", "Vary": "Cookie | Authorization", "CDN-Cache-Control": "", "Cloudflare-CDN-Cache-Control": "", "Surrogate-Control": "",
	"X-Accel-Expires": "", "ETag": `"a"`,
}

var answerRows = []answerRow{
	{is: "P-32, M-15: cookies of our names", answer: setCookies("access_token=evil", "refresh_token=evil; Path=/", "csrftoken=evil; Path=/", "a=1; Path=/api"), has: map[string]string{"Set-Cookie": "a=1; Path=/api"}},
	{is: "P-32: with prefixes, in any case", answer: setCookies("__Host-access_token=evil; Secure; Path=/", "__host-Refresh_Token=evil", "__Secure-access_token=evil", "__http-access_token=evil",
		"__Host-Http-refresh_token=evil", "ACCESS_TOKEN=evil", "__Host-__Secure-access_token=evil"), has: map[string]string{"Set-Cookie": ""}},
	{is: "P-32: for all sub-domains", answer: setCookies("access_token=evil; Domain=example.com; Path=/", "csrftoken=evil; domain=localhost"), has: map[string]string{"Set-Cookie": ""}},
	{is: "P-32: with blanks and controls", answer: setCookies(" access_token=evil", "\taccess_token = evil", "csrftoken =evil", "access_token\xa0=evil"), has: map[string]string{"Set-Cookie": ""}},
	{is: "P-32: without a name", answer: setCookies("=access_token=evil", "= csrftoken=evil", "access_token", "csrftoken; Path=/", "=csrftoken"), has: map[string]string{"Set-Cookie": ""}},
	{is: "P-32: the field's name in other spellings", answer: ok("SET-COOKIE: access_token=evil\r\nset-cookie: csrftoken=evil\r\nSet-Cookie : access_token=evil\r\n"), has: map[string]string{"Set-Cookie": ""}},
	{is: "P-32: the field is folded", answer: ok("Set-Cookie:\r\n access_token=evil\r\n"), has: map[string]string{"Set-Cookie": ""}},
	{is: "P-32: Connection names Set-Cookie", answer: ok("Connection: Set-Cookie, Content-Type\r\nSet-Cookie: access_token=evil\r\n"), has: map[string]string{"Set-Cookie": ""}},
	{is: "O-10: who may read is ours to say", answer: ok("Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: evil\r\nACCESS-CONTROL-MAX-AGE: 1\r\nAccess-Control-Allow-Private-Network: true\r\n"),
		has: map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": "", "Access-Control-Max-Age": "", "Access-Control-Allow-Private-Network": ""}},
	{is: "section 8: a 401 of the service's is not ours", answer: "HTTP/1.1 401 Unauthorized\r\nX-Tokenjar-Problem: evil\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", want: 401, has: map[string]string{"X-Tokenjar-Problem": "", "WWW-Authenticate": "Basic"}},
	{is: "what only we say", answer: ok("X-Request-Id: evil\r\nStrict-Transport-Security: max-age=0\r\nAlt-Svc: h2=\"evil.example:443\"\r\nX-Tokenjar-Hop: evil\r\n"), has: map[string]string{"Strict-Transport-Security": "", "Alt-Svc": ""}},
	{is: "the browser is not signed out", answer: ok("Clear-Site-Data: \"cookies\", \"storage\"\r\n"), has: map[string]string{"Clear-Site-Data": ""}},
	{is: "nor by a star", answer: ok("Clear-Site-Data: *\r\n"), has: map[string]string{"Clear-Site-Data": ""}},
	{is: "its cache may be cleared", answer: ok("Clear-Site-Data: \"cache\"\r\n"), has: map[string]string{"Clear-Site-Data": `"cache"`}},
	{is: "P-29: trailers", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie, X-T\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: access_token=evil\r\nX-T: evil\r\nX-U: evil\r\n\r\n", body: "ok", has: map[string]string{"Trailer": "", "Set-Cookie": ""}},

	{is: "P-43: on a route that asks who it is", target: "/api/app.js", answer: ok(tempting), has: private},
	{is: "P-43: on one that may", target: "/maybe/app.css", answer: ok(tempting), has: private},
	{is: "P-43: in part", target: "/api/x", answer: "HTTP/1.1 206 Partial Content\r\n" + tempting + "Content-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok", want: 206, has: private},
	{is: "P-43: not changed", target: "/api/x", answer: "HTTP/1.1 304 Not Modified\r\n" + tempting + "\r\n", want: 304, has: private},
	{is: "P-43: where nobody is asked it is the service's to say", target: "/open/app.js", answer: ok(tempting), has: map[string]string{"Cache-Control": "public, max-age=3600", "CDN-Cache-Control": "max-age=3600", "ETag": `"a"`}},

	{is: "P-33: a redirect to another host is passed on, not followed", answer: "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/x\r\nContent-Length: 0\r\n\r\n", want: 302, has: map[string]string{"Location": "http://127.0.0.1:9/x"}},
	{is: "P-33: one to the service itself is one to us", answer: "HTTP/1.1 302 Found\r\nLocation: {service}/r-api/a?b=1#c\r\nContent-Location: {service}/r-api/d\r\nContent-Length: 0\r\n\r\n", want: 302,
		has: map[string]string{"Location": "/api/a?b=1#c", "Content-Location": "/api/d"}},
	{is: "OR-02: and never one to another host", answer: "HTTP/1.1 302 Found\r\nLocation: {service}/r-api//other.example/x\r\nContent-Length: 0\r\n\r\n", want: 302, has: map[string]string{"Location": "/api//other.example/x"}},
	{is: "P-33: Refresh leads to us as Location does, and Link is the service's", answer: ok("Refresh: 5; url=/a\r\nLink: </a.css>; rel=preload\r\n"), has: map[string]string{"Refresh": "5; url=/api/a", "Link": "</a.css>; rel=preload"}},

	{is: "P-37: 100 and 103 with fields", answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nSet-Cookie: access_token=evil\r\nLink: evil\r\n\r\n" + ok("X-App: 1\r\n"), has: map[string]string{"X-App": "1", "Set-Cookie": "", "Link": ""}},
	{is: "P-37: ten of them", answer: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10) + ok(""), body: "ok"},
	{is: "P-37: without end", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n", 20_000), want: 502},
	{is: "P-37: 101 that nobody asked for", answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", want: 502},
	{is: "P-37: two status lines", answer: "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", want: 502},
	{is: "P-37: a carriage return in the reason", answer: "HTTP/1.1 200 O\rSet-Cookie: access_token=evil\r\nContent-Length: 2\r\n\r\nok", body: "ok", has: map[string]string{"Set-Cookie": ""}},
	{is: "P-37: a carriage return in a value", answer: ok("X-App: a\rSet-Cookie: b\r\n"), want: 502},
	{is: "P-37: a length and chunks", answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", body: "ok"},
	{is: "P-37: two lengths", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", want: 502, close: true},
	{is: "P-37: a coding that nobody knows", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nok", want: 502, close: true},

	{is: "P-31: no length", answer: "HTTP/1.1 200 OK\r\n\r\nok", close: true, body: "ok"},
	{is: "P-31: HTTP/1.0", answer: "HTTP/1.0 200 OK\r\n\r\nok", close: true, body: "ok"},
	{is: "P-31: shorter than it says", answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", close: true, broken: true},
	{is: "P-31: longer than it says", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", body: "ok"},
	{is: "P-31: chunks that do not end", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", close: true, broken: true},
	{is: "P-31: chunks that are none", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n", close: true, broken: true},
	{is: "P-31: a body where none may be", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", want: 204},
	{is: "P-31: closed in the head", answer: "HTTP/1.1 200 OK\r\nContent-Len", close: true, want: 502},
	{is: "P-31: nothing", answer: "", close: true, want: 502},
	{is: "P-31: garbage", answer: "\x16\x03\x01\x02evil\r\n\r\n", close: true, want: 502},
	{is: "P-31: a field of 1 MB", answer: ok("X-App: " + strings.Repeat("a", 1<<20) + "\r\n"), want: 502},
	{is: "P-31: 10,000 fields", answer: ok(strings.Repeat("X-App: 1\r\n", 10_000)), want: 502},
	{is: "P-31: status 99", answer: "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok", want: 502, close: true},
	{is: "P-38: nothing for too long", target: "/hasty/x", answer: "wait", want: 504},
	{is: "P-38: nothing within a body", target: "/pausing/x", answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwait", broken: true},
	{is: "P-38: it is not there", target: "/refused/x", want: 502},
	{is: "P-38: nobody knows its name", target: "/unknown/x", want: 502},
}

// soon is when some routes give up. Nothing has to succeed within it.
const soon = 100 * time.Millisecond

func TestWhatTheBrowserGets(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	rest := make(chan struct{}) // of answers that never end
	defer close(rest)
	w := servertest.Start(t, theRoutes(service.URL), servertest.Setup{Config: func(c *config.Config) {
		c.Routes = append(c.Routes, proxyRoute("/hasty/", service.URL, func(r *config.Route) { r.HeaderTimeout = soon }),
			proxyRoute("/pausing/", service.URL, func(r *config.Route) { r.IdleTimeout = soon }), proxyRoute("/refused/", "http://"+upstreamtest.Refusing(t)),
			proxyRoute("/unknown/", "http://"+strings.Repeat("a", 64)+".invalid")) // a name of which no name server is asked: it may take its time
	}})
	ada := w.SignIn(t, servertest.Ada)
	request := func(target string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: " + w.Host() + "\r\n" + credentials(ada) + "\r\n"
	}
	for _, row := range answerRows {
		t.Run(row.is, func(t *testing.T) {
			if row.target == "" {
				row.target = "/api/x"
			}
			if row.want == 0 {
				row.want = 200
			}
			text, waits := strings.CutSuffix(strings.ReplaceAll(row.answer, "{service}", service.URL), "wait")
			service.Answer(func(upstreamtest.Request) upstreamtest.Answer {
				if waits {
					return upstreamtest.Answer{Bytes: text, Then: rest}
				}
				return upstreamtest.Answer{Bytes: text, Close: row.close}
			})
			c := w.Raw(t)
			c.Write(request(row.target))
			a, err := c.Read("GET")
			if (err != nil) != row.broken || a.Status != row.want && !row.broken {
				t.Fatalf("got %d %q, %v; want %d, broken %v", a.Status, a.Body, err, row.want, row.broken)
			}
			if strings.Contains(a.Head+a.Body, "evil") {
				t.Errorf("got %s%s", a.Head, a.Body)
			}
			if row.body != "" && a.Body != row.body {
				t.Errorf("body: got %q, want %q", a.Body, row.body)
			}
			for name, want := range row.has {
				if got := a.Field(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if code := a.Field("X-Tokenjar-Problem"); row.want == 502 && code != "upstream_unavailable" || row.want == 504 && code != "upstream_timeout" {
				t.Errorf("code %q", code)
			}
			// The next request has an answer of its own.
			service.Answer(func(upstreamtest.Request) upstreamtest.Answer { return upstreamtest.OK("next") })
			if err != nil {
				c = w.Raw(t)
			}
			c.Write(request("/api/next"))
			if next, err := c.Read("GET"); err != nil || next.Status != 200 || next.Body != "next" {
				t.Errorf("then: got %d %q, %v", next.Status, next.Body, err)
			}
		})
	}
	w.Canary("Basic evil")
}

func TestAServiceCannotTouchARenewedSession(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	w := servertest.Start(t, theRoutes(service.URL))
	ada := w.SignIn(t, servertest.Ada)
	service.Answer(func(upstreamtest.Request) upstreamtest.Answer {
		return upstreamtest.Answer{Bytes: ok(tempting + "Connection: Set-Cookie, Cache-Control, Vary\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nSet-Cookie: access_token=evil\r\nSet-Cookie: a=1\r\nVary: Accept\r\n")}
	})
	for _, fields := range []string{"", "Connection: Set-Cookie, Cookie\r\n"} {
		t.Run("P-32, P-43: "+fields, func(t *testing.T) {
			answers := w.Answers(t, "GET /api/x HTTP/1.1\r\nHost: "+w.Host()+"\r\nCookie: refresh_token="+ada.Refresh+"\r\n"+fields+"Connection: close\r\n\r\n")
			if len(answers) != 1 || answers[0].Status != 200 {
				t.Fatalf("got %v", answers)
			}
			a := answers[0]
			for _, name := range []string{"access_token=eyJ", "refresh_token=eyJ", "csrftoken="} {
				if !strings.Contains(a.Field("Set-Cookie"), name) {
					t.Errorf("no %s: %s", name, a.Field("Set-Cookie"))
				}
			}
			for name, want := range map[string]string{"Cache-Control": "no-store", "Expires": "", "ETag": "", "Last-Modified": "", "CDN-Cache-Control": "", "X-Accel-Expires": ""} {
				if got := a.Field(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if strings.Contains(a.Head, "evil") {
				t.Errorf("got %s", a.Head)
			}
			for _, r := range service.Take() {
				wantOursAlone(t, w, ada, r, true)
			}
		})
	}
}

func TestP07TrustedProxiesSayWhoTheClientIs(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	w := servertest.Start(t, theRoutes(service.URL), servertest.Setup{Config: func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.0/8", "10.0.0.0/8"} }})
	for fields, want := range map[string]string{
		"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1\r\n":                   "203.0.113.9",
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n":          "203.0.113.9",
		"X-Forwarded-For: 2001:db8::1\r\n":                                      "2001:db8::1",
		"X-Forwarded-For: " + strings.Repeat("6.6.6.6, ", 1000) + "9.9.9.9\r\n": "9.9.9.9",
		"X-Real-IP: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\n":                     "127.0.0.1",
		"X_Forwarded_For: 6.6.6.6\r\n":                                          "127.0.0.1",
	} {
		t.Run("P-07: "+fields[:min(len(fields), 60)], func(t *testing.T) {
			service.Take()
			w.Answers(t, "GET /open/x HTTP/1.1\r\nHost: "+w.Host()+"\r\n"+fields+"Connection: close\r\n\r\n")
			got := service.Take()
			if len(got) != 1 {
				t.Fatalf("%d requests", len(got))
			}
			if v := got[0].Values("X-Forwarded-For"); len(v) != 1 || v[0] != want {
				t.Errorf("X-Forwarded-For: got %q, want %q", v, want)
			}
			if strings.Contains(got[0].Bytes, "6.6.6.6") {
				t.Errorf("got %s", got[0].Bytes)
			}
		})
	}
}

func TestP39ARequestEndsWhenTheClientLeaves(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	w := servertest.Start(t, theRoutes(service.URL))
	ada := w.SignIn(t, servertest.Ada)
	arrived, left := make(chan struct{}), make(chan struct{})
	service.Answer(func(upstreamtest.Request) upstreamtest.Answer {
		close(arrived)
		return upstreamtest.Answer{Bytes: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Gone: left}
	})
	c := w.Raw(t)
	c.Write("GET /api/x HTTP/1.1\r\nHost: " + w.Host() + "\r\n" + credentials(ada) + "\r\n")
	<-arrived
	c.Close()
	select {
	case <-left:
	case <-time.After(20 * time.Second):
		t.Error("the service still works for nobody")
	}
}

func TestP41OnlyWhatMayBeSentTwiceIsSentTwice(t *testing.T) {
	for _, row := range []struct {
		is, head, body string
		want           int
	}{
		{"GET", "GET /api/x HTTP/1.1\r\n", "", 200},
		{"PUT without a body", "PUT /api/x HTTP/1.1\r\n" + unsafeHead + "Content-Length: 0\r\n", "", 502},
		{"POST", "POST /api/x HTTP/1.1\r\n" + unsafeHead + "Content-Length: 2\r\n", "hi", 502},
		{"POST without a body", "POST /api/x HTTP/1.1\r\n" + unsafeHead + "Content-Length: 0\r\n", "", 502},
		{"POST with a promise", "POST /api/x HTTP/1.1\r\n" + unsafeHead + "Idempotency-Key: 1\r\nX-Idempotency-Key: 1\r\nContent-Length: 2\r\n", "hi", 502},
		{"GET with a body", "GET /api/x HTTP/1.1\r\nContent-Length: 2\r\n", "hi", 502},
	} {
		t.Run("P-41: "+row.is, func(t *testing.T) {
			service := upstreamtest.NewRecorder(t)
			w := servertest.Start(t, theRoutes(service.URL))
			ada := w.SignIn(t, servertest.Ada)
			fill := strings.NewReplacer("{origin}", w.Origin, "{csrf}", ada.CSRF)
			used := map[int]bool{}
			service.Answer(func(r upstreamtest.Request) upstreamtest.Answer {
				if used[r.Conn] {
					return upstreamtest.Answer{Reset: true} // it had been used before
				}
				used[r.Conn] = true
				return upstreamtest.OK("ok")
			})
			line, fields, _ := strings.Cut(fill.Replace(row.head), "\r\n")
			rest := "\r\nHost: " + w.Host() + "\r\n" + credentials(ada)
			c := w.Raw(t)
			first := "GET /api/first HTTP/1.1" + rest + "\r\n"
			if row.is != "GET" { // these go over other connections, on which the first one has to be as well
				first = "POST /api/first HTTP/1.1" + rest + fill.Replace(unsafeHead) + "Content-Length: 2\r\n\r\nhi"
			}
			c.Write(first)
			if a, err := c.Read("GET"); err != nil || a.Status != 200 {
				t.Fatalf("got %v, %v", a, err)
			}
			c.Write(line + rest + fields + "\r\n" + row.body)
			a, err := c.Read("GET")
			if err != nil || a.Status != row.want && !(row.is == "PUT without a body" && a.Status == 200) {
				t.Fatalf("got %v, %v, want %d", a, err, row.want)
			}
			wantSent := 2
			if a.Status == 200 {
				wantSent = 3
			}
			if n := len(service.Take()); n != wantSent {
				t.Errorf("the service got %d requests, want %d", n, wantSent)
			}
		})
	}
}

func TestP42ServicesThatAreNoneAreRefusedAtTheStart(t *testing.T) {
	secret, err := tokenjar.ParseSecret([]byte(servertest.Secret))
	if err != nil {
		t.Fatal(err)
	}
	for _, upstream := range []string{
		"http://169.254.169.254/latest", "http://[fe80::1]:80", "http://[fd00:ec2::254]", "http://[::ffff:169.254.169.254]", "http://2852039166", "http://0xa9fea9fe", "http://0251.0376.0251.0376",
		"http://0.0.0.0:9000", "http://[::]:9000", "http://224.0.0.1", "http://user:evil@127.0.0.1:9000", "file:///etc/passwd", "unix:///run/x.sock", "gopher://127.0.0.1", "ftp://127.0.0.1",
		"127.0.0.1:9000", "http://", "http://:80", "http://127.0.0.1:9000?x", "http://127.0.0.1:9000#x", "http://127.0.0.1:9000/a/../b", "http://127.0.0.1:9000//a", "http://127.0.0.1:0", "",
	} {
		t.Run("P-42: "+upstream, func(t *testing.T) {
			cfg := config.Defaults()
			cfg.Listen = "127.0.0.1:0"
			cfg.Routes = []config.Route{proxyRoute("/api/", upstream)}
			s, err := server.Open(t.Context(), cfg, secret, memory.New(memory.Config{}), server.Options{Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				s.Close()
				t.Fatal("started")
			}
			if strings.Contains(err.Error(), "evil") {
				t.Errorf("the message shows a password: %v", err)
			}
		})
	}
	t.Run("P-42: our own listener", func(t *testing.T) {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free.Close()
		cfg := config.Defaults()
		cfg.Listen = free.Addr().String()
		port := free.Addr().(*net.TCPAddr).Port
		for _, host := range []string{"127.0.0.1", "localhost", "127.0.0.2", "[::1]", "LOCALHOST", "x.localhost", "[::ffff:127.0.0.1]"} {
			cfg.Routes = []config.Route{proxyRoute("/api/", fmt.Sprintf("http://%s:%d", host, port))}
			if s, err := server.Open(t.Context(), cfg, secret, memory.New(memory.Config{}), server.Options{Logger: slog.New(slog.DiscardHandler)}); err == nil {
				s.Close()
				t.Errorf("%s: started", host)
			}
		}
	})
}

func TestP42ARequestThatComesBackEnds(t *testing.T) {
	var back *httputil.ReverseProxy
	detour := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { back.ServeHTTP(w, r) })}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer detour.Close()
	w := servertest.Start(t, routes(proxyRoute("/api/", "http://"+listener.Addr().String(), withAuth("none"))))
	target, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	back = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	go detour.Serve(listener)
	answers := w.Answers(t, "GET /api/x HTTP/1.1\r\nHost: "+w.Host()+"\r\nConnection: close\r\n\r\n")
	if len(answers) != 1 || answers[0].Status != 508 {
		t.Errorf("got %v", answers)
	}
	if n := strings.Count(w.Log.String(), `"msg":"request"`); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}
