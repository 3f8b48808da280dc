package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// How lists of mappings and the rules for methods are read from the file.

// entries reads a list of mappings.
func (w *walk) entries(s setting, to spot, node ast.Node) {
	key := to.path + s.key
	w.note(key, w.place(node.GetToken()))
	sequence, isList := node.(*ast.SequenceNode)
	switch {
	case node.Type() == ast.NullType: // all lines below the heading are comments
		return
	case !isList:
		w.mistake(node.GetToken(), key, "is a list of sections: begin each with a hyphen, or write [{name: value}]")
		return
	case len(sequence.Values) == 0:
		return
	}
	s.field(to.in).Set(reflect.MakeSlice(s.typ, len(sequence.Values), len(sequence.Values)))
	for i, item := range sequence.Values {
		entry := to.entry(s, i)
		entry.fill(entry.in)
		name := strings.TrimSuffix(entry.path, ".")
		w.note(name, w.place(item.GetToken()))
		if item.Type() == ast.NullType {
			w.mistake(item.GetToken(), name, "is empty: remove it, or write its settings")
			continue
		}
		w.section(item, entry, "")
	}
}

// methods reads the rules of a route for single methods.
func (w *walk) methods(key string, node ast.Node) (rules map[string]MethodRule, ok bool) {
	mapping, isMapping := node.(*ast.MappingNode)
	if !isMapping {
		w.mistake(node.GetToken(), key, "must be %s, not %s", methodsKind, word(node))
		return nil, false
	}
	ok = true
	for name, entry := range w.names(mapping, "a method", key+".") {
		of := printable(key + "." + name)
		if err := checkMethod(name); err != nil {
			w.mistake(entry.Key.GetToken(), of, "%v", err)
			ok = false
			continue
		}
		rule, right := w.rule(of, entry.Value)
		if ok = ok && right; !ok {
			continue
		}
		if rules == nil {
			rules = make(map[string]MethodRule)
		}
		rules[name] = rule
	}
	return rules, ok
}

// rule reads the rule of one method.
func (w *walk) rule(key string, node ast.Node) (rule MethodRule, ok bool) {
	var err error
	switch text, one := scalar(node); {
	case w.unsupported(node, key):
		return rule, false
	case one && node.Type() == ast.StringType:
		rule, err = parseRule(text)
	case node.Type() == ast.SequenceType:
		items, ok := w.list(key, node)
		if !ok {
			return rule, false
		}
		rule, err = parseRuleList(items)
	default:
		err = fmt.Errorf("must be required, optional, none, or a list of cookie and bearer, not %s", word(node))
	}
	if err != nil {
		w.mistake(node.GetToken(), key, "%v", err)
	}
	return rule, err == nil
}
