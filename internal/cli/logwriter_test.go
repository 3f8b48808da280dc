package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
)

// stalled is a reader that takes one line and no more until it is released.
type stalled struct {
	mu      sync.Mutex
	b       bytes.Buffer
	writes  int
	first   chan struct{} // closed at the first write
	release chan struct{}
}

func newStalled() *stalled {
	return &stalled{first: make(chan struct{}), release: make(chan struct{})}
}

func (s *stalled) Write(p []byte) (int, error) {
	s.mu.Lock()
	if s.writes++; s.writes == 1 {
		close(s.first)
	}
	s.mu.Unlock()
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func TestR14ALogThatNobodyReadsStopsNothingAndSaysWhatIsMissing(t *testing.T) {
	to := newStalled()
	log, lines := serverLog(to, config.Log{Level: "error", Format: "json"})
	log.Error("line", "n", -1)
	<-to.first // it is being written; the queue is empty
	const more = 7
	for i := range mostLogLines + more {
		log.Error("line", "n", i)
	}
	if got := lines.Dropped(); got != more {
		t.Errorf("dropped: got %d, want %d", got, more)
	}
	close(to.release)
	if !lines.close(time.Minute) {
		t.Fatal("it did not end")
	}
	log.Error("after the end")
	if got := lines.Dropped(); got != more+1 {
		t.Errorf("a line after the end: got %d dropped, want %d", got, more+1)
	}
	var got []string
	for line := range strings.Lines(to.b.String()) {
		var rec struct {
			Level, Msg string
			N          int
			Dropped    int64
		}
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if rec.Msg == "line" && rec.N != len(got)-1 {
			t.Fatalf("order: got %d after %d lines", rec.N, len(got))
		}
		got = append(got, fmt.Sprint(rec.Level, " ", rec.Dropped))
	}
	if len(got) != mostLogLines+2 || got[len(got)-1] != "WARN 7" {
		t.Errorf("got %d lines, the last %q; want %d and the number that is missing", len(got), got[len(got)-1], mostLogLines+2)
	}
	if to.writes != len(got) {
		t.Errorf("%d writes for %d lines", to.writes, len(got))
	}
}

func TestR14TheLogQueueIsBoundedInBytesAndTellsTheGapWhereItIs(t *testing.T) {
	to := newStalled()
	w := newLogWriter(to, func(n int64) []byte { return fmt.Appendf(nil, "missing %d\n", n) })
	w.Write([]byte("first\n"))
	<-to.first
	w.Write(make([]byte, mostLogBytes-len("small\n")))
	w.Write([]byte("too large\n"))
	w.Write([]byte("too large\n"))
	w.Write([]byte("small\n"))
	if w.close(0) {
		t.Error("the end waited for a reader that does not read")
	}
	close(to.release)
	if !w.close(time.Minute) {
		t.Fatal("it did not end")
	}
	if got := strings.ReplaceAll(to.b.String(), "\x00", ""); got != "first\nmissing 2\nsmall\n" {
		t.Errorf("got %q", got)
	}
}

// The whole program, with a standard error that is a pipe nobody reads.
func TestR14AServerWhoseLogStallsAnswersAndStops(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cmd := exec.Command(exe, "serve", "--listen", "127.0.0.1:0")
	cmd.Args[0], cmd.Dir, cmd.Stderr = "tokenjar", t.TempDir(), writer
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	ended := make(chan error, 1)
	defer cmd.Process.Kill()
	var url string
	for text := make([]byte, 1024); url == ""; {
		n, err := stdout.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, after, ok := strings.Cut(string(text[:n]), "serves "); ok {
			url, _, _ = strings.Cut(after, " ")
		}
	}
	client := &http.Client{Timeout: 20 * time.Second}
	long := strings.Repeat("x", 1000)
	for i := range 300 { // more than a pipe holds, at 64 KiB
		response, err := client.Get(url + "/" + long)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		response.Body.Close()
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not stop")
	}
}
