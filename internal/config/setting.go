package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenjar/tokenjar/cookie"
)

// A setting is one field of a struct, as its tags describe it.
type setting struct {
	key      string // "session.idle"; of an entry of a list, "path"
	env      string // "TOKENJAR_SESSION_IDLE"
	index    []int  // of the field, from the struct of the schema
	typ      reflect.Type
	def      string
	example  string
	enum     []string
	min, max string
	doc      string
	entries  *schema // of a list of mappings; nil otherwise
}

func (s setting) field(in reflect.Value) reflect.Value { return in.FieldByIndex(s.index) }

// required reports whether there is neither a default nor an empty value.
func (s setting) required() bool { return s.example != "" }

// orEmpty reports whether a setting of few values may have none.
func (s setting) orEmpty() bool { return s.def == "" }

const envPrefix = "TOKENJAR_"

// envName returns the environment variable of a setting.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// kind is what a setting takes, in the words of a mistake.
type kind string

const (
	textKind     kind = "text"
	boolKind     kind = "true or false"
	intKind      kind = "a whole number"
	durationKind kind = "a duration, as 90s, 15m, 24h or 30d"
	sizeKind     kind = "a size, as 64KiB or 10MiB"
	listKind     kind = "a list, as [a, b]"
	methodsKind  kind = "rules for methods, as {GET: none, POST: [cookie, bearer]}"
	entriesKind  kind = "a list of sections"
)

func (s setting) kind() kind {
	switch {
	case s.entries != nil:
		return entriesKind
	case s.typ == reflect.TypeFor[time.Duration]():
		return durationKind
	case s.typ == reflect.TypeFor[Size]():
		return sizeKind
	case s.typ == reflect.TypeFor[map[string]MethodRule]():
		return methodsKind
	case s.typ.Kind() == reflect.Bool:
		return boolKind
	case s.typ.Kind() == reflect.Int:
		return intKind
	case s.typ.Kind() == reflect.Slice:
		return listKind
	}
	return textKind
}

// set reads a value as the environment has it: one text, a list separated by commas.
func (s setting) set(in reflect.Value, text string) error {
	switch s.kind() {
	case listKind:
	case entriesKind, methodsKind:
		return fmt.Errorf("is %s: write it into the file", s.kind())
	default:
		return s.setOne(in, text)
	}
	var items []string
	if strings.TrimSpace(text) != "" {
		for item := range strings.SplitSeq(text, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return s.setList(in, items)
}

// setOne sets a setting that is no list.
func (s setting) setOne(in reflect.Value, text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	field := s.field(in)
	switch s.kind() {
	case durationKind:
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		if least, most := mustDuration(s.min), mustDuration(s.max); d < least || d > most {
			return fmt.Errorf("%s is out of range: use %s to %s", shown(text), s.min, s.max)
		}
		field.SetInt(int64(d))
	case sizeKind:
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		if n < mustSize(s.min) || n > mustSize(s.max) {
			return fmt.Errorf("%s is out of range: use %s to %s", shown(text), s.min, s.max)
		}
		field.SetInt(int64(n))
	case boolKind:
		if text != "true" && text != "false" {
			return fmt.Errorf("%s: write true or false", shown(text))
		}
		field.SetBool(text == "true")
	case intKind:
		n, err := strconv.Atoi(text)
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%s is out of range: use %s to %s", shown(text), s.min, s.max)
		}
		if err != nil || strconv.Itoa(n) != text { // 010 and +1 mean different things to different readers
			return fmt.Errorf("%s: write a whole number in plain digits", shown(text))
		}
		if n < mustInt(s.min) || n > mustInt(s.max) {
			return fmt.Errorf("%d is out of range: use %s to %s", n, s.min, s.max)
		}
		field.SetInt(int64(n))
	default:
		if err := s.checkEnum(text); err != nil {
			return err
		}
		field.SetString(text)
	}
	return nil
}

func (s setting) checkEnum(text string) error {
	if len(s.enum) == 0 || text == "" && s.orEmpty() {
		return nil
	}
	for _, e := range s.enum {
		if e == text {
			return nil
		}
	}
	if s.key == "token.algorithm" && text == "HS256" {
		return errors.New("HS256 is for programs that embed the library: every service that could verify it could also " +
			"sign; use ES256")
	}
	last, none := len(s.enum)-1, ""
	if s.orEmpty() {
		none = `, or "" for none`
	}
	return fmt.Errorf("%s is not known: use %s or %s%s%s", shown(text), strings.Join(s.enum[:last], ", "), s.enum[last], none,
		suggest(text, s.enum))
}

// setList sets a setting that is a list.
func (s setting) setList(in reflect.Value, items []string) error {
	field := s.field(in)
	list := reflect.MakeSlice(s.typ, 0, len(items))
	for i, item := range items {
		err := checkText(item)
		if err == nil && item == "" {
			err = errors.New("is empty: remove it")
		}
		var value any = item
		if err == nil && s.typ.Elem() == reflect.TypeFor[cookie.Scope]() {
			value, err = parseScope(item)
		}
		if err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
		list = reflect.Append(list, reflect.ValueOf(value))
	}
	if len(items) == 0 {
		list = reflect.Zero(s.typ)
	}
	field.Set(list)
	return nil
}

// get returns the value of a setting as texts, for print: one, unless it is a list.
func (s setting) get(in reflect.Value) []string {
	field := s.field(in)
	switch v := field.Interface().(type) {
	case time.Duration:
		return []string{formatDuration(v)}
	case []string:
		return v
	case map[string]MethodRule:
		return []string{formatMethods(v)}
	case []cookie.Scope:
		texts := make([]string, len(v))
		for i, scope := range v {
			texts[i] = formatScope(scope)
		}
		return texts
	}
	text := fmt.Sprint(field.Interface())
	if s.key == "database" {
		text = hidePassword(text)
	}
	return []string{text}
}

// checkText reports why a text cannot be a value: everything here is printed on one line and sent in headers.
func checkText(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("is not valid UTF-8")
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("contains %U, which cannot be printed: remove it", r)
		}
	}
	return nil
}

const day = 24 * time.Hour

// parseDuration reads a duration as Go writes it, with d for days in front: 1d12h, 30d, 10s. 0 needs no unit.
func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%s is no duration: write %s", shown(text), strings.TrimPrefix(string(durationKind), "a duration, as "))
	var days time.Duration
	rest := text
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 31)
		if err != nil || n > uint64((1<<63-1)/day) {
			return 0, bad
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			return days, nil
		}
		if rest[0] < '0' || rest[0] > '9' {
			return 0, bad
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		if rest != "" && strings.Trim(rest, "0123456789.") == "" {
			return 0, fmt.Errorf("%s has no unit: write %ss for seconds, %sm for minutes", shown(text), rest, rest)
		}
		return 0, bad
	}
	if d > 0 && days > (1<<63-1)-d {
		return 0, bad
	}
	return days + d, nil
}

// formatDuration writes a duration so that parseDuration reads it back, in the largest units that are whole.
func formatDuration(d time.Duration) string {
	if d <= 0 || d%time.Second != 0 {
		return d.String()
	}
	var b strings.Builder
	if n := d / day; n > 1 || d == day { // 36h reads better than 1d12h
		fmt.Fprintf(&b, "%dd", n)
		d %= day
	}
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			d %= unit.size
		}
	}
	return b.String()
}

func mustDuration(text string) time.Duration {
	d, err := parseDuration(text)
	if err != nil {
		panic("config: tag: " + err.Error())
	}
	return d
}

func mustSize(text string) Size {
	n, err := parseSize(text)
	if err != nil {
		panic("config: tag: " + err.Error())
	}
	return n
}

func mustInt(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic("config: tag: " + err.Error())
	}
	return n
}

// parseScope reads /path, /path@domain or /@domain.
func parseScope(text string) (cookie.Scope, error) {
	scope := cookie.Scope{Path: text}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		scope = cookie.Scope{Path: text[:at], Domain: text[at+1:]}
		if scope.Domain == "" {
			return scope, fmt.Errorf("%s has no domain after the @", shown(text))
		}
	}
	if !strings.HasPrefix(scope.Path, "/") {
		return scope, fmt.Errorf("%s does not begin with a path: write /app or /@example.com", shown(text))
	}
	return scope, nil
}

func formatScope(s cookie.Scope) string {
	text := s.Path
	if text == "" {
		text = "/"
	}
	if s.Domain != "" {
		text += "@" + s.Domain
	}
	return text
}
