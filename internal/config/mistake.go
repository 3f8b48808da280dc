package config

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Mistake is one thing that is wrong: where, with which setting, and what to do about it, on one line. It never
// holds the value of an unknown setting, nor one that might contain a password.
type Mistake struct {
	place
	Key    string // as "session.idle"; empty when it is not about one setting
	Detail string

	others []string // further settings that the mistake is about
}

// A place is where a setting was made.
type place struct {
	Where string // "tokenjar.yaml:12", "TOKENJAR_LISTEN", "--listen"; empty when the setting has its default

	source source
	line   int
}

type source int

const (
	fromFile source = iota + 1
	fromEnvironment
	fromFlag
)

// order sorts places by source and line; defaults come last.
func (p place) order(q place) int {
	if p.source != q.source && (p.source == 0 || q.source == 0) {
		return cmp.Compare(q.source, p.source)
	}
	return cmp.Or(cmp.Compare(p.source, q.source), cmp.Compare(p.line, q.line))
}

// String is the mistake on one line.
func (m Mistake) String() string {
	parts := make([]string, 0, 3)
	for _, p := range []string{m.Where, m.Key, m.Detail} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// Mistakes is the error of a configuration: everything that is wrong with it, in the order of the file.
type Mistakes []Mistake

// Error gives one line for each mistake.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// orNil returns ms as an error, nil when there is none.
func (ms Mistakes) orNil() error {
	if len(ms) == 0 {
		return nil
	}
	return ms
}

// shown quotes a value for a mistake, cut to a length that leaves the line readable.
func shown(value string) string {
	const most = 60
	if len(value) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(value[cut]) {
			cut--
		}
		return fmt.Sprintf("%q…", value[:cut])
	}
	return fmt.Sprintf("%q", value)
}

// suggest returns "; did you mean X?" for the candidate that a misspelt name is nearest to, or nothing.
func suggest(name string, candidates []string) string {
	if best := nearest(name, candidates); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// nearest returns the candidate that a misspelt name is nearest to, or nothing.
func nearest(name string, candidates []string) string {
	best, distance := "", 1+max(1, len(name)/4)
	for _, c := range candidates {
		if strings.EqualFold(c, name) {
			best = c
			break
		}
		if d := editDistance(name, c); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, changes and swaps of neighbours that make b of a.
func editDistance(a, b string) int {
	const far = 1 << 20
	if len(a) > 100 || len(b) > 100 {
		return far
	}
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
