package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
	"github.com/tokenjar/tokenjar/internal/vectors"
)

const navigation = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n"

// wantSignIn fails the test unless an answer leads to the sign-in page, with a path of ours to come back to, or is a refusal.
func wantSignIn(t *testing.T, a servertest.RawAnswer, page, sent string) {
	t.Helper()
	location := a.Field("Location")
	if a.Status/100 == 4 && location == "" {
		return
	}
	next, ok := strings.CutPrefix(location, page)
	if a.Status != 303 || !ok || a.Field("Cache-Control") != "no-store" {
		t.Fatalf("%q: got %d to %q", sent, a.Status, location)
	}
	target, err := url.QueryUnescape(next)
	if err != nil || strings.ContainsAny(next, "&#/?") || !strings.HasPrefix(target, "/api/") && target != "/api" || strings.Contains(strings.SplitN(target, "?", 2)[0], "//") {
		t.Errorf("%q: next is %q, %v", sent, target, err)
	}
	if to, err := url.Parse(target); err != nil || to.Host != "" || to.Scheme != "" {
		t.Errorf("%q: next leads to %v, %v", sent, to, err)
	}
}

func TestOR01NavigationsAreSentToSignInAndNowhereElse(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	w := servertest.Start(t, theRoutes(service.URL))
	head := " HTTP/1.1\r\nHost: " + w.Host() + "\r\n" + navigation + "X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nReferer: https://evil.example/\r\n\r\n"
	d := w.Raw(t)
	ask := func(target string) {
		d.Write("GET " + target + head)
		a, err := d.Read("GET")
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		if a.Field("Connection") == "close" {
			d = w.Raw(t)
		}
		wantSignIn(t, a, "/?next=", target)
	}
	safe := strings.NewReplacer(" ", "%20", "\t", "%09", "\r", "%0d", "\n", "%0a") // or it is no request
	for _, line := range vectors.Lines(t, "openredirects.txt") {
		once := url.QueryEscape(line)
		for _, text := range []string{safe.Replace(line), once, url.QueryEscape(once)} {
			for _, target := range []string{"/api/?next=" + text, "/api/" + strings.TrimPrefix(text, "/"), "/api" + text} {
				if !strings.HasPrefix(target, "/api") || strings.HasPrefix(target[4:], "x") {
					continue
				}
				if strings.HasPrefix(target, "/api/") || strings.HasPrefix(target, "/api?") {
					ask(target)
				}
			}
		}
	}
	for _, r := range service.Take() {
		t.Errorf("the service was sent %s", r.Target)
	}
}

func TestOR05TheSignInPageMayHaveAQuery(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	w := servertest.Start(t, theRoutes(service.URL), servertest.Setup{Config: func(c *config.Config) { c.Auth.LoginPage = "/?from=api" }})
	for _, row := range []struct {
		method, fields string
		want           int
	}{
		{"GET", navigation, 303},
		{"GET", "Accept: text/html,application/xhtml+xml\r\n", 303},
		{"GET", "Accept: application/json, text/html\r\n", 401},
		{"GET", "Accept: */*\r\n", 401},
		{"GET", "", 401},
		{"GET", "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n", 401},
		{"GET", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Mode: cors\r\nAccept: text/html\r\n", 401},
		{"HEAD", navigation, 401},
		{"POST", navigation + "Content-Length: 0\r\n", 401},
		{"GET", navigation + "Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: {origin}\r\n", 403},
	} {
		text := row.method + " /api/a%2Bb?x=1&y=%26 HTTP/1.1\r\nHost: " + w.Host() + "\r\n" + strings.ReplaceAll(row.fields, "{origin}", w.Origin)
		answers := w.Answers(t, text+"Connection: close\r\n\r\n", row.method)
		if len(answers) != 1 || answers[0].Status != row.want {
			t.Fatalf("OR-10: %s %s: got %v, want %d", row.method, row.fields, answers, row.want)
		}
		if row.want == 303 {
			wantSignIn(t, answers[0], "/?from=api&next=", "/api/a%2Bb")
			if got, _ := url.QueryUnescape(strings.TrimPrefix(answers[0].Field("Location"), "/?from=api&next=")); got != "/api/a%2Bb?x=1&y=%26" {
				t.Errorf("next: got %q", got)
			}
		} else if answers[0].Field("Location") != "" {
			t.Errorf("a script is sent to %s", answers[0].Field("Location"))
		}
	}
}
