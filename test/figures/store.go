package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// stores are packages whose benchmarks have the same names and report the same units. One more is one more row.
var stores = []struct{ name, pkg string }{
	{"SQLite, `synchronous=FULL`", "./store/sqlite"},
}

// ofStores runs a benchmark of every store and gives what each has reported to row.
func (r *run) ofStores(benchmark string, row func(store string, m measured) error, flags ...string) error {
	for _, s := range stores {
		out, err := r.benchmark([]string{"TMPDIR=" + r.dir}, s.pkg, benchmark, flags...) // it puts its databases there
		if err != nil {
			return err
		}
		if err := row(s.name, benchmarkMetrics(out)); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	return nil
}

// benchmark runs a benchmark of a package, with more in its environment, and returns what it prints.
func (r *run) benchmark(environ []string, pkg, name string, flags ...string) ([]byte, error) {
	bench := exec.Command("go", append([]string{"test", "-run", "^$", "-bench", "^Benchmark" + name + "$"}, append(flags, pkg)...)...)
	bench.Dir, bench.Stderr = r.module, os.Stderr
	bench.Env = append(os.Environ(), environ...)
	out, err := bench.Output()
	if err != nil {
		return nil, fmt.Errorf("benchmark: %w\n%s", err, out)
	}
	return out, nil
}

// store measures commits that are shared against one transaction each.
func (r *run) store() error {
	r.table("Refresh rotations in the store",
		"store", "clients", "ratio", "rotations/s", "aim", "ratio with 1 ms flush", "rotations/s", "aim")
	return r.ofStores("Rotate", func(store string, m measured) error {
		for _, clients := range benchmarkClients {
			here, slow := "–", "–"
			if clients == 64 {
				here, slow = "≥ 4", "≥ 10"
			}
			cells := []string{store, fmt.Sprint(clients)}
			for _, each := range []struct{ flush, aim string }{{"0s", here}, {"1ms", slow}} {
				name := fmt.Sprintf("BenchmarkRotate/flush=%s/clients=%d", each.flush, clients)
				ratio, rate := m[name]["ratio"], m[name]["rotations/s"]
				if len(ratio) == 0 {
					return fmt.Errorf("%s reports no ratio", name)
				}
				cells = append(cells, spreadOf(ratio).String(), number(spreadOf(rate).median), each.aim)
			}
			r.row(cells...)
		}
		return nil
	}, "-benchtime", "3x", "-count", fmt.Sprint(r.rounds))
}

var benchmarkClients = []int{1, 8, 64}

// rows measures a table of 10⁶ sessions against one of 10³.
func (r *run) rows() error {
	r.table("Rotations in a small table and a large one", "store", "flush", "clients", "10³ sessions, rotations/s", "10⁶", "ratio", "aim")
	return r.ofStores("Rows", func(store string, m measured) error {
		for _, flush := range []struct{ name, text string }{{"0s", "the disk's"}, {"1ms", "1 ms longer"}} {
			for _, clients := range benchmarkClients {
				name := fmt.Sprintf("BenchmarkRows/flush=%s/clients=%d", flush.name, clients)
				cells, err := m.cells(name, "few/s", "many/s", "ratio+")
				if err != nil {
					return err
				}
				r.row(append(append([]string{store, flush.text, fmt.Sprint(clients)}, cells...), "≥ 0.9")...)
			}
		}
		return nil
	}, "-benchtime", "1x")
}

// sustained measures a minute of load on 10⁶ sessions.
func (r *run) sustained() error {
	r.table("64 clients for a minute, 10⁶ sessions", "store", "rotations/s, in six times ten seconds", "bare commits/s, one after another",
		"p50 ms", "p99 ms", "longest ms", "log at the end, MB", "at most, MB", "aim: rotations/s, p99")
	return r.ofStores("Sustained", func(store string, m measured) error {
		cells, err := m.cells("BenchmarkSustained", "rotations/s+", "bare/s", "p50-ms", "p99-ms", "longest-ms", "log-MB", "log-MB-most")
		if err != nil {
			return err
		}
		r.row(append(append([]string{store}, cells...), "≥ 13,000, ≤ 8 ms")...)
		return nil
	}, "-benchtime", "1x")
}

// prune measures what rotations wait while sessions are deleted.
func (r *run) prune() error {
	r.table("8 clients while 10⁵ sessions of 1.1 · 10⁶ are pruned", "store", "pruned in s", "p99 ms", "p99 without",
		"longest wait ms", "longest without", "aim")
	return r.ofStores("Prune", func(store string, m measured) error {
		cells, err := m.cells("BenchmarkPrune", "s", "p99-ms", "p99-ms-alone", "longest-ms+", "longest-ms-alone+")
		if err != nil {
			return err
		}
		r.row(append(append([]string{store}, cells...), "≤ 50 ms")...)
		return nil
	}, "-benchtime", "1x")
}

// requests has the command of that name print its table: it needs other libraries, so it is in another module.
func (r *run) requests() error {
	command := exec.Command("go", "run", "./requests")
	command.Dir, command.Stdout, command.Stderr = r.module+"/test/peers", r.out, os.Stderr
	fmt.Fprint(r.out, "\n## Cookie-authenticated request over loopback\n\n")
	return command.Run()
}

// measured is what benchmarks reported: for each name the values of each unit.
type measured map[string]map[string][]float64

// cells writes units of a benchmark that ran once. A unit with a + has a spread of its own beside it.
func (m measured) cells(name string, units ...string) (cells []string, err error) {
	one := func(unit string) (v float64) {
		if values := m[name][unit]; len(values) == 1 {
			return values[0]
		}
		err = fmt.Errorf("%s reports no %s, or more than one", name, unit)
		return 0
	}
	for _, unit := range units {
		if unit, many := strings.CutSuffix(unit, "+"); many {
			cells = append(cells, spread{one(unit), one(unit + "-least"), one(unit + "-most")}.String())
		} else {
			cells = append(cells, number(one(unit)))
		}
	}
	return cells, err
}

// benchmarkMetrics reads the lines of go test -bench, whose names end in the number of processors.
func benchmarkMetrics(out []byte) measured {
	found := make(measured)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := fields[0]
		if dash := strings.LastIndexByte(name, '-'); dash > 0 {
			name = name[:dash]
		}
		if found[name] == nil {
			found[name] = make(map[string][]float64)
		}
		for pair := range slices.Chunk(fields[2:], 2) {
			if value, err := strconv.ParseFloat(pair[0], 64); err == nil && len(pair) == 2 {
				found[name][pair[1]] = append(found[name][pair[1]], value)
			}
		}
	}
	return found
}
