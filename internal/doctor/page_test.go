package doctor_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/doctor"
)

var row = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|.*$")

// Every finding has one row in the page, with what mends it, and no row is of a finding that there is not.
func TestThePageExplainsEachFinding(t *testing.T) {
	text, err := os.ReadFile("../../docs/howto/cookies-not-set.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] != "" {
			t.Errorf("%s has two rows", m[1])
		}
		rows[m[1]] = m[0]
	}
	fill := strings.NewReplacer("{url}", public, "{host}", host, "{origin}", sibling).Replace
	for _, k := range doctor.Kinds() {
		for _, line := range []string{k.Setting, k.Nginx} {
			if line = fill(line); !strings.Contains(rows[k.Name], line) {
				t.Errorf("the row of %s does not have %s", k.Name, line)
			}
		}
		if k.Note != strings.Contains(rows[k.Name], "a note |") {
			t.Errorf("whether %s is a note is not what its row says", k.Name)
		}
		if rows[k.Name] == "" {
			t.Errorf("%s has no row", k.Name)
		}
		delete(rows, k.Name)
	}
	for name := range rows {
		t.Errorf("there is no finding %s", name)
	}
}
