package nodes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Nodes whose clocks are off by less than five seconds serve as all others do. Beyond that a node says that it is not ready,
// so that nobody is sent there; whoever comes nevertheless is not misjudged: sessions are judged by the store's clock, and
// tokens with their leeway.
func TestC15NodesWithWrongClocks(t *testing.T) {
	t.Parallel()
	skews := []time.Duration{0, 4 * time.Second, -4 * time.Second, 7 * time.Second, -7 * time.Second}
	binary := build(t, "./test/nodes/skewed")
	i := 0
	c := start(t, setup{nodes: len(skews), behind: 3, each: func(n *node) {
		n.name, n.binary, n.environ = fmt.Sprintf("the node that is %s off", skews[i]), binary, []string{"SKEWED_BY=" + skews[i].String()}
		i++
	}})
	pages := c.crowd(t, 3, "ada")
	for _, n := range c.nodes[:3] {
		pages.goOnAt(t, n, 10)
	}
	for _, n := range c.nodes[3:] {
		eventually(t, n.name+" says that it is not ready, and why", func() bool {
			a := c.browser(t, n).do("GET", "/readyz", nil)
			return a.status == http.StatusServiceUnavailable && a.code == "store_unavailable" && strings.Contains(n.log.String(), "off the store's")
		})
	}
	// Every node takes what every other one has issued, and nobody's session suffers.
	for _, issuer := range c.nodes {
		page := c.browser(t, issuer)
		page.signIn(t, "ada")
		for _, n := range c.nodes {
			tab := page.tab(n)
			access := tab.cookie("access_token")
			if a := c.verify(t, n, access); a.status != http.StatusOK {
				t.Errorf("%s, token of %s: %s", n.name, issuer.name, a)
			}
			before := tab.cookie("access_token")
			tab.want(t, http.StatusOK, "GET", "/auth/user", nil)
			if tab.cookie("access_token") != before {
				t.Errorf("%s renewed the fresh token of %s", n.name, issuer.name)
			}
			parent := tab.cookie("refresh_token")
			tab.want(t, http.StatusOK, "POST", "/auth/token/refresh", nil)
			successor := tab.cookie("refresh_token")
			for _, other := range c.nodes { // a replay within the grace, by whatever clock
				tab.set("refresh_token", parent)
				page.tab(other).want(t, http.StatusOK, "POST", "/auth/token/refresh", nil)
				if got := generation(tab.cookie("refresh_token")); got != generation(successor) {
					t.Errorf("%s, replay at %s: generation %d, want %d", n.name, other.name, got, generation(successor))
				}
			}
		}
		page.want(t, http.StatusOK, "POST", "/auth/logout", nil)
	}
	pages.check(t)
}
