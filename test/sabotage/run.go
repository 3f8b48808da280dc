package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A bench runs tests of a module on a weakened product. Compiling and linking costs more than the tests do, so as many
// weakenings as possible are compiled together (see together.go) and one is switched on for each run.
type bench struct {
	module   string // its folder
	dir      string // for what is made
	parallel int
	all      []weakening

	together map[int]bool      // those that are compiled together, by place in all
	binaries map[string]string // tests compiled with them, by package
	skipped  map[string]bool   // tests that this machine cannot run, by package and name
}

// errEscaped says that the tests pass although the product is weaker.
var errEscaped = errors.New("no test fails")

// errSkipped says that the test needs what this machine lacks, so that nothing has been found out.
var errSkipped = errors.New("its test is skipped on this machine")

// newBench compiles the weakenings that can be compiled together, and the tests that are to catch them.
func newBench(ctx context.Context, module, dir string, parallel int, all []weakening) (*bench, error) {
	b := &bench{module: module, dir: dir, parallel: parallel, all: all,
		binaries: make(map[string]string), skipped: make(map[string]bool)}
	files, together, err := compose(module, all)
	if err != nil {
		return nil, err
	}
	b.together = together
	overlay, err := b.write("together", files)
	if err != nil {
		return nil, err
	}
	var packages []string
	for _, w := range all {
		if !slices.Contains(packages, w.pkg) {
			packages = append(packages, w.pkg)
		}
	}
	var mu sync.Mutex
	var bad []error
	b.each(packages, func(i int, pkg string) {
		binary := filepath.Join(dir, fmt.Sprintf("%d.test", i))
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, pkg)
		cmd.Dir = module
		out, err := cmd.CombinedOutput()
		mu.Lock()
		defer mu.Unlock()
		b.binaries[pkg] = binary
		if err != nil {
			bad = append(bad, fmt.Errorf("%s does not compile with its weakenings, which are named like files: %s", pkg, bytes.TrimSpace(out)))
		}
	})
	return b, errors.Join(append(bad, ctx.Err())...)
}

// each calls do for each name, as many at once as the bench has places.
func (b *bench) each(names []string, do func(i int, name string)) {
	var work sync.WaitGroup
	slots := make(chan struct{}, b.parallel)
	for i, name := range names {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			do(i, name)
		})
	}
	work.Wait()
}

// write puts texts into files of our own and returns the name of the overlay that sets them in the place of the module's.
func (b *bench) write(name string, files map[string][]byte) (overlay string, err error) {
	replace := make(map[string]string)
	for file, text := range files {
		own := filepath.Join(b.dir, fmt.Sprintf("%s-%d.go", name, len(replace)))
		if err := os.WriteFile(own, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(b.module, filepath.FromSlash(file))] = own
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(b.dir, name+".json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// passes reports which of the named tests do not pass as long as nothing is weakened. For those that this machine lacks
// something for, it notes so.
func (b *bench) passes(ctx context.Context) error {
	tests := make(map[string][]string) // by package
	for _, w := range b.all {
		if !slices.Contains(tests[w.pkg], w.test) {
			tests[w.pkg] = append(tests[w.pkg], w.test)
		}
	}
	var bad []error
	for pkg, names := range tests {
		r, err := b.switched(ctx, pkg, names, "")
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		for _, name := range names {
			switch r.outcome[name] {
			case "pass":
			case "skip":
				b.skipped[pkg+" "+name] = true
			case "":
				bad = append(bad, fmt.Errorf("%s has no test %s", pkg, name))
			default:
				bad = append(bad, fmt.Errorf("%s %s: %s, although nothing is weakened", pkg, name, r.outcome[name]))
			}
		}
	}
	return errors.Join(bad...)
}

// weaken runs the test of a weakening on the product that has it: nil if it fails, [errEscaped] if it passes,
// [errSkipped] if it cannot run here, another error when the table is out of date.
func (b *bench) weaken(ctx context.Context, i int) error {
	w := b.all[i]
	if b.skipped[w.pkg+" "+w.test] {
		return errSkipped
	}
	if b.together[i] {
		r, err := b.switched(ctx, w.pkg, []string{w.test}, strconv.Itoa(i))
		if err != nil {
			return err
		}
		return r.verdict(w.test)
	}
	text, err := w.edited(b.module)
	if err != nil {
		return err
	}
	overlay, err := b.write(strconv.Itoa(i), map[string][]byte{w.file: text})
	if err != nil {
		return err
	}
	r, err := b.alone(ctx, w.pkg, []string{w.test}, overlay)
	if err != nil {
		return err
	}
	return r.verdict(w.test)
}

// A result is what came of tests.
type result struct {
	built   error             // nil: it compiles
	outcome map[string]string // of each test that ran to its end: pass, fail, skip
}

// verdict says what a result means for a weakening that a test is to catch.
func (r result) verdict(test string) error {
	switch {
	case r.built != nil:
		return r.built
	case r.outcome[test] == "fail":
		return nil
	case r.outcome[test] == "pass":
		return errEscaped
	case r.outcome[test] == "skip":
		return errors.New("the test was skipped")
	}
	return errors.New("the test did not run")
}

// quiet are flags for tests that draw their cases: one that fails because it should is not worth a file beside them.
var quiet = map[string][]string{
	sqlite: {"-rapid.nofailfile"}, postgres: {"-rapid.nofailfile"}, memory: {"-rapid.nofailfile"},
}

// The race detector is left out: it finds other faults than these, and takes its time.
const timeout = "3m"

// switched runs tests that are compiled, with one weakening switched on, or with none.
func (b *bench) switched(ctx context.Context, pkg string, names []string, on string) (result, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "test2json", b.binaries[pkg], "-test.v=test2json",
		"-test.timeout=" + timeout, "-test.run=" + pattern(names)}, quiet[pkg]...)...)
	cmd.Dir = filepath.Join(b.module, filepath.FromSlash(pkg))
	cmd.Env = append(os.Environ(), switchName+"="+on)
	return events(ctx, cmd)
}

// alone compiles and runs tests with an overlay.
func (b *bench) alone(ctx context.Context, pkg string, names []string, overlay string) (result, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-vet=off", "-count=1", "-timeout=" + timeout,
		"-run", pattern(names), "-overlay", overlay, pkg}, quiet[pkg]...)...)
	cmd.Dir = b.module
	return events(ctx, cmd)
}

// events runs a command that prints events of tests. That it fails is nothing new: the events say why.
func events(ctx context.Context, cmd *exec.Cmd) (result, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		return result{}, err
	}
	r, err := readEvents(out)
	if err != nil {
		return result{}, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return r, ctx.Err()
}

// pattern selects exactly the named tests, which may be subtests.
func pattern(names []string) string {
	var alternatives []string
	for _, name := range names {
		var levels []string
		for level := range strings.SplitSeq(name, "/") {
			levels = append(levels, "^"+regexp.QuoteMeta(level)+"$")
		}
		alternatives = append(alternatives, strings.Join(levels, "/"))
	}
	return strings.Join(alternatives, "|")
}

// readEvents reads what go test -json prints (go doc test2json).
func readEvents(out []byte) (result, error) {
	r := result{outcome: make(map[string]string)}
	var compiler strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return result{}, fmt.Errorf("no event: %q", lines.Text())
		}
		switch e.Action {
		case "build-output":
			compiler.WriteString(e.Output)
		case "build-fail":
			r.built = fmt.Errorf("it does not compile: %s", strings.TrimSpace(compiler.String()))
		case "pass", "fail", "skip":
			if e.Test != "" {
				r.outcome[e.Test] = e.Action
			}
		}
	}
	return r, lines.Err()
}
