package notestest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/examples/internal/notes"
	"github.com/tokenjar/tokenjar/middleware"
)

// Spellings of /staff/notes and /staff/notes/1 that one program or another has been known to take for them.
var targets = strings.Fields(`
	/staff/notes /staff/notes/ /staff/notes// /staff//notes //staff/notes ///staff/notes /staff/./notes /./staff/notes
	/staff/notes/. /staff/notes/.. /staff/notes/../notes /notes/../staff/notes /notes/..;/staff/notes /..;/staff/notes /.;/staff/notes
	/staff;/notes /staff;x=1/notes /staff/notes; /staff/notes;x /;/staff/notes /staff/;/notes /staff%3b/notes /staff%3Bx/notes
	/%2e%2e/staff/notes /notes/%2e%2e/staff/notes /notes/%2E./staff/notes /notes/.%2e/staff/notes /%2e/staff/notes /staff/%2e/notes
	/notes%2f..%2fstaff/notes /notes/..%2fstaff/notes /%2fstaff/notes /staff%2fnotes /staff%2Fnotes /staff%252fnotes /%252e%252e/staff/notes
	/notes/..\staff/notes \staff\notes /staff\notes /staff%5cnotes /notes/..%5cstaff/notes /%5cstaff/notes
	/Staff/notes /STAFF/NOTES /sTaFf/notes /staff/Notes /%53taff/notes /%73taff/notes /%73%74%61%66%66/%6e%6f%74%65%73 /st%61ff/notes
	/%C5%BFtaff/notes /%EF%BD%93taff/notes /staff%00/notes /staff/notes%00 /staff%20/notes /staff/notes%20 /staff%09/notes /staff/notes%0a
	/staff/notes%3f /staff/notes? /staff/notes?x /staff/notes%23 /staff/notes.json /staff.json/notes /staff/notes~ /staff/notes%2e /staff./notes
	/notes/staff/notes /notes/%2e%2e%2fstaff%2fnotes /login/../staff/notes /login/..;/staff/notes /token;/../staff/notes /login%2f..%2fstaff/notes
	/%u0073taff/notes /%c0%afstaff/notes /staff%c0%afnotes /%e0%80%afstaff/notes /staff/%e2%80%8bnotes /staff/notes%ff /staff/notes/%ff
	`)

// spellings sends each of them, as it is, by somebody who has no business there: no note is shown and none is deleted.
func spellings(t *testing.T, routes func(*notes.App) http.Handler) {
	s := newSite(t, routes)
	ada := s.signedIn(t, "ada")
	ada.send(t, "POST", "/notes", note).want(t, http.StatusCreated, "")
	host := s.server.Listener.Addr().String()
	conn := &rawConn{t: t, host: host}
	t.Cleanup(conn.close)

	page := "Cookie: __Host-access_token=" + ada.cookie("__Host-access_token") + "\r\nX-CSRFToken: " + ada.cookie("__Host-csrftoken") + "\r\nOrigin: " + s.url + "\r\n"
	program := "Authorization: Bearer " + s.program(t, "ada").bearer + "\r\n"
	for _, target := range targets {
		item := strings.TrimSuffix(target, "/") + "/1"
		for _, fields := range []string{"", page, program} {
			lines := []string{"GET " + target, "GET https://" + host + target, "HEAD " + target, "DELETE " + item, "POST " + item}
			if fields == "" {
				lines = append(lines, "CONNECT "+target, "get "+target, "DELETE https://"+host+item)
			}
			for _, line := range lines {
				a := conn.send(line + " HTTP/1.1\r\nHost: " + host + "\r\nX-HTTP-Method-Override: DELETE\r\n" + fields + "Content-Length: 0\r\n\r\n")
				if strings.Contains(a.body, "account_id") {
					t.Errorf("%s: %d %s", line, a.status, a.body)
				}
				if len(s.app.List()) != 1 {
					t.Fatalf("%s: %d: the note is gone", line, a.status)
				}
			}
		}
	}
}

// A rawConn sends requests byte by byte as they are given, which net/http's client would not.
type rawConn struct {
	t      *testing.T
	host   string
	conn   *tls.Conn
	reader *bufio.Reader
}

func (c *rawConn) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *rawConn) send(request string) answer {
	c.t.Helper()
	if c.conn == nil {
		conn, err := tls.Dial("tcp", c.host, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		if err != nil {
			c.t.Fatal(err)
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.conn.Write([]byte(request)); err != nil {
		c.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("%q: %v", request, err)
	}
	if resp.Close || method == http.MethodConnect { // what net/http takes for no request ends the connection
		defer c.close()
	}
	if method == http.MethodConnect && resp.StatusCode < 300 {
		return answer{status: resp.StatusCode, header: resp.Header} // a tunnel has no body that ends
	}
	return read(c.t, resp)
}

// RoutesInFront holds a router that has no protection of its own to middleware.Routes in front of it: no path of many
// thousands, made by chance of pieces that have led around such policies, reaches staff's handler. The router is to serve
// open at / and everything below, and staff at /staff, /staff/notes and /staff/notes/{id}.
func RoutesInFront(t *testing.T, router func(open, staff http.Handler) http.Handler) {
	t.Helper()
	app := notes.New("https://app.example", notes.Demo())
	const reached = "X-Reached"
	say := func(who string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set(reached, who) })
	}
	anybody := middleware.Public[notes.Account]()
	alone := router(say("open"), say("staff"))
	guarded := middleware.Routes{
		"/":      anybody,
		"/notes": anybody,
		"/staff": middleware.Required(app.Cookie, app.Bearer).Where(notes.Account.IsStaff),
	}.Protect(alone)

	counts := map[string]int{}
	ask := func(h http.Handler, method, target string) string {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: app.example\r\n\r\n")))
		if err != nil {
			return "net/http refuses"
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return fmt.Sprint(w.Code, " ", w.Header().Get(reached))
	}
	try := func(target string) {
		method := []string{"GET", "DELETE"}[len(target)%2]
		counts["router alone: "+ask(alone, method, target)]++
		got := ask(guarded, method, target)
		counts[got]++
		if strings.HasSuffix(got, "staff") {
			t.Errorf("%s %s reaches staff's handler", method, target)
		}
	}
	for _, target := range targets {
		try(target)
	}
	pieces := strings.Fields(`/ / / / / staff staff staff notes notes 1 Staff NOTES . .. ; ;x %2e %2E%2e %2f %2F %5c \ %3b %00 %73taff %74 st%61ff
		%25 %252e %252f %C5%BF %c0%af %20 ? # @ : %40 %3a // /./ /../ /..;/ .json ~ * + %2b ! ' %27`)
	random := rand.New(rand.NewPCG(1, 2))
	for range tries() {
		target := "/"
		for range 1 + random.IntN(7) {
			target += pieces[random.IntN(len(pieces))]
		}
		try(target)
	}
	t.Log(counts)
	if counts["router alone: 200 staff"] == 0 || counts["401 "] == 0 || counts["400 "] == 0 || counts["200 open"] == 0 {
		t.Errorf("the tries tell nothing: %v", counts)
	}
}

// tries is how many random paths are tried; TOKENJAR_PATH_TRIES says another number.
func tries() int {
	if n, err := strconv.Atoi(os.Getenv("TOKENJAR_PATH_TRIES")); err == nil {
		return n
	}
	return 2000
}
