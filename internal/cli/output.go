package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// How results look: a sentence or a table for people; with --json one JSON object a line for programs, so that a list of
// any length can be read as it comes. Nothing that came from outside can add a line or move the cursor in either.

func jsonFlag(c *cobra.Command, asJSON *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "print one JSON object a line, for programs")
}

// say prints a result: v for programs, a sentence for people.
func (o *options) say(asJSON bool, v any, format string, args ...any) error {
	if asJSON {
		return printJSON(o.stdout, v)
	}
	_, err := fmt.Fprintln(o.stdout, plainLine(fmt.Sprintf(format, args...)))
	return err
}

// printJSON writes v on one line. What a terminal would not print is escaped.
func printJSON(w io.Writer, v any) error {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range strings.TrimSuffix(text.String(), "\n") {
		switch { // outside its strings JSON has printable characters only
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := surrogates(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	_, err := fmt.Fprintln(w, out.String())
	return err
}

// surrogates returns the two halves in which JSON escapes a character above U+FFFF (RFC 8259, section 7).
func surrogates(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

// A table prints rows in columns. The heading, if any, comes with the first row.
type table struct {
	w       *tabwriter.Writer
	heading []string
	begun   bool
}

func newTable(w io.Writer, heading ...string) *table {
	return &table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), heading: heading}
}

func (t *table) row(cells ...string) {
	if !t.begun && len(t.heading) > 0 {
		fmt.Fprintln(t.w, strings.Join(t.heading, "\t"))
	}
	t.begun = true
	for i, c := range cells {
		if cells[i] = plainLine(c); c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return t.w.Flush() }

// clip cuts what would make a row unreadable.
func clip(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// moment writes a time for people and programs alike: UTC, whole seconds.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// momentOrNull is moment for JSON.
func momentOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := moment(t)
	return &s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
