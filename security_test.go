package tokenjar_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// SECURITY.md names the test that attacks each rule. A name that is no test would be a promise nobody keeps.
func TestEveryTestThatSECURITYNamesExists(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		code.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+\*?`).FindAllString(string(text), -1)
	if len(names) < 50 {
		t.Fatalf("SECURITY.md names %d tests: is this still its form?", len(names))
	}
	for _, name := range names {
		want := "func " + name + "("
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			want = "func " + prefix
		}
		if !strings.Contains(code.String(), want) {
			t.Errorf("SECURITY.md names %s, which does not exist", name)
		}
	}
}
