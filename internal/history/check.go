package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Rules say what a history must be explained by.
type Rules struct {
	// Grace says that no replay came later than the grace after its rotation: then the token before the newest must be
	// answered, and nobody may be told that a session is over which is not. Otherwise such a token may end the session.
	Grace bool
	// ReadLag is how long a read may still be answered by what was true before: the bound within which a node learns of
	// revocations by others. Zero: every read is answered by the node that revokes.
	ReadLag time.Duration
	// Timeout bounds the search. Default: one minute.
	Timeout time.Duration
}

// Check returns nil when one sequence of events explains the history of each session, and otherwise an error that shows the
// session whose history none explains.
func Check(ops []Op, rules Rules) error {
	if rules.Timeout == 0 {
		rules.Timeout = time.Minute
	}
	sessions := make(map[string][]Op)
	first := make(map[string]string) // session by each refresh token that somebody was given
	for _, op := range ops {
		if op.Kind == Login && op.Outcome != OK {
			continue // nobody has its tokens
		}
		if op.Outcome == Refused {
			continue // nothing happened
		}
		if op.Session == "" {
			return fmt.Errorf("no session: %s", op)
		}
		sessions[op.Session] = append(sessions[op.Session], op)
		if op.Successor != "" {
			if other, known := first[op.Successor]; known && other != op.Session {
				return fmt.Errorf("sessions %s and %s have the token %s: %s", other, op.Session, op.Successor, op)
			}
			first[op.Successor] = op.Session
		}
	}
	model := rules.model()
	for session, ops := range sessions {
		var history []porcupine.Operation
		for i, op := range ops {
			if op.Kind == Refresh && op.Outcome == Ended {
				// It looks at the session twice: when it rotates, and before it is answered. An end that came in between
				// takes its answer and leaves the rotation.
				begun := step{Op: op, twin: i + 1}
				begun.Outcome = Unknown
				history = append(history, porcupine.Operation{Input: begun, Call: op.Call, Return: op.Return})
			}
			call := op.Call
			if op.Kind == Read && op.Outcome == OK {
				call -= int64(rules.ReadLag)
			}
			history = append(history, porcupine.Operation{Input: step{Op: op, twin: i + 1}, Call: call, Return: op.Return})
		}
		switch result := porcupine.CheckOperationsTimeout(model, history, rules.Timeout); result {
		case porcupine.Ok:
		case porcupine.Unknown:
			return fmt.Errorf("session %s: %d operations could not be checked within %s", session, len(ops), rules.Timeout)
		default:
			return fmt.Errorf("session %s: no order of events explains\n%s", session, show(ops))
		}
	}
	return nil
}

// show returns operations line by line, in the order of their calls, with times from the first one on.
func show(ops []Op) string {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	zero := ops[0].Call
	for _, op := range ops {
		op.Call -= zero
		if op.Return != math.MaxInt64 {
			op.Return -= zero
		}
		fmt.Fprintln(&text, op)
	}
	return text.String()
}

// state is a session as the events so far have made it.
type state struct {
	open   bool
	ended  bool
	newest string // refresh token; unnamed when nobody has been told of it
	parent string // the token that was spent for it
	by     int    // the twin that rotated last; 0: none
}

// A step is an operation, or one of the two that a refresh is which was told of an end. Both have one number.
type step struct {
	Op
	twin int
}

// unnamed is a newest token that a rotation made whose answer nobody has seen. Whoever shows its parent again learns the
// name.
const unnamed = "?"

// model is the life of one session. Each step says which states may follow; none means that the event cannot be.
func (rules Rules) model() porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init:  func() []any { return []any{state{}} },
		Step:  func(s, in, _ any) []any { return rules.step(s.(state), in.(step)) },
		Equal: func(a, b any) bool { return a == b },
	}).ToModel()
}

func (rules Rules) step(s state, op step) []any {
	switch op.Kind {
	case Login:
		if s.open {
			return nil
		}
		return []any{state{open: true, newest: op.Successor}}
	case Refresh:
		return rules.refresh(s, op)
	case Revoke:
		over := s
		over.ended = true
		if op.Outcome == Unknown {
			return []any{s, over}
		}
		return []any{over}
	case Read:
		if op.Outcome == Unknown || (op.Outcome == Ended) == s.ended {
			return []any{s}
		}
	}
	return nil
}

func (rules Rules) refresh(s state, op step) []any {
	over := s
	over.ended = true
	if s.ended {
		if op.Outcome == OK {
			return nil
		}
		return []any{s}
	}
	rotated := state{open: true, newest: op.Successor, parent: op.Token, by: op.twin}
	switch {
	case op.Token == s.newest && op.Outcome == OK:
		if op.Successor == s.newest || op.Successor == s.parent || op.Successor == "" {
			return nil
		}
		return []any{rotated}
	case op.Token == s.newest && op.Outcome == Unknown:
		rotated.newest = unnamed
		return []any{s, rotated}
	case op.Token == s.newest:
		return nil // the newest token of a live session is never refused
	case op.Token == s.parent && op.Outcome == OK:
		if s.newest != unnamed && s.newest != op.Successor {
			return nil // a second successor: a fork
		}
		rotated.by = s.by
		return []any{rotated}
	case op.Token == s.parent && op.Outcome == Unknown && rules.Grace:
		return []any{s}
	case op.Token == s.parent && (rules.Grace || op.Outcome == Ended && s.by == op.twin):
		return nil // an honest replay was refused, or the newest token, after it had been rotated
	case op.Outcome == OK:
		return nil // an older token was answered
	case op.Outcome == Unknown:
		return []any{s, over}
	}
	return []any{over} // reuse
}
