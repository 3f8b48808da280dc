// Command figures measures the program from outside, as its users meet it, and prints the tables of docs/performance.md
// that say so. Each figure stands beside the bare thing, measured in turns with it in the same run; only the ratios are
// worth comparing between machines.
//
//	go run ./test/figures                  sign-in, refresh and process: about three minutes
//	go run ./test/figures refresh process  some of the parts
//	go run ./test/figures requests         behind our guard and behind others, beside a bare handler: it needs wrk
//	go run ./test/figures rows             one of the parts with a million sessions: rows, sustained, prune, million
//	go run ./test/figures nodes            several nodes on one PostgreSQL, behind nginx
//	go run ./test/figures proxy streams    a request through the proxy, beside nginx and httputil: it needs nginx and wrk
//	go run ./test/figures suite            the test suite: its time and its number of cases
//
// It reads Linux's /proc. Client and server share the machine, so a quiet one with at least two cores is needed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A run is one run of this program.
type run struct {
	size
	module         string // the folder of go.mod
	dir            string // for databases and binaries; removed at the end
	tokenjar, bare string // binaries
	out            io.Writer
}

// size is how much is measured.
type size struct {
	rounds   int           // paired rounds of each ratio
	window   time.Duration // of one side of a round
	users    int           // in the database, each of whom signs in once or more
	sessions int           // in the database of a start, or opened before memory is read
	starts   int           // of a process
	settle   time.Duration // before memory counts as idle
	others   int           // browsers that do something beside the one that is measured
	waiting  int           // sign-ins that wait for a slot: as many as the queue has places
	beyond   int           // sign-ins beyond them, which are refused
	clients  []int         // who refresh at once
	few      int           // sessions in a small table
	many     int           // and in a large one
	sockets  int           // WebSockets open at once
	unused   int           // connections without a request
}

var usual = size{
	rounds: 5, window: time.Second, users: 1000, sessions: 1000, starts: 21, settle: 10 * time.Second,
	others: 8, waiting: 64, beyond: 32, clients: []int{1, 8, 64}, few: 1000, many: 1_000_000, sockets: 2_000, unused: 10_000,
}

// parts are what can be measured.
var parts = []struct {
	name    string
	measure func(*run) error
}{
	{"login", (*run).login}, {"refresh", (*run).refresh}, {"store", (*run).store}, {"process", (*run).process},
	{"requests", (*run).requests}, {"rows", (*run).rows}, {"sustained", (*run).sustained}, {"prune", (*run).prune},
	{"million", (*run).million}, {"nodes", (*run).nodes},
	{"proxy", (*run).proxy}, {"streams", (*run).streams}, {"suite", (*run).suite},
}

func main() {
	dir := flag.String("dir", "", "`folder` for the databases: on the kind of disk that is to be measured (default the temporary one)")
	flag.Parse()
	if err := figures(*dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// figures measures the named parts, or those of the first line.
func figures(dir string, names []string) (err error) {
	if len(names) == 0 {
		names = []string{"login", "refresh", "store", "process"}
	}
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	r := &run{size: usual, module: filepath.Dir(strings.TrimSpace(string(gomod))), out: os.Stdout}
	if r.dir, err = os.MkdirTemp(dir, "tokenjar-figures-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	r.tokenjar, r.bare = filepath.Join(r.dir, "tokenjar"), filepath.Join(r.dir, "bare")
	for path, pkg := range map[string]string{r.tokenjar: "./cmd/tokenjar", r.bare: "./test/figures/bare/program"} {
		if err := r.build(path, pkg); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.out, "%s, %s, %d cores. Median of %d paired rounds [least–most] unless it says otherwise.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOMAXPROCS(0), r.rounds)
	for _, name := range names {
		measure := func(*run) error { return fmt.Errorf("there is no part %q", name) }
		for _, p := range parts {
			if p.name == name {
				measure = p.measure
			}
		}
		begin := time.Now()
		if err := measure(r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "%s took %s\n", name, time.Since(begin).Round(time.Second))
	}
	return nil
}

// build builds a package of this module.
func (r *run) build(path, pkg string, flags ...string) error {
	args := append(append([]string{"build", "-o", path}, flags...), pkg)
	build := exec.Command("go", args...)
	build.Dir, build.Stdout, build.Stderr = r.module, os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}

// table prints the head of a table, row one of its rows.
func (r *run) table(title string, columns ...string) {
	fmt.Fprintf(r.out, "\n## %s\n\n", title)
	r.row(columns...)
	r.row(strings.Split(strings.Repeat("---,", len(columns)-1)+"---", ",")...)
}

func (r *run) row(cells ...string) { fmt.Fprintf(r.out, "| %s |\n", strings.Join(cells, " | ")) }
