package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// A Rule is a demand on one claim. Each field adds a condition; the zero Rule only asks that the claim, if present,
// is not blank.
type Rule struct {
	// Essential: the claim must be present. Without it, the other conditions bind only when it is.
	Essential bool

	// Value, if not nil, is what the claim must equal; Values, if not nil, are what it may equal. Give one or
	// neither. A claim that is a list meets them when one of its elements does. Values are compared as JSON, numbers
	// by their text: 1 is not 1.0.
	Value  any
	Values []any

	// AllowBlank accepts "", [] and {}, and null unless the claim is Essential. Where Value or Values are given, a blank
	// claim must meet them like any other.
	AllowBlank bool
}

type compiledRule struct {
	Rule
	claim   string
	allowed []any // nil: anything
}

// compileRules brings the allowed values to the form claims have after decoding.
func compileRules(rules map[string]Rule) ([]compiledRule, error) {
	var compiled []compiledRule
	for _, claim := range slices.Sorted(maps.Keys(rules)) {
		rule := rules[claim]
		allowed := rule.Values
		if rule.Value != nil {
			if allowed != nil {
				return nil, fmt.Errorf("rule for %q has both Value and Values", claim)
			}
			allowed = []any{rule.Value}
		}
		if allowed != nil {
			if len(allowed) == 0 {
				return nil, fmt.Errorf("rule for %q allows no value", claim)
			}
			encoded, err := json.Marshal(allowed)
			if err != nil {
				return nil, fmt.Errorf("rule for %q: %w", claim, err)
			}
			var decoded any
			if err := strictjson.Unmarshal(encoded, &decoded, maxClaimsDepth); err != nil {
				return nil, fmt.Errorf("rule for %q: %w", claim, err)
			}
			allowed = decoded.([]any)
		}
		if claim == "" {
			return nil, errors.New("rule for a claim without name")
		}
		compiled = append(compiled, compiledRule{Rule: rule, claim: claim, allowed: allowed})
	}
	return compiled, nil
}

// judge returns why claims break the rule, "" if they do not.
func (r *compiledRule) judge(claims Claims) string {
	value, present := claims[r.claim]
	switch {
	case !present && r.Essential:
		return "missing"
	case !present:
		return ""
	case isBlank(value) && (!r.AllowBlank || value == nil && r.Essential):
		return "blank"
	case r.allowed != nil && !r.allows(value):
		return "value not allowed"
	}
	return ""
}

func (r *compiledRule) allows(value any) bool {
	is := func(value any) bool {
		return slices.ContainsFunc(r.allowed, func(allowed any) bool { return reflect.DeepEqual(allowed, value) })
	}
	list, ok := value.([]any)
	return is(value) || ok && slices.ContainsFunc(list, is)
}

func isBlank(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}
