package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// PostgreSQL's text takes neither NUL nor what is not UTF-8; ids and names that come from elsewhere may hold both. Such
// a text is written with an escape for each of these, and so is the escape itself: what is read is what was stored, and
// two texts that differ stay different. All others, which is nearly every one, are stored as they are.

const (
	escape = "\ue000" // of the private use area: stands in no ordinary text
	odd    = escape + "\x00"
)

// A text is a string as a column of type text keeps it.
type text string

// TextValue implements [pgtype.TextValuer].
func (t text) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: encodeText(string(t)), Valid: true}, nil
}

// ScanText implements [pgtype.TextScanner].
func (t *text) ScanText(v pgtype.Text) error {
	if !v.Valid {
		return errors.New("NULL where a text should be")
	}
	s, err := decodeText(v.String)
	*t = text(s)
	return err
}

func encodeText(s string) string {
	if utf8.ValidString(s) && !strings.ContainsAny(s, odd) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if part := s[i : i+size]; r == 0 || part == escape || r == utf8.RuneError && size == 1 {
			for _, c := range []byte(part) {
				fmt.Fprintf(&b, "%s%02x", escape, c)
			}
		} else {
			b.WriteString(part)
		}
		i += size
	}
	return b.String()
}

func decodeText(s string) (string, error) {
	before, rest, escaped := strings.Cut(s, escape)
	if !escaped {
		return s, nil
	}
	var b strings.Builder
	for escaped {
		b.WriteString(before)
		if len(rest) < 2 {
			return "", errDamaged
		}
		c, err := strconv.ParseUint(rest[:2], 16, 8)
		if err != nil {
			return "", errDamaged
		}
		b.WriteByte(byte(c))
		before, rest, escaped = strings.Cut(rest[2:], escape)
	}
	b.WriteString(before)
	return b.String(), nil
}

// texts encodes a list for a column of type text[].
func texts(list []string) []string {
	encoded := make([]string, len(list))
	for i, s := range list {
		encoded[i] = encodeText(s)
	}
	return encoded
}
