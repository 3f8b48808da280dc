package password

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The codes of a [Violation].
const (
	CodeTooShort    = "too_short"
	CodeTooLong     = "too_long"
	CodeCommon      = "common"
	CodeSimilar     = "similar"
	CodeInvalidUTF8 = "invalid_utf8"
)

// A Policy says which passwords may be chosen. The zero value is the recommended one.
type Policy struct {
	// Min is the least number of characters (code points). Default: 8.
	Min int
	// Max is the greatest. Default: 128. A password never exceeds [MaxBytes] bytes either.
	Max int
}

// A Violation is one rule a password breaks: a stable code and a public sentence.
type Violation struct {
	Code   string
	Detail string
}

// A PolicyError lists every rule a password breaks. It holds nothing of the password.
type PolicyError struct {
	Violations []Violation
}

// Error gives the codes.
func (e *PolicyError) Error() string {
	codes := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		codes[i] = v.Code
	}
	return "password: refused by policy: " + strings.Join(codes, ", ")
}

// Check returns a [*PolicyError] when password may not be chosen, nil otherwise. own are the user's name, mail
// address and the like; empty ones are ignored.
//
// A password is common when, without case, it is on the list of common passwords, is one English word or name, is a
// repetition or a run along the alphabet or the keyboard, or is one of these with a few digits or signs around it or
// in place of letters (OWASP ASVS 5.0, 6.2.4). It is similar when it is part of one of own, or contains one, or a
// word of one, of at least four characters and has fewer than Min characters beside it; shorter ones count only when
// equal.
//
// There are no composition rules, and any character may be used, blanks and controls included. It is judged as typed.
// Bytes that are not UTF-8 are refused, since no two clients would send them alike.
func (p Policy) Check(password string, own ...string) error {
	least, most := orDefault(p.Min, 8), orDefault(p.Max, 128)
	if !utf8.ValidString(password) {
		return &PolicyError{[]Violation{{CodeInvalidUTF8, "The password is not valid UTF-8."}}}
	}
	length := utf8.RuneCountInString(password)
	if length > most || len(password) > MaxBytes {
		// The other rules are skipped: their work is for passwords that could be stored.
		return &PolicyError{[]Violation{{CodeTooLong, fmt.Sprintf("Use at most %d characters.", most)}}}
	}
	var e PolicyError
	if length < least {
		e.Violations = append(e.Violations, Violation{CodeTooShort, fmt.Sprintf("Use at least %d characters.", least)})
	}
	if isCommon(password) {
		e.Violations = append(e.Violations, Violation{CodeCommon, "This password is among the first that are guessed."})
	}
	if isSimilar(password, least, own) {
		e.Violations = append(e.Violations, Violation{CodeSimilar, "This password is too much like your name or e-mail address."})
	}
	if e.Violations == nil {
		return nil
	}
	return &e
}

// minPart is the least length at which a part of a name counts when it is contained in a password.
const minPart = 4

func isSimilar(password string, least int, own []string) bool {
	lower := strings.ToLower(password)
	for _, o := range own {
		o = strings.ToLower(strings.TrimSpace(o))
		if o == "" || lower == "" {
			continue
		}
		if lower == o || utf8.RuneCountInString(lower) >= minPart && strings.Contains(o, lower) {
			return true
		}
		local, _, _ := strings.Cut(o, "@")
		words := strings.FieldsFunc(o, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, part := range append(words, o, local) {
			if lower == part {
				return true
			}
			if utf8.RuneCountInString(part) < minPart {
				continue
			}
			rest := strings.ReplaceAll(lower, part, "")
			if rest != lower && utf8.RuneCountInString(rest) < least {
				return true
			}
		}
	}
	return false
}
