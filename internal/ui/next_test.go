package ui_test

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/upstreamtest"
	"github.com/tokenjar/tokenjar/internal/vectors"
)

// followNext runs the page's own nextPath for each query, and says where the browser would go: URL of Node is that of browsers
// (WHATWG).
const followNext = `
const { source, origin, queries } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const nextPath = new Function('location', source + '; return nextPath();');
console.log(JSON.stringify(queries.map((query) => {
  const location = new URL(origin + '/?' + query);
  const next = nextPath(location);
  return { next, to: next === '' ? '' : new URL(next, location.href).href };
})));
`

type followed struct{ Next, To string }

func follow(t *testing.T, origin string, queries []string) []followed {
	t.Helper()
	upstreamtest.Need(t, "node")
	text, err := os.ReadFile("assets/app.js")
	if err != nil {
		t.Fatal(err)
	}
	_, source, ok := strings.Cut(string(text), "\nfunction nextPath() {\n")
	source, _, ends := strings.Cut(source, "\n}\n")
	if !ok || !ends {
		t.Fatal("the page has no function nextPath")
	}
	if strings.Count(string(text), "location.assign(next)") != 1 || strings.Contains(strings.Replace(string(text), "location.assign(next)", "", 1), "location.assign(") {
		t.Error("the page goes elsewhere than where nextPath leads")
	}
	input, err := json.Marshal(map[string]any{"source": "function nextPath() {\n" + source + "\n}", "origin": origin, "queries": queries})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "-e", followNext)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(input)), t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []followed
	if err := json.Unmarshal(out, &all); err != nil || len(all) != len(queries) {
		t.Fatalf("%d answers to %d queries, %v", len(all), len(queries), err)
	}
	return all
}

const ownOrigin = "https://app.example.com"

// wantOwn fails the test unless each query leads to a path of our own origin or nowhere.
func wantOwn(t *testing.T, queries []string) (followedAny int) {
	t.Helper()
	for i, f := range follow(t, ownOrigin, queries) {
		if f.Next == "" {
			continue
		}
		followedAny++
		if !strings.HasPrefix(f.Next, "/") || !strings.HasPrefix(f.To, ownOrigin+"/") {
			t.Errorf("%q leads to %q by %q", queries[i], f.To, f.Next)
		}
	}
	return followedAny
}

func TestOR01NoListedRedirectLeavesTheSite(t *testing.T) {
	lines := vectors.Lines(t, "openredirects.txt")
	if len(lines) != 559 {
		t.Errorf("%d lines, want 559", len(lines))
	}
	var queries []string
	for _, line := range lines {
		once := url.QueryEscape(line)
		queries = append(queries, "next="+line, "next="+once, "next="+url.QueryEscape(once))
	}
	t.Logf("%d of %d are followed, within the site", wantOwn(t, queries), len(queries))
}

func TestNextIsFollowedOnlyWithinTheSite(t *testing.T) {
	var queries []string
	for _, target := range []string{
		"//evil.example", `/\evil.example`, `\/evil.example`, `\\evil.example`, "/%09/evil.example", "/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "\t//evil.example", " //evil.example", "/%5cevil.example", "///evil.example",
		"https:evil.example", "https://evil.example", "http:/evil.example", "https:/\\evil.example", "javascript:alert(1)", "java\tscript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "vbscript:x", "//", "/", "", "evil.example", "@evil.example",
		"/..//evil.example", "/.//evil.example", "/a/..//evil.example", "/%2e%2e//evil.example", "/%2e//evil.example", "/.%2e//evil.example", "/a/../..//evil.example", `/..\/evil.example`, "/..///evil.example", "/./\\evil.example",
		"/\u2028/evil.example", "/\u00a0/evil.example", "/\ufeff/evil.example", "\ufeff//evil.example", "/\x00/evil.example", "/\x0b//evil.example", "//evil.example/%2f..", "/;//evil.example", "/%2f/evil.example", "/?//evil.example", "/#//evil.example",
		"https://app.example.com@evil.example", "https://app.example.com.evil.example", "https://app.example.com/x", "//app.example.com/x", strings.Repeat("/a", 5000), "/\uff0fevil.example", "/\u3002evil.example",
	} {
		queries = append(queries, "next="+target, "next="+url.QueryEscape(target), "next="+url.QueryEscape(url.QueryEscape(target)), "next="+url.QueryEscape(target)+"&next=//evil.example", "a&next="+url.QueryEscape(target)+"#x")
	}
	wantOwn(t, queries)

	good := map[string]string{"/api/page?a=1&b=2": "/api/page?a=1&b=2", "/a/b#c": "/a/b#c", "/a%2Fb?x=//y": "/a%2Fb?x=//y", "/caf%C3%A9": "/caf%C3%A9", "/?x": "", "/a/../b": "/b"}
	queries = queries[:0]
	var wants []string
	for target, want := range good {
		queries, wants = append(queries, "next="+url.QueryEscape(target)), append(wants, want)
	}
	for i, f := range follow(t, ownOrigin, queries) {
		if f.Next != wants[i] {
			t.Errorf("%s: got %q, want %q", queries[i], f.Next, wants[i])
		}
	}
}
