package tokenjar_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The README of the client is shown on npm as well, where a path into the repository leads nowhere. That what the links name is there is seen by
// TestEveryLinkInADocumentResolves.
func TestTheClientsPackageSaysWhereItComesFrom(t *testing.T) {
	text, err := os.ReadFile("client/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Repository struct{ Type, URL, Directory string }
		Homepage   string
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	if r := manifest.Repository; r.Type != "git" || r.URL != "git+"+strings.TrimSuffix(home, "/")+".git" || r.Directory != "client" {
		t.Errorf("repository: got %+v", r)
	}
	if manifest.Homepage != home+"tree/main/client#readme" {
		t.Errorf("homepage: got %s", manifest.Homepage)
	}
	readme, err := os.ReadFile("client/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range linkPattern.FindAllStringSubmatch(fencePattern.ReplaceAllString(string(readme), ""), -1) {
		if !strings.HasPrefix(m[1], "https://") && !strings.HasPrefix(m[1], "#") {
			t.Errorf("README.md: %s is a path, which npm does not follow: write %sblob/main/…", m[1], home)
		}
	}
}
