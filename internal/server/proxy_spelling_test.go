package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/stress"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
)

// Thousands of spellings of paths and of heads, each sent through the server to programs of three languages: none of them may
// understand another path than was judged, or other people than we named.

// spellings is how many of each an ordinary run sends to each program.
const spellings = 1000

// A dialogue sends raw requests on a connection that it opens again when the server has closed it.
type dialogue struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// ask sends a request and returns the answer. The server may close instead of answering, if what it was sent is no request.
func (d *dialogue) ask(text string) (status int, body []byte, err error) {
	for try := range 2 {
		fresh := d.conn == nil
		if fresh {
			if d.conn, err = net.Dial("tcp", d.addr); err != nil {
				return 0, nil, err
			}
			d.in = bufio.NewReader(d.conn)
		}
		d.conn.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(d.conn, text)
		res, err := http.ReadResponse(d.in, nil)
		if err != nil {
			d.close()
			if fresh || try > 0 {
				return 0, nil, fmt.Errorf("no answer: %w", err)
			}
			continue // it had been closed before
		}
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
		if res.Close || err != nil {
			d.close()
		}
		return res.StatusCode, body, err
	}
	return 0, nil, errors.New("unreachable")
}

func (d *dialogue) close() {
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
	}
}

// reading asks and decodes what the program understood. It returns nothing for a request that was refused, and fails the test
// if the program got it all the same.
func (d *dialogue) reading(t *testing.T, text string, count *int) (got upstreamtest.Reading, passed bool) {
	t.Helper()
	status, body, err := d.ask(text)
	switch {
	case err != nil: // closed with what it had not read, so that even a refusal may be lost
		return got, false
	case status/100 == 4 || status == 501 || strings.HasPrefix(string(body), "<!doctype html>"): // our own page
		return got, false
	case status != 200:
		t.Fatalf("%d %s: %q", status, body, text)
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v: %s: %q", err, body, text)
	}
	if *count++; got.Count != *count {
		t.Fatalf("INV-2: the service has got %d requests, %d of which were let through: %q", got.Count, *count, text)
	}
	return got, true
}

// eachReader runs a test against each program.
func eachReader(t *testing.T, run func(t *testing.T, w *servertest.World, ada servertest.Pair, d *dialogue)) {
	for name, start := range upstreamtest.Readers {
		t.Run(name, func(t *testing.T) {
			service := start(t)
			w := servertest.Start(t, theRoutes(service.URL))
			d := &dialogue{addr: w.Addr()}
			defer d.close()
			run(t, w, w.SignIn(t, servertest.Ada), d)
		})
	}
}

// routeOf is what tells the routes of theRoutes apart, written once more: the path at the service, and the prefix under it.
var routeOf = map[string][2]string{
	"/api": {"/r-api", "/api"}, "/api/admin": {"/r-admin", ""}, "/open": {"/r-open", ""}, "/maybe": {"/r-maybe", ""}, "/files": {"/r-files", ""}, "/live": {"/r-live", ""},
}

// serviceOf returns the path at the service of the route that a path leads to.
func serviceOf(path string) (base, stripped string) {
	longest := ""
	for prefix := range routeOf {
		if (path == prefix || strings.HasPrefix(path, prefix+"/")) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return routeOf[longest][0], routeOf[longest][1]
}

// oneSpelling is the form of a path that was judged: escapes of letters that need none are decoded, others are in upper case.
func oneSpelling(raw string) string {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			b.WriteByte(raw[i])
			continue
		}
		text, err := url.PathUnescape(raw[i : i+3])
		if err != nil {
			return ""
		}
		if c := text[0]; c == '-' || c == '.' || c == '_' || c == '~' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(raw[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func TestSeededPathsMeanTheSameToEverybody(t *testing.T) {
	eachReader(t, func(t *testing.T, w *servertest.World, ada servertest.Pair, d *dialogue) {
		count, passed := 0, 0
		stress.Seeds(t, spellings, func(_ uint64, rng *rand.Rand) {
			raw := spelledPath(rng)
			got, ok := d.reading(t, "GET "+raw+" HTTP/1.1\r\nHost: "+w.Host()+"\r\n"+credentials(ada)+"\r\n", &count)
			if !ok {
				return
			}
			passed++
			if scheme := "http://" + w.Host(); strings.HasPrefix(raw, scheme) {
				raw = raw[len(scheme):]
			}
			wantSamePath(t, raw, got)
		})
		if passed == 0 {
			t.Error("no path was let through")
		}
		t.Logf("%d paths were let through", passed)
	})
}

// wantSamePath fails the test unless a program got the path that was judged, and whatever it makes of it stays within the route.
func wantSamePath(t *testing.T, raw string, got upstreamtest.Reading) {
	t.Helper()
	path, query, hasQuery := strings.Cut(raw, "?")
	judged := oneSpelling(path)
	base, stripped := serviceOf(judged)
	want := base + strings.TrimPrefix(judged, stripped)
	if rest := strings.TrimPrefix(judged, stripped); rest == "" {
		want = base + "/"
	}
	if hasQuery {
		want += "?" + query
	}
	if base == "" || got.Target != want {
		t.Errorf("%q: the service was sent %q, want %q", raw, got.Target, want)
	}
	for _, reading := range got.Paths {
		rest, ok := strings.CutPrefix(reading, base)
		if !ok || rest != "" && rest[0] != '/' {
			t.Errorf("%q: the service reads %q, which is not under %s", raw, reading, base)
			continue
		}
		if again, _ := serviceOf(stripped + rest); again != base {
			t.Errorf("%q: the service reads %q, which is of the route of %s, not of %s", raw, reading, again, base)
		}
	}
}

// spelledPath returns a target in one of the ways in which attackers write them.
func spelledPath(rng *rand.Rand) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	path := pick("/api/x", "/api/admin/x", "/api/admin", "/api", "/open/x", "/open/a/b/c", "/maybe/x.js", "/files/a/b", "/live", "/api/list/42/")
	insert := func(s string) { // between two segments, or within one
		at := rng.IntN(len(path) + 1)
		if rng.IntN(2) == 0 {
			if i := strings.IndexByte(path[at:], '/'); i >= 0 {
				at += i
			}
		}
		path = path[:at] + s + path[at:]
	}
	for range 1 + rng.IntN(3) {
		at := rng.IntN(len(path))
		switch rng.IntN(12) {
		case 0, 1: // an escape
			path = path[:at] + fmt.Sprintf(pick("%%%02x", "%%%02X"), path[at]) + path[at+1:]
		case 2: // twice
			path = path[:at] + fmt.Sprintf("%%25%02x", path[at]) + path[at+1:]
		case 3: // case
			path = path[:at] + strings.ToUpper(path[at:at+1]) + path[at+1:]
		case 4: // dots
			insert("/" + pick("..", ".", "%2e%2e", ".%2E", "%2e", "..;", "..;x=1", ".;", "..%3b", "...", ".. ", "..%20", "%20..", "..%00", "..%09", "%252e%252e", "%c0%ae%c0%ae", "%u002e%u002e", "..%5c", `..\`,
				"%EF%BC%8E%EF%BC%8E", "%E2%80%A5", ".%E2%80%8B.", ".%EF%BB%BF.", "%E2%80%A4%E2%80%A4", ".%C2%AD."))
		case 5: // separators
			insert(pick("/", "//", "%2f", "%2F", "%5c", `\`, "%252f", "%EF%BC%8F", "%E2%81%84", "%E2%88%95", "%EF%BC%BC", ";", "%3b", "%3B", "?", "%3f", "#", "%23", "%00", "%0a", "%0d%0a", "%09", "%7f", "%C2%85", "%E2%80%A8"))
		case 6: // what is cut
			insert(pick(".", "%2e", "%20", "%20.", ". ", "%C2%A0", "%E3%80%80", "%E2%80%8B", "%E2%80%8D", "%EF%BB%BF", "%C2%AD", ";x=1", ";", "::$DATA", "~1", "%CC%81"))
		case 7: // letters that look or fold alike
			for _, pair := range [][2]string{{"a", "%EF%BD%81"}, {"p", "%EF%BD%90"}, {"i", "%C4%B1"}, {"k", "%E2%84%AA"}, {"s", "%C5%BF"}, {"n", "%EF%BC%AE"}, {"o", "%D0%BE"}, {"e", "%E2%84%AF"}} {
				if strings.Contains(path, pair[0]) && rng.IntN(2) == 0 {
					path = strings.Replace(path, pair[0], pair[1], 1)
					break
				}
			}
		case 8: // a query
			path += pick("?", "??", "?a=1&a=2", "?/../open", "?a=%2e%2e%2f", "?a;b", "?a=%zz", "?a=\xff", "?a#b")
		case 9: // other routes behind dots
			path += pick("/../open", "/..%2fopen", "/%2e%2e/api/admin", "/..;/api/admin", `\..\api`, "/./admin", "/admin", "/Admin", "/admin.", "/admin;x", "/admin%3bx", "/;/admin", "/admin%20", "/%61dmin")
		case 10: // the absolute form
			if strings.HasPrefix(path, "/") {
				path = pick("", "", "", "http://evil.example", "http://a@b", "//evil.example", "/\\evil.example", "%2f") + path
			}
		case 11: // eight bits
			insert(pick("\xff", "\xc3\xa9", "\xc0\xae", "%ff", "%c3%28", "%ed%a0%80", "%f4%90%80%80", "%E6%97%A5", "%C3%A9", "e%CC%81"))
		}
		if path == "" {
			path = "/"
		}
	}
	return path
}

func TestSeededHeadsMeanTheSameToEverybody(t *testing.T) {
	eachReader(t, func(t *testing.T, w *servertest.World, ada servertest.Pair, d *dialogue) {
		count, passed := 0, 0
		stress.Seeds(t, spellings, func(_ uint64, rng *rand.Rand) {
			target, bearer := "/api/x", true
			if rng.IntN(4) == 0 {
				target, bearer = "/open/x", false
			}
			head := spelledHead(rng)
			got, ok := d.reading(t, "GET "+target+" HTTP/1.1\r\nHost: "+w.Host()+"\r\n"+credentials(ada)+head+"\r\n", &count)
			if !ok {
				return
			}
			passed++
			wantOurPeople(t, w, ada, head, got, bearer)
		})
		if passed == 0 {
			t.Error("no head was let through")
		}
		t.Logf("%d heads were let through", passed)
	})
}

// variable is a name as CGI has it, without its HTTP_ in front.
func variable(name string) string {
	name = strings.TrimPrefix(name, "HTTP_")
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(strings.TrimSpace(name)))
}

// wantOurPeople fails the test if a program may take somebody else for the client, or got a credential.
func wantOurPeople(t *testing.T, w *servertest.World, ada servertest.Pair, head string, got upstreamtest.Reading, bearer bool) {
	t.Helper()
	ours := map[string]string{
		"X_FORWARDED_FOR": "127.0.0.1", "X_FORWARDED_HOST": w.Host(), "X_FORWARDED_PROTO": "http", "FORWARDED": `for=127.0.0.1;host="` + w.Host() + `";proto=http`,
		"X_REQUEST_ID": "", "X_TOKENJAR_HOP": "", "AUTHORIZATION": "Bearer eyJ",
	}
	if bearer {
		ours["X_FORWARDED_PREFIX"] = "/api"
	}
	forbidden := map[string]bool{}
	for _, name := range identityFields {
		forbidden[variable(name)] = true
	}
	seen := map[string]bool{}
	for _, f := range got.Fields {
		name, value := variable(f[0]), f[1]
		for _, secret := range []string{ada.Access, ada.Refresh, ada.CSRF} {
			if strings.Contains(value, secret) {
				t.Errorf("%q: the service got a credential in %s", head, f[0])
			}
		}
		want, isOurs := ours[name]
		switch {
		case isOurs:
			seen[name] = true
			if want != value && !(want == "" || name == "AUTHORIZATION" && bearer && strings.HasPrefix(value, want)) || strings.Contains(value, "evil") || strings.ContainsAny(value, ",") {
				t.Errorf("%q: the service reads %s: %q", head, f[0], value)
			}
		case forbidden[name]:
			t.Errorf("%q: the service reads %s: %q", head, f[0], value)
		}
	}
	for name := range ours {
		if !seen[name] && (bearer || name != "AUTHORIZATION") {
			t.Errorf("%q: the service has no %s", head, name)
		}
	}
	for _, name := range got.Cookies {
		folded := strings.ToLower(name)
		for _, prefix := range []string{"__host-http-", "__host-", "__secure-", "__http-"} {
			folded = strings.TrimPrefix(folded, prefix)
		}
		if folded == "access_token" || folded == "refresh_token" || name == "csrftoken" {
			t.Errorf("%q: the service reads a cookie %q", head, name)
		}
	}
}

// spelledHead returns lines of a head in which an attacker tells who it is.
func spelledHead(rng *rand.Rand) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	var head strings.Builder
	for range 1 + rng.IntN(4) {
		switch rng.IntN(6) {
		case 0, 1, 2:
			head.WriteString(spelledName(rng, identityFields[rng.IntN(len(identityFields))]) + pick(": ", ":", ":\t", " : ", "\t: ", ":\r\n ", ":  ") +
				pick("evil", "evil", "evil, evil", "\"evil\"", "", "Bearer evil", "evil\r\n folded", "evil\r\n\tX-User: evil", "ev\til", "127.0.0.1, evil", "for=evil", "evil\x00", "evil\rX-User: evil", "\xe9vil evil") + "\r\n")
		case 3:
			names := make([]string, 1+rng.IntN(5))
			for i := range names {
				names[i] = pick("", " ", "\t") + spelledCase(rng, pick("close", "keep-alive", "Authorization", "X-Forwarded-For", "Forwarded", "X-Request-Id", "Cookie", "X-Forwarded-Host", "Host", "Content-Length", "X_User", "")) + pick("", " ", "\t")
			}
			list := strings.Join(names, ",")
			if strings.Contains(strings.ToLower(list), "close") && rng.IntN(4) > 0 {
				list = "keep-alive"
			}
			head.WriteString(spelledCase(rng, "Connection") + ": " + list + "\r\n")
		case 4, 5:
			name := spelledName(rng, pick("access_token", "refresh_token", "__Host-access_token", "__Host-refresh_token", "__Secure-refresh_token"))
			pair := pick("", " ", "\t", "=", "\"", "%20", ",", ", ", "a=1 ", "a=1,", "$Version=1; ", "a=\"x; ") + name + pick("=", " =", "= ", "\t=", "%3D", "==", "") + pick("evil", "\"evil\"", "evil\"", "evil, b=2", "evil b=2")
			head.WriteString(spelledCase(rng, "Cookie") + ": " + pick("", "a=1; ", "a=1;", "a=1;; ", "a; ") + pair + pick("", "; b=2", ";", " ;", "; $Path=/") + "\r\n")
		}
	}
	return head.String()
}

func spelledCase(rng *rand.Rand, s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case rng.IntN(3) > 0:
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

// spelledName spells a name of a field or of a cookie.
func spelledName(rng *rand.Rand, name string) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	for range rng.IntN(3) {
		at := rng.IntN(len(name))
		switch rng.IntN(7) {
		case 0:
			name = spelledCase(rng, name)
		case 1:
			name = strings.ReplaceAll(name, pick("-", "_"), pick("_", "-", ".", "~", "+", " ", "%5F", "!", "--", "\xe2\x80\x90"))
		case 2:
			name += pick("-", "_", ".", " ", "\t", "\xc2\xa0", "\x00", "\x0b", "%00", "[", "]")
		case 3:
			name = pick("-", "_", ".", "HTTP_", "HTTP-", " ", "__Host-", "__http-", "$") + name
		case 4:
			name = name[:at] + fmt.Sprintf("%%%02x", name[at]) + name[at+1:]
		case 5:
			name = strings.Replace(name, pick("e", "o", "k", "s", "a"), pick("\xd0\xb5", "\xe2\x84\xaa", "\xc5\xbf", "\xef\xbd\x81"), 1)
		case 6:
			name = name[:at] + pick("\t", " ", "\xad", "\xe2\x80\x8b", "") + name[at:]
		}
	}
	return name
}
