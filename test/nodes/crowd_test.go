package nodes

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A crowd is pages that ask nginx for one thing after another. Whatever is done to the nodes, each of their answers has to
// be 200: nothing is refused, nobody is signed out.
type crowd struct {
	leave  sync.Once
	gone   chan struct{}
	wg     sync.WaitGroup
	served atomic.Int64

	mu    sync.Mutex
	nodes map[string]int // answers by the address of the node
	wrong []string
}

// pace is what a page waits between two questions: what is tested is not how many there may be.
const pace = 50 * time.Millisecond

// crowd signs n pages in and lets them loose.
func (c *cluster) crowd(t testing.TB, n int, user string) *crowd {
	t.Helper()
	w := &crowd{gone: make(chan struct{}), nodes: make(map[string]int)}
	t.Cleanup(w.end)
	for i := range n {
		page := c.browser(t, nil)
		page.signIn(t, user)
		w.wg.Go(func() {
			for step := i; ; step++ {
				select {
				case <-w.gone:
					return
				case <-time.After(pace):
				}
				method, path := http.MethodGet, "/auth/user"
				switch step % 4 {
				case 1: // the access cookie has run out: it is renewed on the way
					page.set("access_token", "")
				case 2:
					method, path = http.MethodPost, "/auth/token/refresh"
				case 3:
					path = "/auth/sessions"
				}
				a := page.do(method, path, nil)
				w.note(fmt.Sprintf("page %d: %s %s", i, method, path), a)
				if a.err != nil || a.status != http.StatusOK {
					return
				}
			}
		})
	}
	return w
}

func (w *crowd) note(what string, a answer) {
	w.served.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.err != nil || a.status != http.StatusOK {
		w.wrong = append(w.wrong, fmt.Sprintf("%s: %s (by %s)", what, a, a.header.Get("X-Node")))
		return
	}
	asked := strings.Split(a.header.Get("X-Node"), ", ") // those before the last were not there
	w.nodes[asked[len(asked)-1]]++
}

// from returns how many answers a node has given.
func (w *crowd) from(n *node) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[n.address]
}

// goOn waits for so many more answers.
func (w *crowd) goOn(t testing.TB, n int64) {
	t.Helper()
	from := w.served.Load()
	eventually(t, fmt.Sprint(n, " answers"), func() bool { return w.served.Load() >= from+n || w.unhappy() })
}

// goOnAt waits until a node has given so many more answers.
func (w *crowd) goOnAt(t testing.TB, n *node, answers int) {
	t.Helper()
	from := w.from(n)
	eventually(t, fmt.Sprint(answers, " answers by ", n.name), func() bool { return w.from(n) >= from+answers || w.unhappy() })
}

func (w *crowd) unhappy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.wrong) > 0
}

func (w *crowd) end() {
	w.leave.Do(func() { close(w.gone) })
	w.wg.Wait()
}

// check ends the crowd and fails the test if anybody was told anything but what was asked for.
func (w *crowd) check(t testing.TB) {
	t.Helper()
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) > 0 {
		t.Errorf("of %d answers, %d were wrong:\n%s", w.served.Load(), len(w.wrong), strings.Join(w.wrong, "\n"))
	}
	t.Logf("%d answers, by node: %v", w.served.Load(), w.nodes)
}
