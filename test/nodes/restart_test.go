package nodes

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// Three nodes are stopped and started again, one after the other, while pages are at work: none of them sees anything but
// its answers.
func TestARollingRestartIsSeenByNobody(t *testing.T) {
	t.Parallel()
	c := start(t, setup{nodes: 3, settings: map[string]string{"LOG_LEVEL": "warn"}})
	pages := c.crowd(t, 4, "ada")
	for _, n := range c.nodes {
		pages.goOnAt(t, n, 10)
	}
	for _, n := range c.nodes {
		n.stop(t)
		pages.goOn(t, 20)
		n.start(t)
		n.waitReady(t)
		pages.goOnAt(t, n, 10) // before the next one: nginx has noticed
	}
	pages.check(t)
}

// A second server on one SQLite file is refused: what one of them revokes the other would not know at once.
func TestASecondServerOnOneSQLiteFileIsRefused(t *testing.T) {
	t.Parallel()
	secret := tokenjar.GenerateSecret() + "\n"
	n := newNode(t, "the first", build(t, "./cmd/tokenjar"), secret, map[string]string{"PUBLIC_URL": "http://localhost:8080"})
	n.start(t)
	second := n.exec("serve", "--listen", address(t))
	var log output
	p, err := run(second, &log)
	if err != nil {
		t.Fatal(err)
	}
	err = p.wait()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(log.String(), "one database is for one server") {
		t.Errorf("got %v: %s", err, log.String())
	}
	n.waitReady(t)
}
