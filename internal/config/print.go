package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
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
	p := printer{out: bufio.NewWriter(w), explain: true, active: active}
	fmt.Fprint(p.out, "# Settings of tokenjar. A relative path counts from the folder of this file. Each setting but routes and frontends can\n"+
		"# also be given in the environment, as TOKENJAR_LISTEN or TOKENJAR_SESSION_IDLE, which then overrules this file.\n")
	p.settings(c.top(), "", "", "")
	return p.out.Flush()
}

// A printer writes settings as they stand in a file.
type printer struct {
	out     *bufio.Writer
	explain bool                    // write what each setting means, and examples of lists that are empty
	active  func(key string) bool   // settings at the top that are not active become comments
	from    func(key string) string // where a setting comes from; nil: that is not said
}

// settings writes those of a spot. first stands before the first line, indent before the others, and mark, which makes
// comments of them, before both.
func (p *printer) settings(at spot, first, indent, mark string) {
	open := "" // the section whose heading stands
	for i, s := range at.settings {
		name, lead, mark := s.key, indent, mark
		if i == 0 {
			lead = first
		}
		if at.path == "" {
			mark = comment(p.active(s.key))
		}
		if section, rest, nested := strings.Cut(s.key, "."); nested {
			name = rest
			if open != section {
				open = section
				p.gap(at)
				heading := mark
				if at.path == "" {
					heading = comment(p.anyActive(section))
				}
				fmt.Fprintf(p.out, "%s%s%s:\n", heading, lead, section)
			}
			lead = indent + "  "
		} else {
			p.gap(at)
		}
		p.doc(s, lead)
		switch {
		case s.entries != nil && (s.field(at.in).Len() > 0 || p.explain && at.path == ""):
			p.list(s, at, lead, name, mark)
		default:
			p.line(mark, lead+name+": "+s.yaml(at.in), at.path+s.key)
		}
	}
}

// list writes a list of mappings, or an example of one where it is empty.
func (p *printer) list(s setting, at spot, indent, name, mark string) {
	n := s.field(at.in).Len()
	if n == 0 && mark == "" {
		fmt.Fprintf(p.out, "%s%s: []\n%s# One of them, with what it is by default:\n", indent, name, indent)
	} else {
		fmt.Fprintf(p.out, "%s%s%s:\n", mark, indent, name)
	}
	first, rest := indent+"  - ", indent+"    "
	if n == 0 {
		p.settings(spot{s.entries, s.entries.example(), at.path + s.key + "[]."}, first, rest, comment(false))
	}
	for i := range n {
		q := *p
		q.explain = p.explain && i == 0 // once is enough
		q.settings(at.entry(s, i), first, rest, mark)
	}
}

// gap separates what stands at the top.
func (p *printer) gap(at spot) {
	if p.explain && at.path == "" {
		fmt.Fprintln(p.out)
	}
}

func (p *printer) doc(s setting, indent string) {
	if !p.explain {
		return
	}
	for _, line := range wrap(s.doc, 110) {
		fmt.Fprintf(p.out, "%s# %s\n", strings.ReplaceAll(indent, "-", " "), line)
	}
}

func (p *printer) line(mark, line, key string) {
	if p.from == nil {
		fmt.Fprintf(p.out, "%s%s\n", mark, line)
	} else {
		fmt.Fprintf(p.out, "%-46s # %s\n", mark+line, p.from(key))
	}
}

func (p *printer) anyActive(section string) bool {
	for _, s := range settings {
		if strings.HasPrefix(s.key, section+".") && p.active(s.key) {
			return true
		}
	}
	return false
}

// comment makes a comment of a line that is not active.
func comment(active bool) string {
	if active {
		return ""
	}
	return "#"
}

// yaml returns the value of a setting as it stands in a file.
func (s setting) yaml(in reflect.Value) string {
	if s.entries != nil {
		return "[]"
	}
	texts := s.get(in)
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
