package tokenjar_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// These documents name the tests that attack what they promise, at least so many. A name that is no test would be a promise
// nobody keeps.
func TestEveryTestThatADocumentNamesExists(t *testing.T) {
	code := allTests(t)
	for document, atLeast := range map[string]int{"SECURITY.md": 50, "docs/why/rotation.md": 20} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+\*?`).FindAllString(string(text), -1)
		if len(names) < atLeast {
			t.Fatalf("%s names %d tests: is this still its form?", document, len(names))
		}
		for _, name := range names {
			want := "func " + name + "("
			if prefix, ok := strings.CutSuffix(name, "*"); ok {
				want = "func " + prefix
			}
			if !strings.Contains(code, want) {
				t.Errorf("%s names %s, which does not exist", document, name)
			}
		}
	}
}

// The twelve rules of the rotation contract each have tests that bear their number: of the service, and over HTTP.
func TestEveryRuleOfTheRotationContractHasItsTests(t *testing.T) {
	for _, room := range []string{".", "httpapi"} {
		files, err := filepath.Glob(filepath.Join(room, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatal("no tests in ", room, err)
		}
		var code strings.Builder
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(data)
		}
		for rule := 1; rule <= 12; rule++ {
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^func TestR%d[A-Z]\w+\(t \*testing\.T\)`, rule)).MatchString(code.String()) {
				t.Errorf("%s: no test of rule R%d", room, rule)
			}
		}
	}
}

// allTests returns the text of every test file.
func allTests(t *testing.T) string {
	t.Helper()
	var code strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
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
	return code.String()
}
