package nodes

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"
)

// lagBound is how long a node may go on taking tokens of a session that ended elsewhere, on a machine that is busy. The
// promise is a second; what it really takes is measured.
const lagBound = 5 * time.Second

// Whatever ends a session at one node ends it there at once, and on every other node within the bound.
func TestS02WhatEndsAtOneNodeEndsOnAll(t *testing.T) {
	t.Parallel()
	users := []string{"ada", "eve", "mallory", "grace", "linus", "barbara", "donald"}
	c := start(t, setup{nodes: 3, users: users})
	here, there := c.nodes[0], c.nodes[1:]
	var took []time.Duration
	const renewed = "renewed"
	for i, end := range []struct {
		name string
		do   func(t testing.TB, page *browser, access string)
		is   string // the code that the access token gets, or "renewed": the page goes on with another one
		away bool   // nobody asked a node: all of them learn of it
	}{
		{"sign-out", func(t testing.TB, page *browser, _ string) {
			page.want(t, http.StatusOK, "POST", "/auth/logout", nil)
		}, "token_revoked", false},
		{"sign-out everywhere, by another session", func(t testing.TB, page *browser, _ string) {
			other := c.browser(t, here)
			other.signIn(t, users[1])
			other.want(t, http.StatusOK, "POST", "/auth/logout?all=true", nil)
		}, "token_revoked", false},
		{"end from the list", func(t testing.TB, page *browser, access string) {
			other := c.browser(t, here)
			other.signIn(t, users[2])
			other.want(t, http.StatusOK, "DELETE", "/auth/sessions/"+sessionOf(t, page), nil)
		}, "token_revoked", false},
		{"password change, by another session", func(t testing.TB, page *browser, _ string) {
			other := c.browser(t, here)
			other.signIn(t, users[3])
			other.want(t, http.StatusOK, "POST", "/auth/password/change",
				map[string]string{"old_password": thePassword, "new_password": "a-parrot-in-the-attic"})
			for _, n := range c.nodes { // and that session goes on
				other.tab(n).want(t, http.StatusOK, "GET", "/auth/user", nil)
			}
		}, "token_revoked", false},
		{"sessions revoke", func(t testing.TB, _ *browser, _ string) {
			here.command(t, "", "sessions", "revoke", "--user", users[4])
		}, "token_revoked", true},
		{"users disable", func(t testing.TB, _ *browser, _ string) {
			here.command(t, "", "users", "disable", users[5])
		}, "token_revoked", true},
		{"users set-roles", func(t testing.TB, _ *browser, _ string) {
			here.command(t, "", "users", "set-roles", users[6], "--staff=true")
		}, renewed, true},
	} {
		page := c.browser(t, here)
		page.signIn(t, users[i])
		access := page.cookie("access_token")
		for _, n := range c.nodes { // all of them know the token, and have answered for it
			if a := c.verify(t, n, access); a.status != http.StatusOK {
				t.Fatalf("%s: before, %s: %s", end.name, n.name, a)
			}
		}
		end.do(t, page, access)
		answered := time.Now()
		code := end.is
		if code == renewed {
			code = "token_expired"
		}
		if a := c.verify(t, here, access); !end.away && a.code != code {
			t.Errorf("%s: at the node that was asked: %s, want %s at once", end.name, a, code)
		}
		for _, lag := range c.lag(t, append([]*node{here}, there...), access, code, answered) {
			took = append(took, lag)
			if lag > lagBound {
				t.Errorf("%s: a node learned of it after %s", end.name, lag)
			}
		}
		for _, n := range c.nodes {
			tab := page.tab(n)
			tab.set("access_token", access)
			want := http.StatusUnauthorized
			if end.is == renewed {
				want = http.StatusOK
			}
			if a := tab.do("GET", "/auth/user", nil); a.status != want {
				t.Errorf("%s: afterwards at %s: %s, want %d", end.name, n.name, a, want)
			}
		}
	}
	t.Logf("%d times a node learned of an end: p50 %s, p99 %s", len(took), percentile(took, .5), percentile(took, .99))
}

// verify asks a node about an access token, which it answers from memory.
func (c *cluster) verify(t testing.TB, n *node, access string) answer {
	t.Helper()
	b := c.browser(t, n)
	a := b.do("POST", "/auth/token/verify", map[string]string{"token": access})
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a
}

// lag returns for each node how long after a moment it was that it stopped taking an access token.
func (c *cluster) lag(t testing.TB, nodes []*node, access, code string, since time.Time) []time.Duration {
	t.Helper()
	took := make([]time.Duration, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		b := c.browser(t, n)
		wg.Go(func() {
			for time.Since(since) < patience {
				asked := time.Since(since)
				if a := b.do("POST", "/auth/token/verify", map[string]string{"token": access}); a.code == code {
					took[i] = asked
					return
				} else if a.status != http.StatusOK {
					t.Errorf("%s: %s, want 200 or %s", n.name, a, code)
				}
				time.Sleep(time.Millisecond)
			}
			took[i] = patience
		})
	}
	wg.Wait()
	return took
}

// sessionOf returns the id of a page's own session, from the list.
func sessionOf(t testing.TB, page *browser) string {
	t.Helper()
	var list struct {
		Sessions []struct {
			ID      string `json:"id"`
			Current bool   `json:"current"`
		} `json:"sessions"`
	}
	a := page.want(t, http.StatusOK, "GET", "/auth/sessions", nil)
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Sessions {
		if s.Current {
			return s.ID
		}
	}
	t.Fatalf("no current session in %s", a.body)
	return ""
}
