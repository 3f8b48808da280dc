package nodes

import (
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// One node is cut off from the database, and the process of another is frozen. What cannot be known is 503, never 401, and
// takes no cookie away; a session that ended elsewhere meanwhile is not let in by a node that has come back, not even with
// the request that waited for it; and the others never notice.
func TestF18F27ANodeIsCutOffAndAnotherOneFrozen(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	cable := newFault(t, dsn)
	c := start(t, setup{nodes: 3, behind: 1, database: dsn, each: func(n *node) {
		if n.name == "node 2" {
			n.settings["DATABASE"] = cable.dsn
		}
	}})
	well, cut, frozen := c.nodes[0], c.nodes[1], c.nodes[2]
	cut.waitReady(t)
	frozen.waitReady(t)
	pages := c.crowd(t, 1, "ada") // of the first node alone

	stays, shortly, ends := c.browser(t, well), c.browser(t, well), c.browser(t, well)
	for _, page := range []*browser{stays, shortly, ends} {
		page.signIn(t, "ada")
		for _, n := range c.nodes { // they have verified the token, and know of no end
			page.tab(n).want(t, http.StatusOK, "GET", "/auth/user", nil)
		}
	}

	// Frozen for a moment: longer than the bound, not so long that the news are stale.
	frozen.signal(t, syscall.SIGSTOP)
	endOf(t, shortly, frozen, 2500*time.Millisecond)

	// Frozen for so long that they are; and cut off.
	frozen.signal(t, syscall.SIGSTOP)
	cable.cut()
	began := time.Now()
	page := stays.tab(cut)
	var f faults
	for _, request := range [][2]string{{"POST", "/auth/token/refresh"}, {"GET", "/auth/user"}, {"GET", "/auth/sessions"}} {
		asked := time.Now()
		a := page.do(request[0], request[1], nil)
		took := time.Since(asked)
		t.Logf("cut off, %s %s: %d after %s", request[0], request[1], a.status, took.Round(time.Millisecond))
		f.judge(request[0]+" "+request[1], a.status, a.header)
		if a.err != nil || a.status != http.StatusServiceUnavailable || took > 30*time.Second {
			t.Errorf("cut off, %s %s: %s after %s, want 503", request[0], request[1], a, took)
		}
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { endOf(t, ends, frozen, tokenjar.MaxStaleness+2*time.Second-time.Since(began)) })
	access := ends.cookie("access_token")
	last := time.Duration(0)
	for stale := false; !stale; {
		asked := time.Since(began)
		switch a := c.verify(t, cut, access); a.status {
		case http.StatusOK:
			last = asked
		case http.StatusServiceUnavailable:
			stale = true
			f.judge("verify", a.status, a.header)
		default:
			t.Fatalf("cut off: %s, want 200 or 503", a)
		}
		if asked > patience {
			t.Fatalf("cut off for %s it still lets everybody in", asked)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("cut off, it let tokens in for %s", last.Round(time.Millisecond))
	if last > tokenjar.MaxStaleness+time.Second {
		t.Errorf("it let tokens in for %s, want %s at most", last, tokenjar.MaxStaleness)
	}
	if cut.ready() {
		t.Error("it says that it is ready")
	}
	waiting.Wait()

	cable.mend()
	mended := time.Now()
	eventually(t, "the node that was cut off goes on", func() bool {
		ended, kept := c.verify(t, cut, access), page.do("POST", "/auth/token/refresh", nil)
		if ended.status == http.StatusOK {
			t.Fatal("a session that ended while the node was cut off is let in afterwards")
		}
		if kept.status != http.StatusOK && kept.status != http.StatusServiceUnavailable {
			t.Fatalf("afterwards: %s", kept)
		}
		f.judge("afterwards", kept.status, kept.header)
		return ended.code == "token_revoked" && kept.status == http.StatusOK
	})
	t.Logf("it went on %s after it could", time.Since(mended).Round(time.Millisecond))
	cut.waitReady(t)
	f.check(t)
	for _, n := range c.nodes {
		stays.tab(n).want(t, http.StatusOK, "GET", "/auth/user", nil)
	}
	pages.check(t)
}

// endOf ends a page's session at its node while another one is frozen, keeps that frozen for a while longer, and lets it go
// on when a request with the page's access token is already waiting there: it must not be let in.
func endOf(t *testing.T, page *browser, frozen *node, longer time.Duration) {
	access := page.cookie("access_token")
	if a := page.do("POST", "/auth/logout", nil); a.status != http.StatusOK {
		t.Errorf("sign-out: %s", a)
	}
	time.Sleep(longer) // the time that it is frozen is what is tested
	asked, told := make(chan struct{}), make(chan answer)
	go func() {
		other := page.cluster.browser(t, frozen)
		close(asked)
		told <- other.do("POST", "/auth/token/verify", map[string]string{"token": access})
	}()
	<-asked
	time.Sleep(50 * time.Millisecond) // the kernel takes the request for it
	frozen.signal(t, syscall.SIGCONT)
	if a := <-told; a.code != "token_revoked" {
		t.Errorf("after the node was frozen, the request that waited for it: %s, want token_revoked", a)
	}
}
