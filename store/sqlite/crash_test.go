package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// The crash test runs this test binary again as a child that signs in, rotates and revokes in several goroutines, and
// kills it with SIGKILL at a random moment. The child keeps a journal, flushed to disk: a line "?" before each operation
// and a line "!" after it was acknowledged. What is acknowledged must be in the database afterwards.

const (
	childDir  = "TOKENJAR_CRASH_DIR" // tells the binary that it is the child
	childMode = "TOKENJAR_CRASH_MODE"
)

// childMain is the child. It runs until it is killed, or in mode "open" until it has opened the database.
func childMain(dir string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	fmt.Println("started")
	s, err := Open(context.Background(), filepath.Join(dir, "tokenjar.db"), quiet())
	if err != nil {
		fail(err)
	}
	if os.Getenv(childMode) == "open" {
		if err := s.Close(); err != nil {
			fail(err)
		}
		return
	}
	file, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fail(err)
	}
	var mu sync.Mutex
	journal := func(mark string, op ...any) {
		mu.Lock()
		defer mu.Unlock()
		line := mark + " " + fmt.Sprintln(op...)
		if _, err := file.WriteString(line); err != nil {
			fail(err)
		}
		if err := file.Sync(); err != nil {
			fail(err)
		}
		if mark == "!" {
			fmt.Print(line) // counted by the parent
		}
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for {
				if err := stormOnce(s, journal); err != nil {
					fail(err)
				}
			}
		})
	}
	wg.Wait()
}

// stormOnce lives one session: sign-in, some rotations of which every token is shown twice at once, then perhaps the end.
func stormOnce(s *Store, journal func(mark string, op ...any)) error {
	ctx := context.Background()
	n := newSession()
	journal("?", "login", n.ID)
	if _, _, err := s.CreateSession(ctx, n); err != nil {
		return err
	}
	journal("!", "login", n.ID)
	for token := range int64(1 + rand.IntN(8)) {
		token++
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			wg.Go(func() {
				journal("?", "rotate", n.ID, token)
				v, err := s.Rotate(ctx, show(n.ID, token))
				if errs[i] = err; err == nil {
					journal("!", "rotate", n.ID, token, v.Outcome)
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	if rand.IntN(2) == 0 {
		journal("?", "revoke", n.ID)
		if _, err := s.RevokeSessions(ctx, "", []string{n.ID}, tokenjar.ReasonLogout); err != nil {
			return err
		}
		journal("!", "revoke", n.ID)
	}
	return nil
}

// A history is what the journal says of one session.
type history struct {
	login, revokeTried, revoked bool
	tried, rotated              int64 // highest token: sent, acknowledged as rotated
	rotations                   map[int64]int
}

func readJournal(t *testing.T, path string) map[string]*history {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	sessions := make(map[string]*history)
	text := string(data)
	for line := range strings.Lines(text[:strings.LastIndex(text, "\n")+1]) { // the last line may be torn
		f := strings.Fields(line)
		h := sessions[f[2]]
		if h == nil {
			h = &history{rotations: make(map[int64]int)}
			sessions[f[2]] = h
		}
		acknowledged := f[0] == "!"
		switch f[1] {
		case "login":
			h.login = h.login || acknowledged
		case "revoke":
			h.revokeTried = true
			h.revoked = h.revoked || acknowledged
		case "rotate":
			token, err := strconv.ParseInt(f[3], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			h.tried = max(h.tried, token)
			if acknowledged && f[4] == string(tokenjar.OutcomeRotated) {
				h.rotated = max(h.rotated, token)
				h.rotations[token]++
			}
		}
	}
	return sessions
}

func TestCrashF01KilledInAStormLosesNothingAcknowledged(t *testing.T) {
	rounds := 4
	if n, err := strconv.Atoi(os.Getenv("TOKENJAR_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	dir := t.TempDir()
	acknowledged := 0
	for round := range rounds {
		// The first child dies while it creates the database or soon after.
		lines := 1
		if round > 0 {
			lines += rand.IntN(400)
		}
		killChild(t, dir, lines)
		acknowledged += checkCrash(t, dir)
	}
	if rounds > 1 && acknowledged == 0 {
		t.Fatal("no operation was acknowledged: nothing was tested")
	}
	t.Logf("%d rounds, %d acknowledged operations", rounds, acknowledged)
}

// killChild starts a child and kills it when it has said so many lines.
func killChild(t *testing.T, dir string, lines int) {
	t.Helper()
	cmd := child(t, dir, "storm")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := 0
	for scan := bufio.NewScanner(out); said < lines && scan.Scan(); {
		said++
	}
	cmd.Process.Kill()
	cmd.Wait() // "signal: killed"
	if said < lines {
		t.Fatalf("child ended by itself after %d lines", said)
	}
}

func child(t *testing.T, dir, mode string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
	cmd.Stderr = t.Output()
	return cmd
}

// checkCrash opens the database after a crash and compares it with the journal of that round.
func checkCrash(t *testing.T, dir string) (acknowledged int) {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(dir, "tokenjar.db")
	s, err := Open(ctx, path, quiet())
	if err != nil {
		t.Fatalf("open after the crash: %v", err)
	}
	journal := filepath.Join(dir, "journal")
	for id, h := range readJournal(t, journal) {
		if !h.login {
			continue
		}
		acknowledged++
		row, err := s.Session(ctx, id)
		if err != nil {
			t.Fatalf("acknowledged session %s is lost: %v", id, err)
		}
		if h.revoked && row.RevokedAt.IsZero() {
			t.Fatalf("acknowledged revocation of %s is lost", id)
		}
		if !h.revokeTried && !row.RevokedAt.IsZero() {
			t.Fatalf("session %s was revoked for %s, which nobody asked for", id, row.RevokeReason)
		}
		if row.Generation < h.rotated+1 || row.Generation > h.tried+1 || row.CurrentHash != hash(id, row.Generation) {
			t.Fatalf("session %s is at generation %d after token %d was rotated and token %d was sent",
				id, row.Generation, h.rotated, h.tried)
		}
		for token, n := range h.rotations {
			acknowledged += n
			if n > 1 {
				t.Fatalf("token %d of %s was spent %d times", token, id, n)
			}
		}
		// T-19: the token whose answer was lost gives the same successor; no spent one is good for another.
		if row.Live() && row.Generation > 1 {
			v, err := s.Rotate(ctx, show(id, row.Generation-1))
			if err != nil || v.Outcome != tokenjar.OutcomeGraceReplay || v.Session.CurrentHash != row.CurrentHash {
				t.Fatalf("token before the newest of %s after the crash: got %s and %v, want a replay", id, v.Outcome, err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	integrity(t, path)
	if err := os.Remove(journal); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return acknowledged
}

func TestF21SeveralProcessesThatCreateTheDatabaseAtOnceAllSucceed(t *testing.T) {
	dir := t.TempDir()
	var children []*exec.Cmd
	for range 4 {
		cmd := child(t, dir, "open")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, cmd)
	}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	}
	integrity(t, filepath.Join(dir, "tokenjar.db"))
	left, err := filepath.Glob(filepath.Join(dir, "*.new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
