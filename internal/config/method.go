package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/session"
)

// A MethodRule is what a route asks of one method.
type MethodRule struct {
	Auth       string // required, optional or none
	OnlyCookie bool   // what required is satisfied by; neither: both
	OnlyBearer bool
}

// methodNames are the methods that may have a rule.
var methodNames = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// ruleWords are the rules that are one word.
var ruleWords = []string{"required", "optional", "none", "cookie", "bearer"}

// parseRule reads a rule that is one word.
func parseRule(word string) (MethodRule, error) {
	switch word {
	case "required", "optional", "none":
		return MethodRule{Auth: word}, nil
	case "cookie":
		return MethodRule{Auth: "required", OnlyCookie: true}, nil
	case "bearer":
		return MethodRule{Auth: "required", OnlyBearer: true}, nil
	}
	return MethodRule{}, fmt.Errorf("%s is no rule: use required, optional, none, or a list of cookie and bearer%s", shown(word),
		suggest(word, ruleWords))
}

// parseRuleList reads a rule that is a list of what a request may be authenticated by.
func parseRuleList(words []string) (MethodRule, error) {
	if len(words) == 0 {
		return MethodRule{}, errors.New("names nothing by which a request may be authenticated: write none to let anybody in")
	}
	for i, word := range words {
		switch {
		case word != "cookie" && word != "bearer":
			return MethodRule{}, fmt.Errorf("item %d: %s is none: a list holds cookie, bearer or both%s", i+1, shown(word),
				suggest(word, []string{"cookie", "bearer"}))
		case slices.Contains(words[:i], word):
			return MethodRule{}, fmt.Errorf("item %d: %s stands twice", i+1, word)
		}
	}
	if len(words) == 2 {
		return MethodRule{Auth: "required"}, nil
	}
	return parseRule(words[0])
}

// word writes a rule so that parseRule reads it back.
func (r MethodRule) word() string {
	switch {
	case r.OnlyCookie:
		return "cookie"
	case r.OnlyBearer:
		return "bearer"
	}
	return r.Auth
}

// checkMethods reports rules that no file could hold, in a Config that a program has made.
func checkMethods(rules map[string]MethodRule) error {
	for _, method := range slices.Sorted(maps.Keys(rules)) {
		if err := checkMethod(method); err != nil {
			return err
		}
		if rule, err := parseRule(rules[method].word()); err != nil || rule != rules[method] {
			return fmt.Errorf("%s: %+v is no rule", method, rules[method])
		}
	}
	return nil
}

func checkMethod(name string) error {
	if slices.Contains(methodNames, name) {
		return nil
	}
	return fmt.Errorf("is no method that is served: use %s%s", strings.Join(methodNames, ", "), suggest(name, methodNames))
}

// formatMethods writes rules as they stand in a file.
func formatMethods(rules map[string]MethodRule) string {
	var parts []string
	for _, method := range methodNames {
		if rule, ok := rules[method]; ok {
			parts = append(parts, method+": "+rule.word())
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// methodWords are rules as JSON has them.
func methodWords(rules map[string]MethodRule) map[string]string {
	words := make(map[string]string, len(rules))
	for method, rule := range rules {
		words[method] = rule.word()
	}
	return words
}

// proxyRules translates rules for package proxy.
func proxyRules(rules map[string]MethodRule) map[string]proxy.Rule {
	if len(rules) == 0 {
		return nil
	}
	out := make(map[string]proxy.Rule, len(rules))
	for method, rule := range rules {
		credentials := session.CookieOrBearer
		switch {
		case rule.OnlyCookie:
			credentials = session.CookieOnly
		case rule.OnlyBearer:
			credentials = session.BearerOnly
		}
		out[method] = proxy.Rule{Auth: proxy.Auth(rule.Auth), Credentials: credentials}
	}
	return out
}
