package history_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/history"
)

// at builds an operation by hand. Until 0 it is never answered.
func at(call, until int64, kind history.Kind, token string, told history.Outcome, successor string) history.Op {
	if until == 0 {
		until = math.MaxInt64
	}
	return history.Op{
		Client: "c", Session: "s", Kind: kind, Token: token, Outcome: told, Successor: successor, Call: call, Return: until,
	}
}

func login() history.Op { return at(1, 2, history.Login, "", history.OK, "t1") }

func refresh(call, until int64, token string, told history.Outcome, successor string) history.Op {
	return at(call, until, history.Refresh, token, told, successor)
}

func revoke(call, until int64, told history.Outcome) history.Op {
	return at(call, until, history.Revoke, "", told, "")
}

func read(call, until int64, told history.Outcome) history.Op {
	return at(call, until, history.Read, "", told, "")
}

const (
	ok      = history.OK
	ended   = history.Ended
	unknown = history.Unknown
)

// A checker that lets a bad history pass would prove nothing.
func TestCheck(t *testing.T) {
	grace := history.Rules{Grace: true}
	for _, tc := range []struct {
		name  string
		rules history.Rules
		good  bool
		ops   []history.Op
	}{
		{"a chain", grace, true, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t2", ok, "t3")}},
		{"two at once with one successor", grace, true, []history.Op{login(), refresh(3, 6, "t1", ok, "t2"), refresh(4, 5, "t1", ok, "t2")}},
		{"a replay with the same successor", grace, true, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t1", ok, "t2")}},
		{"fork: two successors of one token, at once", grace, false, []history.Op{login(), refresh(3, 6, "t1", ok, "t2"), refresh(4, 5, "t1", ok, "t2b")}},
		{"fork: two successors of one token, one after the other", history.Rules{}, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t1", ok, "t2b")}},
		{"fork: both branches go on", history.Rules{}, false, []history.Op{login(), refresh(3, 6, "t1", ok, "t2"), refresh(4, 5, "t1", ok, "t2b"), refresh(7, 9, "t2", ok, "t3"), refresh(8, 10, "t2b", ok, "t3b")}},
		{"a token that is its own successor", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t1")}},
		{"ok without a successor", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "")}},
		{"an older token is answered", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t2", ok, "t3"), refresh(7, 8, "t1", ok, "t2")}},
		{"an older token ends the session", grace, true, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t2", ok, "t3"), refresh(7, 8, "t1", ended, ""), refresh(9, 10, "t3", ended, ""), read(11, 12, ended)}},
		{"reuse was reported, yet the session goes on", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t2", ok, "t3"), refresh(7, 8, "t1", ended, ""), refresh(9, 10, "t3", ok, "t4")}},
		{"the newest token is refused", history.Rules{}, false, []history.Op{login(), refresh(3, 4, "t1", ended, "")}},
		{"an honest replay is refused within the grace", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t1", ended, "")}},
		{"a late replay is refused", history.Rules{}, true, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t1", ended, ""), refresh(7, 8, "t2", ended, "")}},
		{"a late replay is refused, yet the session goes on", history.Rules{}, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t1", ended, ""), refresh(7, 8, "t2", ok, "t3")}},

		{"nothing after the end", grace, true, []history.Op{login(), revoke(3, 4, ok), refresh(5, 6, "t1", ended, ""), read(7, 8, ended)}},
		{"ok after the end", grace, false, []history.Op{login(), revoke(3, 4, ok), refresh(5, 6, "t1", ok, "t2")}},
		{"a replay after the end", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), revoke(5, 6, ok), refresh(7, 8, "t1", ok, "t2")}},
		{"ok beside the end may be before it", grace, true, []history.Op{login(), revoke(3, 6, ok), refresh(4, 7, "t1", ok, "t2")}},
		{"ok beside the end cannot be before it when another has seen the end", grace, false, []history.Op{login(), revoke(3, 9, ok), refresh(4, 5, "t1", ended, ""), refresh(6, 7, "t1", ok, "t2")}},
		{"a read after the end", grace, false, []history.Op{login(), revoke(3, 4, ok), read(5, 6, ok)}},
		{"a read after the end within the bound", history.Rules{Grace: true, ReadLag: 3}, true, []history.Op{login(), revoke(3, 4, ok), read(6, 7, ok)}},
		{"a read after the end and the bound", history.Rules{Grace: true, ReadLag: 3}, false, []history.Op{login(), revoke(3, 4, ok), read(8, 9, ok)}},
		{"a read is refused for nothing", grace, false, []history.Op{login(), read(3, 4, ended)}},

		{"a rotation whose answer the end overtook makes its parent's parent old", grace, true, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 9, "t2", ended, ""), refresh(6, 7, "t1", ended, ""), refresh(10, 11, "t2", ended, "")}},
		{"the same, but the rotation began when the session was over", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(8, 9, "t2", ended, ""), refresh(6, 7, "t1", ended, "")}},
		{"a newest token is refused while nobody ends the session", grace, false, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 9, "t2", ended, ""), refresh(6, 7, "t1", ok, "t2")}},
		{"an unknown end that happened", grace, true, []history.Op{login(), revoke(3, 0, unknown), refresh(5, 6, "t1", ended, "")}},
		{"an unknown end that did not", grace, true, []history.Op{login(), revoke(3, 0, unknown), refresh(5, 6, "t1", ok, "t2")}},
		{"an unknown end that happened later", grace, true, []history.Op{login(), revoke(3, 0, unknown), refresh(5, 6, "t1", ok, "t2"), refresh(7, 8, "t2", ended, "")}},
		{"an unknown end that happened and then did not", grace, false, []history.Op{login(), revoke(3, 0, unknown), refresh(5, 6, "t1", ended, ""), refresh(7, 8, "t1", ok, "t2")}},
		{"an unknown rotation that happened: the same token again", grace, true, []history.Op{login(), refresh(3, 0, "t1", unknown, ""), refresh(5, 6, "t1", ok, "t2"), refresh(7, 8, "t1", ok, "t2"), refresh(9, 10, "t2", ok, "t3")}},
		{"an unknown rotation, then a fork", grace, false, []history.Op{login(), refresh(3, 0, "t1", unknown, ""), refresh(5, 6, "t1", ok, "t2"), refresh(7, 8, "t1", ok, "t2b")}},
		{"an unknown refresh of an older token may have ended the session", grace, true, []history.Op{login(), refresh(3, 4, "t1", ok, "t2"), refresh(5, 6, "t2", ok, "t3"), refresh(7, 0, "t1", unknown, ""), read(9, 10, ended)}},
		{"what was refused for being too much has not happened", grace, true, []history.Op{login(), refresh(3, 4, "t1", history.Refused, ""), refresh(5, 6, "t1", ok, "t2")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := history.Check(tc.ops, tc.rules); (err == nil) != tc.good {
				t.Errorf("got %v", err)
			} else if err != nil && !strings.Contains(err.Error(), "session s: no order") {
				t.Errorf("the message is %v", err)
			}
		})
	}
}

func TestCheckTellsSessionsApart(t *testing.T) {
	a, b := login(), login()
	b.Session = "s2"
	if err := history.Check([]history.Op{a, b}, history.Rules{}); err == nil {
		t.Error("two sessions with one token were taken")
	}
	b.Successor = "u1"
	if err := history.Check([]history.Op{a, b, revoke(3, 4, ok), {Session: "s2", Kind: history.Refresh, Token: "u1", Outcome: ok, Successor: "u2", Call: 5, Return: 6}}, history.Rules{}); err != nil {
		t.Error(err)
	}
	if err := history.Check([]history.Op{{Kind: history.Refresh, Token: "t1", Outcome: ok, Successor: "t2"}}, history.Rules{}); err == nil {
		t.Error("an operation of no session was taken")
	}
}

// The search must not explode when many answers are missing.
func TestCheckManyUnknown(t *testing.T) {
	ops := []history.Op{login()}
	for n := int64(1); n <= 40; n++ {
		token, next := fmt.Sprint("t", n), fmt.Sprint("t", n+1)
		ops = append(ops, refresh(n*10, 0, token, unknown, ""), refresh(n*10+1, n*10+5, token, ok, next), refresh(n*10+2, n*10+6, token, ok, next))
	}
	start := time.Now()
	if err := history.Check(ops, history.Rules{Grace: true}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAJournalIsReadAgain(t *testing.T) {
	var clock int64
	var first, second bytes.Buffer
	j := &history.Journal{Now: func() int64 { clock++; return clock }, W: &first}
	j.Begin(history.Op{Client: "a", Kind: history.Login}).End(history.OK, "s", "t1", "")
	begun := j.Begin(history.Op{Client: "a", Kind: history.Refresh, Session: "s", Token: "t1"})
	killed := &history.Journal{Now: j.Now, W: &second}
	killed.Begin(history.Op{Client: "b", Kind: history.Refresh, Session: "s", Token: "t1"})
	begun.End(history.OK, "", "t2", "200")
	if err := j.Err(); err != nil {
		t.Fatal(err)
	}
	second.WriteString(`{"n":1,"clie`) // the process was killed in the middle of a line
	var paths []string
	for i, text := range []*bytes.Buffer{&first, &second} {
		paths = append(paths, filepath.Join(t.TempDir(), fmt.Sprint(i)))
		if err := os.WriteFile(paths[i], text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ops, err := history.ReadJournals(paths...)
	if err != nil {
		t.Fatal(err)
	}
	want := append(j.Ops(), killed.Ops()...)
	if fmt.Sprint(ops) != fmt.Sprint(want) || len(ops) != 3 || ops[2].Outcome != history.Unknown || ops[2].Return != math.MaxInt64 {
		t.Errorf("got\n%v\nwant\n%v", ops, want)
	}
	if err := history.Check(ops, history.Rules{Grace: true}); err != nil {
		t.Error(err)
	}
	if history.Name("a token") == "a token" || history.Name("a token") != history.Name("a token") || history.Name("") != "" {
		t.Error("names of tokens")
	}
}
