// Package vectors reads the test vectors of Project Wycheproof (C2SP, Apache-2.0) and the redirect targets of oauth2-proxy (MIT)
// for tests. The files stay outside the repository: TOKENJAR_VECTORS names their folder.
package vectors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Read decodes one file. It skips the test where there are none, unless TOKENJAR_REQUIRE_ALL is 1: then it fails.
func Read(t testing.TB, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(read(t, name), into); err != nil {
		t.Fatal(err)
	}
}

// Lines returns the lines of one file. It skips as Read does.
func Lines(t testing.TB, name string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(string(read(t, name))) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	folder := os.Getenv("TOKENJAR_VECTORS")
	if folder == "" {
		if os.Getenv("TOKENJAR_REQUIRE_ALL") == "1" {
			t.Fatal("TOKENJAR_REQUIRE_ALL is set, but TOKENJAR_VECTORS names no folder with the test vectors")
		}
		t.Skip("TOKENJAR_VECTORS names no folder with the test vectors")
	}
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
