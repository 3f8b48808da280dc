package middleware_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A program that only verifies tokens gets no SQL, no OpenAPI, no command line, no sessions and no password hashing, and
// at most three modules beside ours.
func TestWhatAProgramThatOnlyVerifiesTokensGets(t *testing.T) {
	const ours = "github.com/tokenjar/tokenjar"
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}{{else}}{{.ImportPath}}{{end}}",
		ours+"/token", ours+"/middleware", ours+"/jwks").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules, packages := map[string]bool{}, 0
	for line := range strings.Lines(string(out)) {
		path, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		packages++
		switch rest, own := strings.CutPrefix(path, ours); {
		case own && slices.Contains([]string{"/token", "/middleware", "/jwks", "/cookie", "/csrf", "/problem"}, rest):
		case own && strings.HasPrefix(rest, "/internal/") && !strings.HasPrefix(rest, "/internal/server") && !strings.HasPrefix(rest, "/internal/cli"):
		case own:
			t.Errorf("it gets %s", path)
		case path == "database/sql" || path == "testing" || path == "os/exec" || path == "flag":
			t.Errorf("it gets %s", path)
		case module != "":
			modules[module] = true
		}
	}
	if packages < 50 {
		t.Fatalf("only %d packages are listed: is this the right list?", packages)
	}
	if len(modules) > 3 {
		t.Errorf("it adds %d modules: %v", len(modules), modules)
	}
	t.Log("modules added:", modules)
}
