package server_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
)

// A fuzzWorld is a server and a service behind it, for all inputs of one process.
type fuzzWorld struct {
	*servertest.World
	service *upstreamtest.Recorder
	ada     servertest.Pair
	d       *dialogue
}

func newFuzzWorld(f *testing.F) *fuzzWorld {
	service := upstreamtest.NewRecorder(f)
	w := servertest.Start(f, theRoutes(service.URL), servertest.Setup{Options: func(o *server.Options) { o.Logger = slog.New(slog.DiscardHandler) }})
	return &fuzzWorld{w, service, w.SignIn(f, servertest.Ada), &dialogue{addr: w.Addr()}}
}

// FuzzPathPolicy: what the rule saw is what the service received, byte for byte, and two programs that clean it stay within the
// route.
func FuzzPathPolicy(f *testing.F) {
	for _, row := range proxyRows {
		if row.target != "" && !strings.Contains(row.target, "{") && len(row.target) < 200 {
			f.Add(row.target)
		}
	}
	for seed := range uint64(100) {
		f.Add(spelledPath(rand.New(rand.NewPCG(seed, seed))))
	}
	w := newFuzzWorld(f)
	f.Fuzz(func(t *testing.T, target string) {
		if strings.ContainsAny(target, " \r\n") || target == "" || strings.Contains(target, "://") {
			return // no one target, or one of the absolute form, which the table has
		}
		status, body, err := w.d.ask("GET " + target + " HTTP/1.1\r\nHost: " + w.Host() + "\r\n" + credentials(w.ada) + "\r\n")
		if err != nil { // closed with what it had not read, so that even a refusal may be lost
			status = 0
		}
		got := w.service.Take()
		if string(body) != "ok" || status != 200 {
			if len(got) > 0 {
				t.Errorf("%q: %d, yet the service was sent %q", target, status, got[0].Target)
			}
			return
		}
		if len(got) != 1 {
			t.Fatalf("%q: the service got %d requests", target, len(got))
		}
		wantSamePath(t, target, upstreamtest.Reading{Target: got[0].Target, Paths: cleaned(t, got[0].Target)})
	})
}

// cleaned returns what a strict and a lax program make of a target.
func cleaned(t *testing.T, target string) []string {
	raw, _, _ := strings.Cut(target, "?")
	text, err := url.PathUnescape(raw)
	if err != nil {
		t.Fatalf("the service was sent the path %q", raw)
	}
	lax := strings.ToLower(norm.NFKC.String(strings.ReplaceAll(text, `\`, "/")))
	var segments []string
	for s := range strings.SplitSeq(lax, "/") {
		s, _, _ = strings.Cut(s, ";")
		if s = strings.TrimSpace(s); s != "." && s != ".." {
			if short := strings.TrimRight(s, ". "); short != "" {
				s = short
			}
		}
		segments = append(segments, s)
	}
	return []string{raw, path.Clean(text), path.Clean(raw), path.Clean(strings.Join(segments, "/"))}
}

// FuzzProxyHeaders: the bytes that the service received mean the same people to a strict program and to one like CGI.
func FuzzProxyHeaders(f *testing.F) {
	for _, row := range proxyRows {
		if row.fields != "" && !strings.Contains(row.fields, "{") && len(row.fields) < 4000 {
			f.Add(row.fields)
		}
	}
	for seed := range uint64(100) {
		f.Add(spelledHead(rand.New(rand.NewPCG(seed, seed))))
	}
	w := newFuzzWorld(f)
	f.Fuzz(func(t *testing.T, head string) {
		if strings.Contains(head, "\r\n\r\n") || strings.Contains(head, "\n\n") || strings.Contains(head, "\n\r\n") || strings.HasPrefix(head, "\n") || strings.HasPrefix(head, "\r") || !strings.HasSuffix(head, "\r\n") {
			return // more than a head
		}
		if lower := strings.ToLower(head); strings.Contains(lower, "content-length") || strings.Contains(lower, "transfer-encoding") || strings.Contains(lower, "expect") {
			return // FuzzRawHTTP
		}
		status, body, err := w.d.ask("GET /api/x HTTP/1.1\r\nHost: " + w.Host() + "\r\n" + credentials(w.ada) + head + "\r\n")
		if err != nil { // closed with what it had not read, so that even a refusal may be lost
			status = 0
		}
		got := w.service.Take()
		if string(body) != "ok" || status != 200 {
			if len(got) > 0 {
				t.Errorf("%q: %d, yet the service was sent %q", head, status, got[0].Bytes)
			}
			return
		}
		if len(got) != 1 {
			t.Fatalf("%q: the service got %d requests", head, len(got))
		}
		reading := upstreamtest.Reading{}
		for _, field := range got[0].Fields {
			reading.Fields = append(reading.Fields, [2]string{field.Name, field.Value}, [2]string{"HTTP_" + variable(field.Name), field.Value})
			if strings.EqualFold(field.Name, "Cookie") {
				for pair := range strings.FieldsFuncSeq(field.Value, func(r rune) bool { return strings.ContainsRune(";, \t", r) }) {
					name, _, _ := strings.Cut(pair, "=")
					reading.Cookies = append(reading.Cookies, name, strings.Trim(name, "\"\xa0"))
					if decoded, err := url.QueryUnescape(name); err == nil {
						reading.Cookies = append(reading.Cookies, decoded)
					}
				}
			}
		}
		if n := strings.Count(strings.ToLower(string(got[0].Bytes)), "\r\ncookie:"); n > 1 {
			t.Errorf("%q: %d Cookie fields", head, n)
		}
		wantOurPeople(t, w.World, w.ada, head, reading, true)
	})
}

// FuzzRawHTTP: there are as many answers as there are requests in a stream of bytes, at most one more for what is none, and the
// service gets no request that nobody sent.
func FuzzRawHTTP(f *testing.F) {
	w := newFuzzWorld(f)
	host := "Host: localhost\r\n"
	for _, row := range proxyRows {
		if (row.body != "" || row.closes) && len(row.fields)+len(row.body) < 4000 {
			method := row.method
			if method == "" {
				method = "GET"
			}
			f.Add(method + " /open/x HTTP/1.1\r\n" + host + row.fields + "\r\n" + row.body + "GET /open/y HTTP/1.1\r\n" + host + "\r\n")
		}
	}
	f.Add("GET /open/x HTTP/1.1\r\n" + host + "\r\nGET /open/y HTTP/1.1\r\n" + host + "\r\nGET /open/z HTTP/1.0\r\n" + host + "\r\n")
	f.Add("POST /open/x HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhelloPOST /open/y HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	sent, got := 0, 0
	f.Fuzz(func(t *testing.T, stream string) {
		stream = strings.ReplaceAll(stream, "Host: localhost\r\n", "Host: "+w.Host()+"\r\n")
		if strings.Contains(strings.ToLower(stream), "upgrade") || len(stream) > 16<<10 {
			return
		}
		requests, certain, ended := wellFormed(stream)
		conn, err := net.Dial("tcp", w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, stream)
		in := bufio.NewReader(conn)
		answers, closed := 0, false
		next := func(method string) bool {
			for {
				res, err := http.ReadResponse(in, &http.Request{Method: method})
				if err != nil {
					closed = true
					return false
				}
				if res.StatusCode/100 == 1 {
					continue
				}
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				answers++
				closed = closed || res.Close || err != nil
				return true
			}
		}
		for _, method := range requests[:certain] {
			if closed || !next(method) {
				break
			}
		}
		if !closed {
			conn.(*net.TCPConn).CloseWrite()
			for next("GET") {
			}
		} else if next("GET") {
			t.Errorf("%q: answers behind the one that closes the connection", stream)
		}
		most := len(requests)
		if !ended {
			most++
		}
		if answers > most || answers < certain && !closed {
			t.Errorf("%q: %d answers to %d requests", stream, answers, len(requests))
		}
		sent += len(requests)
		for _, r := range w.service.Take() {
			if !r.Broken {
				got++
			}
			if strings.Contains(r.Bytes, "\n ") || strings.Contains(strings.ReplaceAll(r.Bytes[:len(r.Bytes)-len(r.Body)], "\r\n", ""), "\n") && len(r.Values("Transfer-Encoding")) == 0 {
				t.Errorf("%q: the service was sent %q", stream, r.Bytes)
			}
		}
		if got > sent { // all in all, since what was cut off may still be on its way
			t.Errorf("%q: the service got %d requests, of %d", stream, got, sent)
		}
	})
}

// wellFormed returns the methods of the requests that a stream has, up to what is none or is the last on its connection, and
// how many of them are whole for certain, and whether the stream, or what is served of it, ends with the last. It takes a bare line feed for a line's end, as the
// server does (M-10), and is stricter in everything else.
func wellFormed(stream string) (methods []string, certain int, ended bool) {
	rest := []byte(stream)
	line := func() (string, bool) {
		text, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return "", false
		}
		rest = after
		return strings.TrimSuffix(string(text), "\r"), true
	}
	for len(rest) > 0 {
		first, ok := line()
		if !ok {
			return methods, len(methods), false
		}
		parts := strings.Split(first, " ")
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "HTTP/1.") {
			return methods, len(methods), false
		}
		fields := map[string][]string{}
		for {
			text, ok := line()
			if !ok {
				return methods, len(methods), false
			}
			if text == "" {
				break
			}
			if text[0] == ' ' || text[0] == '\t' {
				continue // folded
			}
			name, value, _ := strings.Cut(text, ":")
			name = strings.ToLower(name)
			fields[name] = append(fields[name], strings.ToLower(strings.Trim(value, " \t")))
		}
		last := parts[2] == "HTTP/1.0"
		for token := range strings.SplitSeq(strings.Join(fields["connection"], ","), ",") {
			last = last || strings.Trim(token, " \t") == "close"
		}
		switch {
		case len(fields["transfer-encoding"]) > 0:
			return append(methods, parts[0]), len(methods), false // the last in any case; what is behind it is not looked at
		case len(fields["content-length"]) > 0:
			n, err := strconv.ParseUint(fields["content-length"][0], 10, 31)
			if err != nil || int(n) > len(rest) {
				return append(methods, parts[0]), len(methods), false
			}
			rest = rest[n:]
		}
		methods = append(methods, parts[0])
		if last {
			return methods, len(methods), true
		}
	}
	return methods, len(methods), true
}
