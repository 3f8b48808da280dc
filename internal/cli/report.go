package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

// How errors look: "tokenjar: error: …" for each thing that is wrong, then at most one "tokenjar: hint: …" that says
// what to do. Nothing that came from outside can add a line or move the cursor.

// hinted is an error with the sentence that says what to do.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// withHint adds what to do to an error.
func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// report prints an error.
func report(w io.Writer, err error) {
	for _, line := range errorLines(err) {
		fmt.Fprintf(w, "tokenjar: error: %s\n", plainLine(line))
	}
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "tokenjar: hint: %s\n", plainLine(hint))
	}
}

// errorLines returns one line for each thing that is wrong.
func errorLines(err error) []string {
	if mistakes, ok := errors.AsType[config.Mistakes](err); ok {
		lines := make([]string, len(mistakes))
		for i, m := range mistakes {
			lines[i] = m.String()
		}
		return lines
	}
	if invalid, ok := errors.AsType[*tokenjar.ValidationError](err); ok {
		lines := make([]string, len(invalid.Fields))
		for i, f := range invalid.Fields {
			lines[i] = f.Field + ": " + f.Detail
		}
		return lines
	}
	if strings.Contains(err.Error(), "\n") { // several that were joined, or one that quotes something from outside
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			var lines []string
			for _, err := range joined.Unwrap() {
				lines = append(lines, errorLines(err)...)
			}
			return lines
		}
		if inner := errors.Unwrap(err); inner != nil {
			if before, ok := strings.CutSuffix(err.Error(), inner.Error()); ok {
				lines := errorLines(inner)
				if len(lines) > 0 {
					lines[0] = before + lines[0]
				}
				return lines
			}
		}
	}
	if errors.Is(err, errSaid) || errors.Is(err, syscall.EPIPE) { // whoever reads has gone, as head does
		return nil
	}
	text := err.Error()
	if a, ok := errors.AsType[advised](err); ok && a.Hint() == hintFor(err) { // which has a line of its own
		text = strings.TrimSuffix(text, ": "+a.Hint())
	}
	return []string{text}
}

// An advised error says at the end of its text what to do, as those of package postgres, for programs that have no line of
// their own for it.
type advised interface {
	error
	Hint() string
}

func hintFor(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if a, ok := errors.AsType[advised](err); ok {
		return a.Hint()
	}
	if _, invalid := errors.AsType[config.Mistakes](err); invalid {
		return "nothing was done; correct the settings and try again"
	}
	return ""
}

// plainLine quotes what cannot be printed.
func plainLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
