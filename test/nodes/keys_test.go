package nodes

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The keys that sign are replaced, and one is given up as leaked, while pages are at work on two nodes: nobody notices. What
// the leaked key signed is refused on both within the bound.
func TestKeysAreReplacedWhileNodesServe(t *testing.T) {
	t.Parallel()
	c := start(t, setup{settings: map[string]string{"LOG_LEVEL": "warn"}})
	pages := c.crowd(t, 3, "ada")
	for _, command := range []string{"keys rotate", "keys rotate --now"} { // the one signs in ten minutes, the other at once
		pages.goOn(t, 10)
		c.nodes[0].command(t, "", strings.Fields(command)...)
		for _, n := range c.nodes {
			pages.goOnAt(t, n, 10)
		}
	}
	page := c.browser(t, c.nodes[0])
	page.signIn(t, "ada")
	access := page.cookie("access_token")
	leaked := keyOf(t, access)
	if a := c.verify(t, c.nodes[1], access); a.status != http.StatusOK {
		t.Fatalf("before: %s", a)
	}
	c.nodes[0].command(t, "", "keys", "compromise", leaked)
	done := time.Now()
	for i, lag := range c.lag(t, c.nodes, access, "token_invalid", done) {
		t.Logf("%s refused the key after %s", c.nodes[i].name, lag)
		if lag > lagBound {
			t.Errorf("%s took a leaked key for %s", c.nodes[i].name, lag)
		}
	}
	for _, n := range c.nodes {
		pages.goOnAt(t, n, 10)
		tab := page.tab(n)
		tab.want(t, http.StatusOK, "GET", "/auth/user", nil) // renewed: the refresh token is not that key's
		if key := keyOf(t, tab.cookie("access_token")); key == leaked {
			t.Errorf("%s signs with the leaked key", n.name)
		}
		published := tab.want(t, http.StatusOK, "GET", "/.well-known/jwks.json", nil)
		if strings.Contains(string(published.body), leaked) {
			t.Errorf("%s publishes the leaked key: %s", n.name, published.body)
		}
	}
	pages.check(t)
}

// keyOf returns the id of the key that signed a token.
func keyOf(t testing.TB, raw string) string {
	t.Helper()
	header, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	var h struct{ Kid string }
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil || h.Kid == "" {
		t.Fatalf("no key in %q: %v", raw, err)
	}
	return h.Kid
}

// The secret is changed as docs/howto/secret.md says, on nodes that have a copy of the file each, while pages are at work:
// nobody notices, whichever node is a step ahead. A node that is started afterwards opens the keys as well.
func TestTheSecretIsChangedNodeByNode(t *testing.T) {
	t.Parallel()
	c := start(t, setup{})
	pages := c.crowd(t, 3, "ada")
	before := c.browser(t, nil)
	before.signIn(t, "ada")
	old := keyOf(t, before.cookie("refresh_token"))
	first, second := c.nodes[0], c.nodes[1]
	step := func(what string, args ...string) string {
		t.Helper()
		said := make([]int, len(c.nodes))
		for i, n := range c.nodes {
			said[i] = n.log.size()
		}
		pages.goOn(t, 10)
		told := first.command(t, "", append([]string{"secret", "rotate", "--json"}, args...)...)
		pages.goOnAt(t, first, 10) // the two differ for a while
		pages.goOnAt(t, second, 10)
		data, err := os.ReadFile(filepath.Join(first.dir, "tokenjar.secret"))
		if err == nil {
			err = os.WriteFile(filepath.Join(second.dir, "tokenjar.secret"), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range c.nodes {
			eventually(t, what+": "+n.name+" reads the secret", func() bool {
				return strings.Contains(n.log.from(said[i]), `"msg":"the secret has been read again"`)
			})
		}
		return told
	}
	var added struct{ Line string }
	if told := step("add", "--add"); json.Unmarshal([]byte(told), &added) != nil || added.Line == "" {
		t.Fatalf("secret rotate --add --json says %s", told)
	}
	step("promote", "--promote", added.Line)
	for _, n := range c.nodes {
		pages.goOnAt(t, n, 10)
		before.tab(n).want(t, http.StatusOK, "POST", "/auth/token/refresh", nil)
		page := c.browser(t, n)
		page.signIn(t, "ada")
		if key := keyOf(t, page.cookie("refresh_token")); key == old {
			t.Errorf("%s still begins sessions with the old line", n.name)
		}
	}
	pages.check(t)
	second.stop(t)
	second.start(t)
	second.waitReady(t)
	before.tab(second).want(t, http.StatusOK, "POST", "/auth/token/refresh", nil)
}
