package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The file is walked as a parsed tree, not decoded into the struct: that way every mistake is found, each with its
// line, and nothing is guessed. Of YAML only mappings, lists and scalars are read. Anchors, aliases, merge keys, tags
// and directives are refused: a configuration of this size needs none, and each is a way to mean something else than
// what a reader sees.

const (
	maxFile   = 1 << 20 // bytes
	maxTokens = 40_000  // the parser takes time by the square of them; a route with every setting is a hundred
	maxDepth  = 32      // the parser is recursive
)

// readFile returns the text of the file.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than 1 MiB, which no configuration is", path)
	}
	return text, nil
}

// A walk goes through one file and applies it to a configuration.
type walk struct {
	name  string // of the file
	apply func(s setting, to spot, at place, set func() error)
	note  func(key string, at place) // where a list or an entry of one is
	wrong func(Mistake)
}

func (w *walk) mistake(at *token.Token, key, format string, args ...any) {
	w.wrong(Mistake{place: w.place(at), Key: key, Detail: fmt.Sprintf(format, args...)})
}

func (w *walk) place(at *token.Token) place {
	if at == nil || at.Position == nil {
		return place{source: fromFile, Where: w.name}
	}
	return place{source: fromFile, line: at.Position.Line, Where: fmt.Sprintf("%s:%d", w.name, at.Position.Line)}
}

// run reads text into a configuration.
func (w *walk) run(text []byte, to spot) {
	if !utf8.Valid(text) {
		w.mistake(nil, "", "is not UTF-8: save it as UTF-8 text")
		return
	}
	file, err := parse(strings.TrimPrefix(string(text), "\ufeff"))
	if err != nil {
		var syntax yaml.Error
		switch {
		case errors.As(err, &syntax):
			w.mistake(syntax.GetToken(), "", "this is not YAML: %s", oneLine(syntax.GetMessage()))
		default:
			w.mistake(nil, "", "%s", oneLine(err.Error()))
		}
		return
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case doc.Body.Type() == ast.DirectiveType:
			w.mistake(doc.Body.GetToken(), "", "directives are not supported: remove the line")
		case body != nil:
			w.mistake(doc.Body.GetToken(), "", "a second document begins before this line: keep one")
			return
		default:
			body = doc.Body
		}
	}
	if body != nil {
		w.section(body, to, "")
	}
}

// parse returns the tree of a YAML text.
func parse(text string) (_ *ast.File, err error) {
	defer func() {
		if recover() != nil { // a fault of the parser, whatever it is, must not look like one of ours
			err = errors.New("this is not YAML that can be read")
		}
	}()
	tokens := lexer.Tokenize(text)
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// checkTokens refuses what would keep the parser busy for minutes or exhaust its stack.
func checkTokens(tokens token.Tokens) error {
	if len(tokens) > maxTokens {
		return errors.New("has far more entries than a configuration")
	}
	flow, inLine, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			inLine, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inLine++
		}
		if flow > maxDepth || inLine > maxDepth || t.Position != nil && t.Position.IndentLevel > maxDepth {
			return fmt.Errorf("is nested more than %d deep", maxDepth)
		}
	}
	return nil
}

// section reads the mapping of a group of settings; prefix is "" for all of a spot, or as "session.".
func (w *walk) section(node ast.Node, to spot, prefix string) {
	name := strings.TrimSuffix(to.path+prefix, ".")
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		switch {
		case node.Type() == ast.NullType: // all lines below the heading are comments
		case w.unsupported(node, name):
		case name == "":
			w.mistake(node.GetToken(), "", "settings are written as name: value, one a line")
		default:
			w.mistake(node.GetToken(), name, "is a section: write its settings below it, indented, or as {name: value}")
		}
		return
	}
	for key, entry := range w.names(mapping, "a setting", to.path+prefix) {
		key := prefix + key
		switch s, known := to.byKey[key]; {
		case known && strings.Count(key, ".") == strings.Count(prefix, "."):
			w.value(s, to, entry.Value)
		case to.isSection(key):
			w.section(entry.Value, to, key+".")
		case known:
			section, rest, _ := strings.Cut(key, ".")
			w.mistake(entry.Key.GetToken(), to.path+key, "write %s below %s, or as %s: {%s: …}", rest, section, section, rest)
		default:
			w.unknown(to, key, entry)
		}
	}
}

// names yields the entries of a mapping by their names, each once.
func (w *walk) names(mapping *ast.MappingNode, what, prefix string) iter.Seq2[string, *ast.MappingValueNode] {
	return func(yield func(string, *ast.MappingValueNode) bool) {
		lines := make(map[string]int)
		for _, entry := range mapping.Values {
			at := entry.Key.GetToken()
			name, ok := entry.Key.(*ast.StringNode)
			if !ok {
				if entry.Key.IsMergeKey() {
					w.mistake(at, "", "merge keys (<<) are not supported: write the settings out")
				} else if !w.unsupported(entry.Key, "") {
					w.mistake(at, "", "the name of %s is a plain word", what)
				}
				continue
			}
			if first, twice := lines[name.Value]; twice {
				w.mistake(at, printable(prefix+name.Value), "is set twice; first in line %d", first)
				continue
			}
			lines[name.Value] = at.Position.Line
			if !yield(name.Value, entry) {
				return
			}
		}
	}
}

// unknown reports a name that is no setting. That of which it is a misspelling is then not missing as well.
func (w *walk) unknown(to spot, key string, entry *ast.MappingValueNode) {
	m := Mistake{place: w.place(entry.Key.GetToken()), Key: printable(to.path + key), Detail: "unknown setting"}
	if guess := to.guess(key, entry.Value); guess != "" {
		m.Detail += "; did you mean " + to.path + guess + "?"
		m.others = []string{to.path + guess}
	}
	w.wrong(m)
}

// value reads one setting.
func (w *walk) value(s setting, to spot, node ast.Node) {
	at, want, key := node.GetToken(), s.kind(), to.path+s.key
	if w.unsupported(node, key) {
		return
	}
	if want == entriesKind {
		w.entries(s, to, node)
		return
	}
	if node.Type() == ast.NullType {
		fix := "write one, or remove the line to have the default"
		switch {
		case s.required():
			fix = "write one, as " + s.example
		case want == textKind && (len(s.enum) == 0 || s.orEmpty()):
			fix = `write "" for none, or remove the line to have the default`
		}
		w.mistake(at, key, "has no value: %s", fix)
		return
	}
	if want == methodsKind {
		if rules, ok := w.methods(key, node); ok {
			w.apply(s, to, w.place(at), func() error { s.field(to.in).Set(reflect.ValueOf(rules)); return nil })
		}
		return
	}
	if want == listKind {
		if items, ok := w.list(key, node); ok {
			w.apply(s, to, w.place(at), func() error { return s.setList(to.in, items) })
		}
		return
	}
	text, ok := scalar(node)
	switch got := node.Type(); {
	case !ok:
		w.mistake(at, key, "must be %s, not %s", want, word(node))
	case got == ast.StringType && (want == textKind || want == durationKind || want == sizeKind),
		got == ast.BoolType && want == boolKind, got == ast.IntegerType && (want == intKind || want == durationKind || want == sizeKind),
		got == ast.FloatType && want == durationKind,
		want == intKind && at.Type == token.StringType && strings.Trim(text, "0123456789") == "": // too large for YAML
		if got == ast.BoolType {
			text = strings.ToLower(text)
		}
		w.apply(s, to, w.place(at), func() error { return s.setOne(to.in, text) })
	case want == textKind:
		fix := "put it in quotes"
		if usual := cmp.Or(s.def, s.example); usual != "" {
			fix = "write it as " + usual
		}
		w.mistake(at, key, "must be text, not %s: %s", word(node), fix)
	default:
		w.mistake(at, key, "must be %s, not %s", want, word(node))
	}
}

func (w *walk) list(key string, node ast.Node) (items []string, ok bool) {
	sequence, isList := node.(*ast.SequenceNode)
	if !isList {
		if _, one := scalar(node); one {
			w.mistake(node.GetToken(), key, "must be a list: put it in [ ]")
		} else {
			w.mistake(node.GetToken(), key, "must be %s, not %s", listKind, word(node))
		}
		return nil, false
	}
	ok = true
	for i, item := range sequence.Values {
		text, scalarItem := scalar(item)
		switch {
		case w.unsupported(item, key):
			ok = false
		case !scalarItem || item.Type() != ast.StringType:
			w.mistake(item.GetToken(), key, "item %d must be text, not %s: put it in quotes", i+1, word(item))
			ok = false
		}
		items = append(items, text)
	}
	return items, ok
}

// unsupported reports the parts of YAML that are not read.
func (w *walk) unsupported(node ast.Node, key string) bool {
	what := ""
	switch node.Type() {
	case ast.AnchorType:
		what = "anchors (&)"
	case ast.AliasType:
		what = "aliases (*)"
	case ast.TagType:
		what = "tags (!)"
	case ast.MappingKeyType:
		what = "complex keys (?)"
	case ast.LiteralType:
		what = "block texts (| and >)"
	default:
		return false
	}
	w.mistake(node.GetToken(), key, "%s are not supported: write the value itself", what)
	return true
}

// scalar returns the text of a single value as it stands in the file.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// guess names the setting that an unknown one is meant to be: spelt alike, or of the same name in another section.
func (sc *schema) guess(key string, value ast.Node) string {
	var keys []string
	mapping := value.Type() == ast.MappingType
	for _, s := range sc.settings {
		if !mapping || s.entries != nil {
			keys = append(keys, s.key)
		}
	}
	if mapping {
		return nearest(key, append(keys, sc.sections...))
	}
	if near := nearest(key, keys); near != "" {
		return near
	}
	leaf := key[strings.LastIndexByte(key, '.')+1:]
	var same []string
	for _, k := range keys {
		if k == leaf || strings.HasSuffix(k, "."+leaf) {
			same = append(same, k)
		}
	}
	if len(same) == 1 {
		return same[0]
	}
	return ""
}

// word names a node's type for a mistake.
func word(node ast.Node) string {
	switch node.Type() {
	case ast.StringType, ast.LiteralType:
		return "text"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "a truth value"
	case ast.NullType:
		return "nothing"
	case ast.MappingType, ast.MappingValueType:
		return "a section"
	case ast.SequenceType:
		return "a list"
	}
	return node.Type().YAMLName()
}

// printable returns a name from the file such that it cannot break the line it is printed on.
func printable(name string) string {
	if checkText(name) != nil || len(name) > 60 || strings.ContainsAny(name, " :") {
		return shown(name)
	}
	return name
}

// oneLine returns the first line of a message, with what cannot be printed quoted.
func oneLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	if checkText(line) == nil {
		return line
	}
	quoted := strconv.Quote(line)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
