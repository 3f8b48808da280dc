package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// suite measures the test suite: how long make test takes from a cold test cache, and how many cases there are.
func (r *run) suite() error {
	var out bytes.Buffer
	begin := time.Now()
	test := exec.Command("make", "test")
	test.Dir, test.Env = r.module, append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -count=1")
	test.Stdout, test.Stderr = io.MultiWriter(&out, os.Stderr), os.Stderr
	if err := test.Run(); err != nil {
		return fmt.Errorf("make test: %w", err)
	}
	took := time.Since(begin)
	browser := browserCases(out.Bytes())

	var total cases
	for _, dir := range []string{r.module, filepath.Join(r.module, "examples")} {
		list := exec.Command("go", "test", "-json", "./...")
		list.Dir, list.Stderr = dir, os.Stderr
		events, err := list.Output()
		if err != nil {
			return fmt.Errorf("go test -json: %w", err)
		}
		found, err := countCases(events)
		if err != nil {
			return err
		}
		total.run, total.skipped = total.run+found.run, total.skipped+found.skipped
	}
	r.table("The test suite", "", "")
	r.row("`make test`, nothing cached (one run)", fmt.Sprintf("%.0f s", took.Seconds()))
	r.row("Go tests, with their subtests", fmt.Sprintf("%d, of which skipped %d", total.run, total.skipped))
	r.row("browser tests", fmt.Sprint(browser))
	return nil
}

type cases struct{ run, skipped int }

// countCases counts the tests, subtests, examples and seeds of fuzz targets in the events of go test -json.
func countCases(events []byte) (cases, error) {
	var c cases
	lines := bufio.NewScanner(bytes.NewReader(events))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var event struct{ Action, Test string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return c, fmt.Errorf("go test -json: %w: %s", err, lines.Text())
		}
		switch {
		case event.Test == "":
		case event.Action == "run":
			c.run++
		case event.Action == "skip":
			c.skipped++
		}
	}
	return c, lines.Err()
}

var nodePassed = regexp.MustCompile(`(?m)^\W*pass (\d+)$`)

// browserCases reads the closing lines of node --test.
func browserCases(out []byte) int {
	found := nodePassed.FindSubmatch(out)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}
