// Package vectors reads the test vectors of Project Wycheproof (C2SP, Apache-2.0) for tests. The files stay outside the
// repository: TOKENJAR_VECTORS names their folder.
package vectors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Read decodes one file. It skips the test where there are none, unless TOKENJAR_REQUIRE_ALL is 1: then it fails.
func Read(t testing.TB, name string, into any) {
	t.Helper()
	folder := os.Getenv("TOKENJAR_VECTORS")
	if folder == "" {
		if os.Getenv("TOKENJAR_REQUIRE_ALL") == "1" {
			t.Fatal("TOKENJAR_REQUIRE_ALL is set, but TOKENJAR_VECTORS names no folder with the Wycheproof files")
		}
		t.Skip("TOKENJAR_VECTORS names no folder with the Wycheproof files")
	}
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
