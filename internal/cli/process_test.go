package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A process is one run of the program.
type process struct {
	dir            string
	env            []string
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{}
	err            error // once ended
}

// start starts the program. The test binary runs as tokenjar when it is called by that name.
func (p *process) start(args ...string) error { return p.startWithInput("", args...) }

func (p *process) startWithInput(input string, args ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(exe, args...)
	p.cmd.Args[0] = "tokenjar"
	p.cmd.Dir, p.cmd.Env = p.dir, append([]string{"TMPDIR=" + os.TempDir(), raceEnv[0] + "=" + raceEnv[1]}, p.env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = strings.NewReader(input), &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

var address = regexp.MustCompile(`(?:serves|open) +(https?://\S+)`)

// ready waits until the program has printed its address and returns it.
func (p *process) ready() (url string, err error) {
	err = eventually(func() (bool, error) {
		if found := address.FindStringSubmatch(p.stdout.String()); found != nil {
			url = found[1]
			return true, nil
		}
		select {
		case <-p.ended:
			return false, fmt.Errorf("it ended: %v\n%s", p.err, p.stderr.String())
		default:
			return false, nil
		}
	})
	return url, err
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

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// eventually asks until the answer is yes.
func eventually(ask func() (bool, error)) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok, err := ask(); ok || err != nil {
			return err
		}
	}
	return errors.New("waited in vain")
}

// output is a buffer that may be read while it is written.
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
