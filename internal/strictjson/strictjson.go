// Package strictjson reads JSON from strangers: the parts of tokens and the bodies of requests.
//
// It exists because encoding/json is generous where security code must not be: it takes the last of two members
// with one name, matches names without regard to case, and replaces broken text by U+FFFD, so two programs can read
// two different things in one document. This package accepts RFC 8259 and refuses, in addition, whatever has more
// than one reading (RFC 7515 section 4, RFC 7519 section 4, RFC 8725 section 2.4):
//
//   - two members of one name in one object, compared after escapes are resolved, at every level;
//   - text that is not valid UTF-8, a byte order mark, half a surrogate pair, U+0000 in a string;
//   - anything after the value; nesting deeper than the caller allows.
//
// How many bytes are read at all is for the caller to bound before calling. Time and memory are linear in the
// input. Errors never quote the input, so they can be logged.
package strictjson

import (
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// DuplicateMember is the [SyntaxError] reason for an object that names a member twice.
const DuplicateMember = "duplicate member"

// depthLimit is encoding/json's own limit; what Check accepts, encoding/json must accept too.
const depthLimit = 10_000

// SyntaxError says where and why a document was refused. Its text holds no part of the document.
type SyntaxError struct {
	Offset int    // bytes before the fault: of a duplicate member its second name, of a whole value roughly start or end
	Reason string // a fixed phrase, such as [DuplicateMember]
}

// Error returns the reason alone: an offset helps nobody who cannot see the document.
func (e *SyntaxError) Error() string { return "strict json: " + e.Reason }

// Check reports whether data is one strict JSON value with at most maxDepth arrays and objects inside one another
// (a bare string or number has depth 0; more than 10,000 is taken as 10,000). The error is a [*SyntaxError].
func Check(data []byte, maxDepth int) error {
	p := newParser(data, maxDepth)
	_, err := p.document()
	return err
}

// Members checks data as [Check] does, requires it to be an object, and calls member for each of its members in
// order, with the resolved name and the text of the value. The first error of member ends the walk and is returned.
// Members before a fault have been reported when the fault is found: use what was collected only after a nil error.
func Members(data []byte, maxDepth int, member func(name, value string) error) error {
	p := newParser(data, maxDepth)
	p.member = member
	p.blanks()
	if p.peek() != '{' {
		return p.fail("not an object")
	}
	_, err := p.document()
	return err
}

// parser walks text once. With build set it also returns the values, as encoding/json would with UseNumber.
type parser struct {
	text     string
	at       int
	depth    int
	maxDepth int
	build    bool
	member   func(name, value string) error // called for members of the outermost object
	names    []string                       // names of the objects that are open, innermost last
	values   []any                          // with build: values of their members, and of the arrays that are open
}

func newParser(data []byte, maxDepth int) parser {
	return parser{text: string(data), maxDepth: min(maxDepth, depthLimit), names: make([]string, 0, 8)}
}

// newBuilder is newParser with build set. The usual claims set fits into the lists as they are made here, together.
func newBuilder(data []byte, maxDepth int) parser {
	room := new(struct {
		names  [12]string
		values [12]any
	})
	return parser{
		text: string(data), maxDepth: min(maxDepth, depthLimit), names: room.names[:0], values: room.values[:0], build: true,
	}
}

func (p *parser) fail(reason string) error { return &SyntaxError{Offset: p.at, Reason: reason} }

// peek returns the next byte, or 0 at the end: a NUL is valid nowhere outside a string.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) blanks() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) document() (any, error) {
	p.blanks()
	if p.at == len(p.text) {
		return nil, p.fail("empty document")
	}
	if strings.HasPrefix(p.text, "\ufeff") {
		return nil, p.fail("byte order mark")
	}
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.at != len(p.text) {
		return nil, p.fail("text after the value")
	}
	return value, nil
}

// value recurses into arrays and objects; maxDepth bounds the stack.
func (p *parser) value() (value any, err error) {
	switch c := p.peek(); c {
	case '{', '[':
		if p.depth >= p.maxDepth {
			return nil, p.fail("nested too deeply")
		}
		p.depth++
		if c == '{' {
			value, err = p.object()
		} else {
			value, err = p.array()
		}
		p.depth--
		return value, err
	case '"':
		s, err := p.string(p.build)
		if err != nil || !p.build {
			return nil, err
		}
		return s, nil
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return p.number()
	}
	rest := p.text[p.at:]
	switch {
	case strings.HasPrefix(rest, "true"):
		p.at += len("true")
		return true, nil
	case strings.HasPrefix(rest, "false"):
		p.at += len("false")
		return false, nil
	case strings.HasPrefix(rest, "null"):
		p.at += len("null")
		return nil, nil
	case rest == "":
		return nil, p.fail("document ends early")
	}
	return nil, p.fail("not a value")
}

func (p *parser) array() (any, error) {
	first := len(p.values) // where this array's elements start
	p.at++                 // [
	p.blanks()
	if p.peek() == ']' {
		p.at++
		return p.list(first), nil
	}
	for {
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		if p.build {
			p.values = append(p.values, value)
		}
		p.blanks()
		switch p.peek() {
		case ',':
			p.at++
			p.blanks()
		case ']':
			p.at++
			return p.list(first), nil
		default:
			return nil, p.fail("no comma or closing bracket after an array element")
		}
	}
}

// list returns the elements of an array, and nothing when none is built.
func (p *parser) list(first int) any {
	if !p.build {
		return nil
	}
	list := make([]any, len(p.values)-first)
	copy(list, p.values[first:])
	p.values = p.values[:first]
	return list
}

func (p *parser) object() (any, error) {
	seen := nameSet{first: len(p.names)}
	built := objectBuilder{first: len(p.values)}
	p.at++ // {
	p.blanks()
	if p.peek() == '}' {
		p.at++
		return p.finish(&built, nil), nil
	}
	for {
		if p.peek() != '"' {
			return nil, p.fail("no member name")
		}
		nameAt := p.at
		name, err := p.string(true)
		if err != nil {
			return nil, err
		}
		if !p.isNew(&seen, name) {
			return nil, &SyntaxError{Offset: nameAt, Reason: DuplicateMember}
		}
		p.blanks()
		if p.peek() != ':' {
			return nil, p.fail("no colon after a member name")
		}
		p.at++
		p.blanks()
		start := p.at
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		if p.build {
			p.keep(&built, name, value, p.names[seen.first:])
		}
		if p.depth == 1 && p.member != nil {
			if err := p.member(name, p.text[start:p.at]); err != nil {
				return nil, err
			}
		}
		p.blanks()
		switch p.peek() {
		case ',':
			p.at++
			p.blanks()
		case '}':
			p.at++
			object := p.finish(&built, p.names[seen.first:])
			p.names = p.names[:seen.first]
			return object, nil
		default:
			return nil, p.fail("no comma or closing brace after a member")
		}
	}
}

// objectBuilder makes the map of one object, when the members are known and so is their number: a map that grows is made
// twice. The first members wait in lists, a name in parser.names and its value in parser.values; the many go into the map.
type objectBuilder struct {
	first int // where this object's values start in parser.values
	many  map[string]any
}

// keep takes a member of an object. names are those of the object, as far as they are listed.
func (p *parser) keep(b *objectBuilder, name string, value any, names []string) {
	switch {
	case b.many != nil:
		b.many[name] = value
	case len(p.values)-b.first < fewNames:
		p.values = append(p.values, value)
	default:
		b.many = p.fill(b, names, 4*fewNames)
		b.many[name] = value
	}
}

func (p *parser) fill(b *objectBuilder, names []string, size int) map[string]any {
	object := make(map[string]any, size)
	for i, value := range p.values[b.first:] {
		object[names[i]] = value
	}
	p.values = p.values[:b.first]
	return object
}

// finish returns the object's map, and nothing when none is built.
func (p *parser) finish(b *objectBuilder, names []string) any {
	switch {
	case !p.build:
		return nil
	case b.many != nil:
		return b.many
	}
	return p.fill(b, names, len(p.values)-b.first)
}

// nameSet holds the member names of one object: a short list is searched, a long one gets a map, so an object of
// many members costs linear time and the usual one costs no allocation.
type nameSet struct {
	first int // where this object's names start in parser.names
	large map[string]struct{}
}

const fewNames = 16

func (p *parser) isNew(s *nameSet, name string) bool {
	if s.large != nil {
		before := len(s.large)
		s.large[name] = struct{}{}
		return len(s.large) > before
	}
	own := p.names[s.first:]
	for _, other := range own {
		if other == name {
			return false
		}
	}
	if len(own) < fewNames {
		p.names = append(p.names, name)
		return true
	}
	s.large = make(map[string]struct{}, 4*fewNames)
	for _, other := range own {
		s.large[other] = struct{}{}
	}
	s.large[name] = struct{}{}
	return true
}

// string reads a string at its opening quote. Without escapes the result is part of the document's text; with
// resolve false the content is checked and dropped.
func (p *parser) string(resolve bool) (string, error) {
	p.at++ // "
	start := p.at
	var resolved []byte // nil until the first escape
	for {
		text, at := p.text, p.at // nearly all bytes pass here: keep both in registers
		for at < len(text) && isPlain(text[at]) {
			at++
		}
		if p.at = at; at == len(text) {
			return "", p.fail("string without end")
		}
		switch c := text[at]; {
		case c == '"':
			s := p.text[start:p.at]
			if resolved != nil {
				s = string(append(resolved, s...))
			}
			p.at++
			return s, nil
		case c == '\\':
			plain := p.text[start:p.at]
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			if resolve {
				if resolved == nil {
					resolved = make([]byte, 0, len(plain)+16)
				}
				resolved = append(resolved, plain...)
				resolved = utf8.AppendRune(resolved, r)
			}
			start = p.at
		case c < 0x20:
			return "", p.fail("control character in a string")
		default:
			r, size := utf8.DecodeRuneInString(p.text[p.at:])
			if r == utf8.RuneError && size == 1 {
				return "", p.fail("not valid UTF-8")
			}
			p.at += size
		}
	}
}

// isPlain reports whether c stands for itself in a string, which nearly every byte does.
func isPlain(c byte) bool { return c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf }

// escape reads one escape sequence, both halves of a surrogate pair together.
func (p *parser) escape() (rune, error) {
	p.at++ // backslash
	c := p.peek()
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
	default:
		p.at--
		return 0, p.fail("unknown escape in a string")
	}
	r, ok := p.hex4()
	if !ok {
		return 0, p.fail("unknown escape in a string")
	}
	if r == 0 {
		return 0, p.fail("NUL in a string")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if strings.HasPrefix(p.text[p.at:], `\u`) {
		p.at += 2
		if low, ok := p.hex4(); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, nil
			}
		}
	}
	return 0, p.fail("half a surrogate pair")
}

func (p *parser) hex4() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[p.at : p.at+4]) {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.at += 4
	return r, true
}

// number checks the grammar of RFC 8259 section 6; what it is worth is the reader's decision, so it stays text.
func (p *parser) number() (any, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	switch {
	case p.peek() == '0':
		p.at++
	case !p.digits():
		return nil, p.fail("not a number")
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return nil, p.fail("not a number")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return nil, p.fail("not a number")
		}
	}
	if !p.build {
		return nil, nil
	}
	return json.Number(p.text[start:p.at]), nil
}

func (p *parser) digits() bool {
	start := p.at
	for isDigit(p.peek()) {
		p.at++
	}
	return p.at > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
