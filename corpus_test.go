package tokenjar_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// Each fuzz target of the rooms that read what strangers send begins with inputs that are kept under testdata/fuzz and run
// with every test: without any, it would pass and try nothing. None is left of a target that is gone.
func TestEveryFuzzTargetHasACorpus(t *testing.T) {
	const least = 3
	for room, count := range map[string]int{"token": 7, "internal/tokencache": 1, "cookie": 3, "csrf": 2} {
		files, err := filepath.Glob(filepath.Join(room, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var targets []string
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range fuzzTarget.FindAllSubmatch(text, -1) {
				targets = append(targets, string(m[1]))
			}
		}
		if len(targets) != count {
			t.Errorf("%s: got the targets %v, want %d", room, targets, count)
		}
		for _, target := range targets {
			inputs, err := filepath.Glob(filepath.Join(room, "testdata", "fuzz", target, "*"))
			if err != nil || len(inputs) < least {
				t.Errorf("%s %s: got %d inputs, %v, want at least %d", room, target, len(inputs), err, least)
			}
			for _, input := range inputs {
				if text, err := os.ReadFile(input); err != nil || !strings.HasPrefix(string(text), "go test fuzz v1\n") {
					t.Errorf("%s: %v, or it is no input", input, err)
				}
			}
		}
		kept, err := os.ReadDir(filepath.Join(room, "testdata", "fuzz"))
		if err != nil {
			t.Error(err)
		}
		for _, folder := range kept {
			if !slices.Contains(targets, folder.Name()) {
				t.Errorf("%s/testdata/fuzz/%s: there is no such target", room, folder.Name())
			}
		}
	}
}
