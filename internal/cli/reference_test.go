package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/cli"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md anew")

const referenceFile = "../../docs/reference/cli.md"

// TestReferencePageIsTheHelp: the page is what the commands say of themselves. go test ./internal/cli -update writes it
// anew.
func TestReferencePageIsTheHelp(t *testing.T) {
	want := referencePage(t)
	if *update {
		if err := os.WriteFile(referenceFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the commands say: run go test ./internal/cli -update and read the difference", referenceFile)
	}
}

func referencePage(t *testing.T) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# Commands

`+"Generated from the commands by `go test ./internal/cli -update`. The same in a terminal: `tokenjar COMMAND --help`, and as manual\npages: `tokenjar man DIR`."+`

- Every command takes `+"`--config FILE`; the settings are in [config.md](config.md)."+`
- The exit code is 0, or 1 for a failure, or 2 when a command was called wrongly. Errors go to standard error, a line each, and end in
  a hint.
- With `+"`--json`"+` results are JSON objects, one a line. Times are UTC, as RFC 3339 writes them.
- `+"`users`, `sessions`, `keys` and `secret`"+` work on the database, while a server runs or not. A running server takes on what they
  change within a second. What they do is noted in the audit trail.
`)
	for _, words := range cli.Commands() {
		if len(words) == 0 {
			continue
		}
		code, help, stderr := cli.Run("", nil, append(words, "--help")...)
		if code != 0 {
			t.Fatalf("%q: %s", words, stderr)
		}
		about, rest, _ := strings.Cut(help, "\nUsage:\n")
		inherited := strings.Index(rest, "\nEvery command:\n") // said above, once
		example := strings.Index(rest, "\nExample:\n")
		fmt.Fprintf(&b, "\n%s `tokenjar %s`\n\n", strings.Repeat("#", 1+len(words)), strings.Join(words, " "))
		if strings.Contains(about, "\n  ") { // lines that were laid out by hand
			about = "```\n" + strings.TrimSpace(about) + "\n```\n"
		}
		fmt.Fprintf(&b, "%s\n```\nUsage:\n%s%s```\n", about, rest[:inherited], rest[example:])
	}
	return b.Bytes()
}
