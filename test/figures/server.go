package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// A server is one process under measurement.
type server struct {
	cmd     *exec.Cmd
	url     string // public
	address string // to connect to
	log     string // file of what it logs
	read    int64  // bytes of log that have been looked at
}

var listening = regexp.MustCompile(`serves (http://\S+) \(listening on (\S+)\)`)

// start starts a program in a folder and waits until it says where it listens. Its log goes to a file.
func start(dir, program string, args ...string) (*server, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &server{cmd: exec.Command(program, args...), log: log.Name()}
	s.cmd.Dir, s.cmd.Stderr = dir, log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	for s.url == "" && lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			s.url, s.address = found[1], found[2]
		}
	}
	if s.url == "" {
		s.kill()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%s did not start: %s", filepath.Base(program), said)
	}
	go io.Copy(io.Discard, stdout)
	return s, nil
}

// handled returns how long the server says that it took over requests since it was last asked, those with one path and
// status: without the way to it and back, and without waiting for a core before it begins.
func (s *server) handled(path string, status int) ([]time.Duration, error) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return nil, err
	}
	from := s.read
	s.read = int64(len(text))
	return handledTimes(string(text[from:]), path, status), nil
}

// handledTimes reads lines of log. The last one may not be whole yet.
func handledTimes(log, path string, status int) (times []time.Duration) {
	for line := range strings.Lines(log) {
		var request struct {
			Path   string  `json:"path"`
			Status int     `json:"status"`
			Took   float64 `json:"took_ms"`
		}
		if json.Unmarshal([]byte(line), &request) == nil && request.Path == path && request.Status == status {
			times = append(times, time.Duration(request.Took*float64(time.Millisecond)))
		}
	}
	return times
}

// kill ends the process at once.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// resident and peak return the memory that the process holds now and at most held, in megabytes (10^6).
func (s *server) resident() (float64, error) { return s.memory("VmRSS") }
func (s *server) peak() (float64, error)     { return s.memory("VmHWM") }

func (s *server) memory(field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return statusField(string(status), field)
}

// statusField reads a field of proc_pid_status(5), which is in units of 1024 bytes.
func statusField(status, field string) (float64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", field)
}

// cpu returns the time that the process has spent on a core. Other processes do not lengthen it by keeping the core from
// it, so it is what compares best on a machine that is not quiet.
func (s *server) cpu() (time.Duration, error) { return cpuOf(s.cmd.Process.Pid) }

// cpuOf returns the time that a process has spent on a core, in steps of 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return statCPU(string(stat))
}

// statCPU reads utime and stime of proc_pid_stat(5): fields 14 and 15, in hundredths of a second on every Linux that Go
// runs on. The second field is a name in brackets that may contain anything.
func statCPU(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

const (
	userPassword = "correct horse battery"
	// What is measured is the work of a sign-in, not how many of them one address may try.
	settings = `listen: 127.0.0.1:0
token: {access_lifetime: 1h}
limits: {login_per_account: 999999/s, login_per_address: 999999/s}
`
)

// prepare makes a folder with settings, a secret, and a database with keys, users and, for the first of them, sessions.
func (r *run) prepare(users, sessions int) (dir string, err error) {
	if dir, err = os.MkdirTemp(r.dir, "server-"); err != nil {
		return "", err
	}
	secretText := tokenjar.GenerateSecret()
	secret, err := tokenjar.ParseSecret([]byte(secretText))
	if err != nil {
		return "", err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "tokenjar.yaml"), []byte(settings), 0o600),
		os.WriteFile(filepath.Join(dir, "tokenjar.secret"), []byte(secretText+"\n"), 0o600),
	)
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	quiet := slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(ctx, filepath.Join(dir, "tokenjar.db"), sqlite.Config{Logger: quiet})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	_, err = tokenjar.New(ctx, tokenjar.Config{Issuer: "http://localhost", Secret: secret, Store: store, Logger: quiet})
	if err != nil {
		return "", err // it makes the key ring
	}
	hasher, err := password.New(password.Config{})
	if err != nil {
		return "", err
	}
	hash, err := hasher.Hash(ctx, userPassword) // one for all: to verify it is as much work for each
	if err != nil {
		return "", err
	}
	timing := tokenjar.Timing{Idle: 24 * time.Hour, RememberIdle: 24 * time.Hour, Absolute: 24 * time.Hour}
	for i := range users {
		u := tokenjar.User{ID: uuid.NewString(), Username: username(i), PasswordHash: tokenjar.PasswordHash(hash), Active: true}
		if err := store.CreateUser(ctx, u); err != nil {
			return "", err
		}
		if i >= sessions {
			continue
		}
		id := uuid.Must(uuid.NewV7()).String()
		if _, _, err := store.CreateSession(ctx, tokenjar.NewSession{ID: id, UserID: u.ID, Timing: timing}); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func username(i int) string { return fmt.Sprintf("user%d", i) }
