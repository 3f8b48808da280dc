package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Print writes c as a file with every setting and what it means. Loading it gives c again, as long as its paths are
// absolute or it is loaded from the same folder.
func Print(w io.Writer, c Config) error {
	return write(w, c, func(string) bool { return true })
}

// Starter writes the file a newcomer begins with: the given settings stand in it, all others are comments.
func Starter(w io.Writer, c Config, active ...string) error {
	return write(w, c, func(key string) bool {
		for _, a := range active {
			if a == key {
				return true
			}
		}
		return false
	})
}

func write(w io.Writer, c Config, active func(key string) bool) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "# Settings of tokenjar. A relative path counts from the folder of this file. Each setting can also be given in the\n"+
		"# environment, as TOKENJAR_LISTEN or TOKENJAR_SESSION_IDLE, which then overrules this file.\n")
	open := "" // the section whose heading stands
	for _, s := range settings {
		name, indent := s.key, ""
		if section, rest, nested := strings.Cut(s.key, "."); nested {
			name, indent = rest, "  "
			if open != section {
				open = section
				fmt.Fprintf(out, "\n%s%s:\n", mark(anyActive(section, active)), section)
			}
		} else {
			fmt.Fprintln(out)
		}
		for _, line := range wrap(s.doc, 110) {
			fmt.Fprintf(out, "%s# %s\n", indent, line)
		}
		fmt.Fprintf(out, "%s%s%s: %s\n", mark(active(s.key)), indent, name, s.yaml(c))
	}
	return out.Flush()
}

// mark makes a comment of a line that is not active.
func mark(active bool) string {
	if active {
		return ""
	}
	return "#"
}

func anyActive(section string, active func(string) bool) bool {
	for _, s := range settings {
		if strings.HasPrefix(s.key, section+".") && active(s.key) {
			return true
		}
	}
	return false
}

// yaml returns the value of a setting as it stands in a file.
func (s setting) yaml(c Config) string {
	texts := s.get(c)
	switch s.kind() {
	case listKind:
		items := make([]string, len(texts))
		for i, t := range texts {
			items[i] = quote(t)
			if strings.Contains(t, ":") && items[i] == t { // within brackets YAML readers disagree about it
				items[i] = `"` + t + `"`
			}
		}
		return "[" + strings.Join(items, ", ") + "]"
	case textKind:
		return quote(texts[0])
	case durationKind:
		if d, err := parseDuration(s.def); err == nil && texts[0] == formatDuration(d) {
			return s.def // as the documentation writes it
		}
	}
	return texts[0]
}

// plain are texts that YAML takes as they are, in a list as well.
var plain = regexp.MustCompile(`^(?:[A-Za-z/_][A-Za-z0-9/_.@:-]*[A-Za-z0-9/_]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}:[0-9]{1,5}|/)$`)

func quote(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n": // other YAML readers take some of these for values
	default:
		if plain.MatchString(text) && !strings.Contains(text, ": ") {
			return text
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil { // a string always encodes
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// wrap breaks a text into lines of at most width characters.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
