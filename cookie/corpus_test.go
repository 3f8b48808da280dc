package cookie_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each fuzz target begins with inputs that are kept under testdata/fuzz and run with every test; none of them is left of
// a target that is gone.
func TestEveryFuzzTargetHasACorpus(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`).FindAllSubmatch(text, -1) {
			targets = append(targets, string(m[1]))
		}
	}
	const least = 5
	for _, target := range targets {
		inputs, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
		if err != nil || len(inputs) < least {
			t.Errorf("%s: got %d inputs, %v, want at least %d", target, len(inputs), err, least)
		}
		for _, input := range inputs {
			if text, err := os.ReadFile(input); err != nil || !strings.HasPrefix(string(text), "go test fuzz v1\n") {
				t.Errorf("%s: %v, or it is no input", input, err)
			}
		}
	}
	dirs, err := os.ReadDir(filepath.Join("testdata", "fuzz"))
	if err != nil || len(targets) == 0 {
		t.Fatalf("got %v, and the targets %v", err, targets)
	}
	for _, dir := range dirs {
		if !slices.Contains(targets, dir.Name()) {
			t.Errorf("testdata/fuzz/%s: there is no such target", dir.Name())
		}
	}
}
