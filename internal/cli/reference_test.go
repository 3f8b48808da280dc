package cli_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/cli"

	"github.com/tokenjar/tokenjar/internal/golden"
)

const referenceFile = "../../docs/reference/cli.md"

// TestReferencePageIsTheHelp: the page is what the commands say of themselves. go test ./internal/cli -update writes it
// anew.
func TestReferencePageIsTheHelp(t *testing.T) {
	golden.Compare(t, referenceFile, referencePage(t))
}

func referencePage(t *testing.T) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# Commands

`+"Generated from the commands by `go test ./internal/cli -update`. The same in a terminal: `tokenjar COMMAND --help`, and as manual\npages: `tokenjar man DIR`."+`

- Every command takes `+"`--config FILE`; the settings are in [config.md](config.md)."+`
- The exit code is 0, or 1 for a failure, or 2 when a command was called wrongly. Errors go to standard error, a line each, with a
  hint where there is something to be done.
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
