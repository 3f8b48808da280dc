// Package history records what concurrent clients asked and were told, and checks that one sequence of events explains it
// all: one successor for each refresh token, nothing after an acknowledged end, nobody signed out for nothing.
//
// A [Journal] is written by clients, in one process or, as files, in several; [Storm] is a set of such clients; [Check] is
// the judgement, by linearizability (package porcupine). What a client was not told, because the server was killed or
// answered 503, may have happened, then or later, or not.
package history

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"
)

// A Kind is what a client asked for.
type Kind string

// The kinds.
const (
	Login   Kind = "login"   // opens Session; Successor is its first refresh token
	Refresh Kind = "refresh" // spends Token; Successor is the refresh token it was given
	Revoke  Kind = "revoke"  // ends Session
	Read    Kind = "read"    // asks for something with an access token of Session
)

// An Outcome is what a client was told.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Ended   Outcome = "ended"   // the session is over
	Refused Outcome = "refused" // nothing happened, try again: too many at once
	Unknown Outcome = "unknown" // no answer, or one that promises nothing
)

// An Op is one question with its answer. Tokens are named by [Name].
type Op struct {
	Client    string  `json:"client"`
	Kind      Kind    `json:"kind"`
	Session   string  `json:"session"`
	Token     string  `json:"token,omitempty"`
	Outcome   Outcome `json:"outcome,omitempty"`
	Successor string  `json:"successor,omitempty"`
	Note      string  `json:"note,omitempty"` // for people: what the answer said
	Call      int64   `json:"call"`           // nanoseconds, by a clock that all clients share
	Return    int64   `json:"return,omitempty"`
}

// String returns the operation as one line.
func (o Op) String() string {
	line := fmt.Sprintf("%d–%d %s: %s %s", o.Call, o.Return, o.Client, o.Kind, o.Token)
	if o.Return == math.MaxInt64 {
		line = fmt.Sprintf("%d–… %s: %s %s", o.Call, o.Client, o.Kind, o.Token)
	}
	line += " → " + string(o.Outcome)
	if o.Successor != "" {
		line += " " + o.Successor
	}
	if o.Note != "" {
		line += " (" + o.Note + ")"
	}
	return line
}

// Name returns a short name for a token: a journal is no place for secrets.
func Name(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:6])
}

// A Journal is what clients write down. It is safe for concurrent use.
type Journal struct {
	// Now is the clock of all clients, in nanoseconds. Default: this machine's, which its processes share.
	Now func() int64
	// W takes two lines for each operation, one before it and one after it, so that a process may be killed at any moment.
	// Nil: the journal is kept in memory alone.
	W io.Writer

	mu   sync.Mutex
	ops  []Op
	errs []error
}

// An Entry is an operation that has begun.
type Entry struct {
	journal *Journal
	index   int
}

// Begin writes down that a client is about to ask. Its Outcome is unknown until End.
func (j *Journal) Begin(op Op) *Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	op.Outcome, op.Call, op.Return = Unknown, j.now(), math.MaxInt64
	j.ops = append(j.ops, op)
	j.write(line{len(j.ops) - 1, op})
	return &Entry{j, len(j.ops) - 1}
}

// End writes down what the client was told. successor is a refresh token's name, for a login or a refresh that is ok;
// session a login's.
func (e *Entry) End(told Outcome, session, successor, note string) {
	j := e.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	op := &j.ops[e.index]
	op.Outcome, op.Successor, op.Note = told, successor, note
	if session != "" {
		op.Session = session
	}
	if told != Unknown {
		op.Return = j.now()
	}
	j.write(line{e.index, *op})
}

func (j *Journal) now() int64 {
	if j.Now != nil {
		return j.Now()
	}
	return time.Now().UnixNano()
}

// A line is an operation with its place in the journal of one process.
type line struct {
	N int `json:"n"`
	Op
}

func (j *Journal) write(l line) {
	if j.W == nil {
		return
	}
	data, err := json.Marshal(l)
	if err == nil {
		_, err = j.W.Write(append(data, '\n'))
	}
	if err != nil {
		j.errs = append(j.errs, err)
	}
}

// Ops returns the operations so far. Those that have not ended are unknown.
func (j *Journal) Ops() []Op {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Op(nil), j.ops...)
}

// Err returns what went wrong with writing the journal.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.errs...)
}

// ReadJournals returns the operations in journals that processes have written. The last line of each may be torn.
func ReadJournals(paths ...string) ([]Op, error) {
	var all []Op
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		ops, err := read(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, ops...)
	}
	return all, nil
}

func read(r io.Reader) ([]Op, error) {
	var ops []Op
	lines := bufio.NewReader(r)
	for {
		text, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return ops, nil // what stands behind the last end of line is torn
		}
		if err != nil {
			return nil, err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("line %q: %w", text, err)
		}
		switch {
		case l.N == len(ops):
			ops = append(ops, l.Op)
		case l.N >= 0 && l.N < len(ops):
			ops[l.N] = l.Op
		default:
			return nil, fmt.Errorf("operation %d stands where %d is expected", l.N, len(ops))
		}
	}
}
