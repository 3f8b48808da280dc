package config

import (
	"errors"
	"fmt"
	"io"
	"os"
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
	maxTokens = 10_000  // the parser takes time by the square of them
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
	apply func(s setting, at place, set func(*Config) error)
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

// run reads text.
func (w *walk) run(text []byte) {
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
		w.section(body, "")
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
		return errors.New("has far more entries than there are settings")
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

// section reads the mapping of a group of settings; prefix is "" for the whole file, or as "session.".
func (w *walk) section(node ast.Node, prefix string) {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		name := strings.TrimSuffix(prefix, ".")
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
	lines := make(map[string]int)
	for _, entry := range mapping.Values {
		at := entry.Key.GetToken()
		name, ok := entry.Key.(*ast.StringNode)
		if !ok {
			if entry.Key.IsMergeKey() {
				w.mistake(at, "", "merge keys (<<) are not supported: write the settings out")
			} else if !w.unsupported(entry.Key, "") {
				w.mistake(at, "", "the name of a setting is a plain word")
			}
			continue
		}
		key := prefix + name.Value
		if first, twice := lines[key]; twice {
			w.mistake(at, printable(key), "is set twice; first in line %d", first)
			continue
		}
		lines[key] = at.Position.Line
		switch s, known := byKey[key]; {
		case known && !strings.Contains(name.Value, "."):
			w.value(s, entry.Value)
		case isSection(key):
			w.section(entry.Value, key+".")
		case known:
			section, rest, _ := strings.Cut(key, ".")
			w.mistake(at, key, "write %s below %s, or as %s: {%s: …}", rest, section, section, rest)
		case notYet[key] != "":
			w.mistake(at, key, "is not supported yet: %s", notYet[key])
		default:
			w.mistake(at, printable(key), "unknown setting%s", suggestKey(key, isMapping(entry.Value)))
		}
	}
}

// value reads one setting.
func (w *walk) value(s setting, node ast.Node) {
	at, want := node.GetToken(), s.kind()
	if w.unsupported(node, s.key) {
		return
	}
	if node.Type() == ast.NullType {
		fix := "write one, or remove the line to have the default"
		if want == textKind && len(s.enum) == 0 {
			fix = `write "" for none, or remove the line to have the default`
		}
		w.mistake(at, s.key, "has no value: %s", fix)
		return
	}
	if want == listKind {
		if items, ok := w.list(s, node); ok {
			w.apply(s, w.place(at), func(c *Config) error { return s.setList(c, items) })
		}
		return
	}
	text, ok := scalar(node)
	switch got := node.Type(); {
	case !ok:
		w.mistake(at, s.key, "must be %s, not %s", want, word(node))
	case got == ast.StringType && want == textKind, got == ast.StringType && want == durationKind,
		got == ast.BoolType && want == boolKind, got == ast.IntegerType && (want == intKind || want == durationKind),
		got == ast.FloatType && want == durationKind,
		want == intKind && at.Type == token.StringType && strings.Trim(text, "0123456789") == "": // too large for YAML
		if got == ast.BoolType {
			text = strings.ToLower(text)
		}
		w.apply(s, w.place(at), func(c *Config) error { return s.setOne(c, text) })
	case want == textKind:
		fix := "put it in quotes"
		if s.def != "" {
			fix = "write it as " + s.def
		}
		w.mistake(at, s.key, "must be text, not %s: %s", word(node), fix)
	default:
		w.mistake(at, s.key, "must be %s, not %s", want, word(node))
	}
}

func (w *walk) list(s setting, node ast.Node) (items []string, ok bool) {
	sequence, isList := node.(*ast.SequenceNode)
	if !isList {
		if _, one := scalar(node); one {
			w.mistake(node.GetToken(), s.key, "must be a list: put it in [ ]")
		} else {
			w.mistake(node.GetToken(), s.key, "must be %s, not %s", listKind, word(node))
		}
		return nil, false
	}
	ok = true
	for i, item := range sequence.Values {
		text, scalarItem := scalar(item)
		switch {
		case w.unsupported(item, s.key):
			ok = false
		case !scalarItem || item.Type() != ast.StringType:
			w.mistake(item.GetToken(), s.key, "item %d must be text, not %s: put it in quotes", i+1, word(item))
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

// notYet are settings that the documentation of later versions knows, and what to do until then. They are refused in
// words of their own: who writes them expects something to be protected or served that is not.
var notYet = map[string]string{
	"spa":             "serve the files of your page yourself, from an origin in csrf.trusted_origins and cors.allowed_origins",
	"routes":          "put the middleware of the library before your own service, or have it verify the bearer by the JWKS",
	"frontends":       "run one tokenjar for each public_url",
	"auth.login_page": "send browsers to your own page",
}

func isMapping(node ast.Node) bool { return node != nil && node.Type() == ast.MappingType }

func isSection(key string) bool {
	for _, s := range sections {
		if s == key {
			return true
		}
	}
	return false
}

// suggestKey names the setting that an unknown one is meant to be: spelt alike, or of the same name in another section.
func suggestKey(key string, group bool) string {
	if group {
		return suggest(key, sections)
	}
	keys := make([]string, 0, len(settings))
	for _, s := range settings {
		keys = append(keys, s.key)
	}
	if s := suggest(key, keys); s != "" {
		return s
	}
	leaf := key[strings.LastIndexByte(key, '.')+1:]
	var same []string
	for _, k := range keys {
		if k == leaf || strings.HasSuffix(k, "."+leaf) {
			same = append(same, k)
		}
	}
	if len(same) == 1 {
		return "; did you mean " + same[0] + "?"
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
