package nodes

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/history"
	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/internal/stress"
)

// longGrace is for tests of what holds within the grace, however busy the machine is.
const longGrace = "60s"

// The whole server is killed in mid-storm and started again, on SQLite. What it had answered holds: no session and no end
// of one is lost, and no token was spent twice.
func TestF01AServerOnSQLiteIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	n := newNode(t, "the server", build(t, "./cmd/tokenjar"), tokenjar.GenerateSecret()+"\n", map[string]string{
		"LIMITS_LOGIN_PER_ACCOUNT": "100000/s", "LIMITS_LOGIN_PER_ADDRESS": "100000/s", "SESSION_MAX_PER_USER": "1000000",
		"SESSION_GRACE": longGrace, "LOG_LEVEL": "warn",
	})
	n.settings["PUBLIC_URL"] = "http://localhost:" + n.address[strings.LastIndex(n.address, ":")+1:]
	n.command(t, thePassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin")
	n.start(t)
	c := &cluster{url: n.settings["PUBLIC_URL"], front: n.address, nodes: []*node{n}}
	t.Cleanup(c.closeIdle)
	s := c.storm(t, 4, "ada")
	rounds := stress.Times(t, 10)
	for round := range rounds {
		progress(t, round, rounds)
		s.goOn(t, 15)
		n.kill()
		n.start(t)
	}
	n.waitReady(t)
	s.goOn(t, 10)
	s.calm(t, history.Rules{Grace: true})
	t.Logf("%d rounds", rounds)
}

// progress says how far a long test is.
func progress(t testing.TB, done, of int) {
	if of >= 100 && done > 0 && done%(of/10) == 0 {
		t.Logf("%d of %d", done, of)
	}
}

// PostgreSQL is killed in mid-storm and started again, and so is one of the nodes. While the database is away every answer is
// 503 with Retry-After, never 401, and cookies stay; soon after it is back everything goes on, and what was answered holds.
func TestF02PostgreSQLIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t)
	c := start(t, setup{database: db.TCP(), settings: map[string]string{"SESSION_GRACE": longGrace, "LOG_LEVEL": "warn"}})
	s := c.storm(t, 4, "ada")
	page := c.browser(t, nil)
	page.signIn(t, "ada")
	var recovered []time.Duration
	rounds := stress.Times(t, 4)
	for round := range rounds {
		progress(t, round, rounds)
		s.goOn(t, 20)
		db.Kill(t)
		refused := s.refused.Load()
		eventually(t, "503", func() bool { return s.refused.Load() >= refused+5 })
		outage(t, page)
		db.Start(t)
		up := time.Now()
		for _, n := range c.nodes {
			tab := page.tab(n)
			eventually(t, n.name+" goes on", func() bool {
				a := tab.do("POST", "/auth/token/refresh", nil)
				if a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
					t.Fatalf("round %d, %s after the outage: %s", round, n.name, a)
				}
				return a.status == http.StatusOK
			})
		}
		recovered = append(recovered, time.Since(up))
		if round == 0 {
			s.goOn(t, 10)
			c.nodes[0].kill()
			s.goOn(t, 10)
			c.nodes[0].start(t)
		}
	}
	for _, n := range c.nodes {
		n.waitReady(t)
	}
	s.goOn(t, 10)
	s.calm(t, history.Rules{Grace: true, ReadLag: lagBound})
	worst := percentile(recovered, 1)
	t.Logf("%d rounds; all nodes went on within %s of the database being back, at the median %s", rounds, worst, percentile(recovered, .5))
	if worst > 30*time.Second { // the aim is 5 s; a machine that does ten other things gets more
		t.Errorf("a node went on only %s after the database", worst)
	}
}

// outage checks that a page that is signed in is told to wait, in whichever way it asks, and keeps its cookies.
func outage(t testing.TB, page *browser) {
	t.Helper()
	access := page.cookie("access_token")
	defer page.set("access_token", access)
	var f faults
	for _, with := range []string{access, ""} { // without it, the page is renewed on the way
		for _, request := range [][2]string{{"GET", "/auth/user"}, {"POST", "/auth/token/refresh"}, {"GET", "/auth/sessions"}} {
			page.set("access_token", with)
			var a answer
			eventually(t, request[1]+" is 503", func() bool { // a connection that was in use may outlive the server for a moment
				a = page.do(request[0], request[1], nil)
				return a.err != nil || a.status != http.StatusOK
			})
			if a.err != nil || a.status != http.StatusServiceUnavailable {
				t.Errorf("%s %s in an outage: %s", request[0], request[1], a)
				continue
			}
			f.judge(request[0]+" "+request[1], a.status, a.header)
		}
	}
	f.check(t)
	if page.cookie("refresh_token") == "" || page.cookie("csrftoken") == "" {
		t.Error("an outage has taken a cookie away")
	}
}
