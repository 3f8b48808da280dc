package main

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenjar/tokenjar/internal/cli"
	"github.com/tokenjar/tokenjar/test/figures/bare"
)

// The test binary is both programs: called by their names it is nothing else.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tokenjar": func() { os.Exit(cli.Main()) },
		"bare":     bare.Main,
	})
}

func program(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What the figures are, nobody asserts: the machine decides.
func TestEveryRowHasAFigureBesideTheBareOne(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("figures are taken from Linux's /proc")
	}
	var out strings.Builder
	r := &run{
		size: size{rounds: 1, window: 50 * time.Millisecond, users: 2, others: 1, clients: []int{1, 2}, starts: 1, few: 10, many: 2000},
		dir:  t.TempDir(), tokenjar: program(t, "tokenjar"), bare: program(t, "bare"), out: &out,
	}
	dir, err := r.prepare(r.users, 0)
	if err != nil {
		t.Fatal(err)
	}
	server, err := start(dir, r.tokenjar, "serve")
	if err != nil {
		t.Fatal(err)
	}
	defer server.kill()
	l := &loginRun{run: r, server: server, slots: bare.Slots()}
	for name, measure := range map[string]func() error{
		"share": l.share, "bystanders": l.bystanders, "refresh": r.refresh, "million": r.million,
	} {
		if err := measure(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	const figure = `[\d.]+ \[[\d.]+–[\d.]+\]`
	for what, row := range map[string]string{
		"share of the raw rate":  `\| sign-ins a second at saturation, slots: \d+ \| ` + figure + ` \| ` + figure + ` Argon2id \| ` + figure + ` \|`,
		"requests beside it":     `\| the same while the slots are never empty \| ` + figure + ` ms \| ` + figure + ` ms \| ` + figure + ` \|`,
		"time within the server": `\| of that within the server, as its log says \| ` + figure + ` ms \|`,
		"refreshes of 2 clients": `\| 2( \| ` + figure + `){6} \|`,
		"start with sessions":    `\| start to ready, after kill -9 \(1 starts\) \| ` + figure + ` ms \| ` + figure + ` ms \| ` + figure + ` \|`,
		"size of the database":   `\| the database file \| [\d.]+ MB \| 0\.0\d+ MB \| 1\d\.\d \|`,
	} {
		if !regexp.MustCompile(row).MatchString(out.String()) {
			t.Errorf("%s: no such row in:\n%s", what, out.String())
		}
	}
}

func TestSpread(t *testing.T) {
	for _, row := range []struct {
		name   string
		values []float64
		want   string
	}{
		{"of nothing", nil, "0 [0–0]"},
		{"of one", []float64{0.9812}, "0.981 [0.981–0.981]"},
		{"odd number: the one in the middle", []float64{3, 1, 20}, "3.00 [1.00–20.0]"},
		{"even number: between the two in the middle", []float64{4, 1, 2, 1000}, "3.00 [1.00–1000]"},
		{"large figures keep what stands before the point", []float64{17512.4}, "17512 [17512–17512]"},
	} {
		if got := spreadOf(row.values).String(); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	times := make([]time.Duration, 100)
	for i := range times {
		times[i] = time.Duration(100 - i)
	}
	if got := percentile(times, 0.99); got != 100 {
		t.Errorf("p99 of 1 to 100: got %d, want 100", got)
	}
}

func TestReadsWhatOthersReport(t *testing.T) {
	mb, err := statusField("Name:\ttokenjar\nVmHWM:\t  103516 kB\nVmRSS:\t   91012 kB\n", "VmHWM")
	if err != nil || number(mb) != "106" {
		t.Errorf("VmHWM of 103516 kB: got %v and %v, want 106 MB", mb, err)
	}
	if _, err := statusField("Name:\tx\n", "VmRSS"); err == nil {
		t.Error("a missing field: got no error")
	}
	cpu, err := statCPU("77 (a) b (c) S 1 77 77 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 1")
	if err != nil || cpu != 3*time.Second {
		t.Errorf("utime 250, stime 50: got %v and %v, want 3s", cpu, err)
	}
	metrics := benchmarkMetrics([]byte("goos: linux\n" +
		"BenchmarkRotate/flush=0s/clients=8-2 \t 5 \t 700.5 alone/s \t 3.45 ratio \t 2185 rotations/s\n" +
		"BenchmarkRotate/flush=0s/clients=8-2 \t 5 \t 700.5 alone/s \t 4 ratio \t 2300 rotations/s\nPASS\n"))
	want := []float64{3.45, 4}
	if got := metrics["BenchmarkRotate/flush=0s/clients=8"]["ratio"]; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("ratios: got %v of %v, want %v", got, maps.Collect(maps.All(metrics)), want)
	}
	once := measured{"B": {"ms": {2}, "ms-least": {1}, "ms-most": {3}, "s": {4}, "twice": {1, 2}}}
	if cells, err := once.cells("B", "s", "ms+"); err != nil || strings.Join(cells, ", ") != "4.00, 2.00 [1.00–3.00]" {
		t.Errorf("cells: got %v and %v", cells, err)
	}
	for _, unit := range []string{"twice", "missing", "s+"} {
		if _, err := once.cells("B", unit); err == nil {
			t.Errorf("%s: got no error", unit)
		}
	}
	found, err := countCases([]byte(`{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/b"}
{"Action":"output","Package":"p","Test":"TestA","Output":"x"}
{"Action":"skip","Package":"p","Test":"TestA/b"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p"}`))
	if err != nil || found != (cases{run: 2, skipped: 1}) {
		t.Errorf("cases: got %+v and %v, want 2, of which 1 skipped", found, err)
	}
	times := handledTimes(`{"msg":"request","path":"/a","status":200,"took_ms":1.5}
{"msg":"request","path":"/a","status":503,"took_ms":2}
{"msg":"request","path":"/b","status":200,"took_ms":3}
{"msg":"request","path":"/a","status":200,"took_ms":4`, "/a", 200)
	if len(times) != 1 || times[0] != 1500*time.Microsecond {
		t.Errorf("times in the log: got %v, want 1.5ms", times)
	}
	if got := browserCases([]byte("✔ ends\nℹ tests 13\nℹ pass 12\nℹ fail 0\n")); got != 12 {
		t.Errorf("browser tests: got %d, want 12", got)
	}
}
