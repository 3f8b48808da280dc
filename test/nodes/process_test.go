package nodes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long something may take that happens at once on an idle machine.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	if binaries.dir != "" {
		os.RemoveAll(binaries.dir)
	}
	os.Exit(code)
}

// skip skips the test for want of something, unless TOKENJAR_REQUIRE_ALL is set.
func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// binaries are built once, into a folder that goes with the run.
var binaries struct {
	mu   sync.Mutex
	dir  string
	made map[string]error
}

// build returns the path of a program of this module, built with the race detector where a C compiler is found and
// nothing is measured.
func build(t testing.TB, pkg string) string {
	t.Helper()
	b := &binaries
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "tokenjar-nodes")
		if err != nil {
			t.Fatal(err)
		}
		b.dir, b.made = dir, make(map[string]error)
	}
	_, measured := t.(*testing.B)
	name := filepath.Base(pkg)
	args, env := []string{"build"}, os.Environ()
	if raced() && !measured {
		name += "-race"
		args, env = append(args, "-race"), append(env, "CGO_ENABLED=1")
	}
	path := filepath.Join(b.dir, name)
	err, known := b.made[name]
	if !known {
		c := exec.Command("go", append(args, "-o", path, pkg)...)
		c.Dir, c.Env = "../..", env
		var text []byte
		if text, err = c.CombinedOutput(); err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, text)
		}
		b.made[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// raced reports whether programs can be built with the race detector here.
var raced = sync.OnceValue(func() bool {
	cc, err := exec.Command("go", "env", "CC").Output()
	if err == nil {
		_, err = exec.LookPath(strings.TrimSpace(string(cc)))
	}
	return err == nil
})

// A process is one run of a program.
type process struct {
	cmd    *exec.Cmd
	stdout output
	stderr io.Writer
	ended  chan struct{}
	err    error // once ended
}

// run starts a program. It ends with the test binary at the latest, however that ends.
func run(c *exec.Cmd, stderr io.Writer) (*process, error) {
	p := &process{cmd: c, stderr: stderr, ended: make(chan struct{})}
	c.Stdout, c.Stderr = &p.stdout, stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	lifeline("+", c.Process.Pid)
	go func() {
		p.err = c.Wait()
		lifeline("-", c.Process.Pid)
		close(p.ended)
	}()
	return p, nil
}

// wait waits for the end and returns an error unless the exit code is 0.
func (p *process) wait() error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		p.kill()
		return errors.New("it does not end")
	}
}

// kill ends it without giving it a moment. It may have ended already.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// A lifeline is a shell that knows the processes which run. When its standard input ends, because the test binary has, it
// kills them.
var line struct {
	mu sync.Mutex
	w  io.Writer
}

func lifeline(op string, pid int) {
	line.mu.Lock()
	defer line.mu.Unlock()
	if line.w == nil {
		c := exec.Command("sh", "-c", `trap '' INT TERM HUP
while read -r op pid; do
  if [ "$op" = + ]; then all="$all $pid"; else new=; for p in $all; do [ $p = $pid ] || new="$new $p"; done; all=$new; fi
done
[ -z "$all" ] || kill -9 $all`)
		w, err := c.StdinPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			panic(err)
		}
		line.w = w
	}
	fmt.Fprintln(line.w, op, pid)
}

// An output is a buffer that may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// size is how much was written so far; from there on [output.from] reads.
func (o *output) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Len()
}

func (o *output) from(n int) string { return o.String()[n:] }

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
