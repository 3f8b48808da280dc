package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// process measures what the program costs before anybody signs in: to start, on disk, in memory.
func (r *run) process() error {
	r.table("The process", "", "tokenjar", "bare net/http server", "ratio", "aim")
	for _, measure := range []func() error{r.starting, r.binaries, r.idle} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// starting measures the time from the start of the process to the first 200 of /readyz.
func (r *run) starting() error {
	existing, err := r.prepare(r.users, r.sessions)
	if err != nil {
		return err
	}
	var fresh, known, plain []float64
	for range r.starts {
		for _, each := range []struct {
			times *[]float64
			from  string // folder to start from a copy of
			args  []string
			path  string
		}{
			{&fresh, "", []string{"serve", "--listen", "127.0.0.1:0"}, r.tokenjar},
			{&known, existing, []string{"serve"}, r.tokenjar},
			{&plain, "", nil, r.bare},
		} {
			took, err := r.untilReady(each.from, each.path, each.args...)
			if err != nil {
				return err
			}
			*each.times = append(*each.times, milliseconds(took))
		}
	}
	row := func(what string, times []float64) {
		r.row(fmt.Sprintf("start to ready, %s (%d starts)", what, r.starts), spreadOf(times).String()+" ms",
			spreadOf(plain).String()+" ms", spreadOf(ratios(times, plain)).String(), "–")
	}
	row("empty folder", fresh)
	row(fmt.Sprintf("database with %d users and %d sessions", r.users, r.sessions), known)
	return nil
}

// untilReady starts a program in a new folder, filled from another one if there is one, and ends it once it is ready.
func (r *run) untilReady(from, program string, args ...string) (time.Duration, error) {
	dir, err := os.MkdirTemp(r.dir, "start-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if from != "" {
		for _, name := range []string{"tokenjar.yaml", "tokenjar.secret", "tokenjar.db"} {
			data, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				return 0, err
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return 0, err
			}
		}
	}
	server, took, err := startReady(dir, program, args...)
	if err != nil {
		return 0, err
	}
	server.kill()
	return took, nil
}

// startReady starts a program in a folder and returns how long it took until it was ready.
func startReady(dir, program string, args ...string) (*server, time.Duration, error) {
	begin := time.Now()
	server, err := start(dir, program, args...)
	if err != nil {
		return nil, 0, err
	}
	c := newClient(server)
	defer c.close()
	for {
		a, err := c.do(http.MethodGet, "/readyz", "")
		took := time.Since(begin)
		if err == nil && a.status == http.StatusOK {
			return server, took, nil
		}
		if err == nil && took > 30*time.Second {
			err = fmt.Errorf("not ready after %s: %d %s", took, a.status, a.body)
		}
		if err != nil {
			server.kill()
			return nil, 0, err
		}
	}
}

// binaries measures what there is to deploy.
func (r *run) binaries() error {
	for _, each := range []struct {
		what  string
		flags []string
	}{
		{"binary, `go build`", nil},
		{"binary, `go build -trimpath -ldflags \"-s -w\"`", []string{"-trimpath", "-ldflags", "-s -w"}},
	} {
		var sizes [2]float64
		for i, pkg := range []string{"./cmd/tokenjar", "./test/figures/bare/program"} {
			path := filepath.Join(r.dir, "sized")
			if err := r.build(path, pkg, each.flags...); err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			sizes[i] = float64(info.Size()) / 1e6
		}
		r.row(each.what, number(sizes[0])+" MB", number(sizes[1])+" MB", number(sizes[0]/sizes[1]), "–")
	}
	return nil
}

// idle measures the memory of a server that has just been started and asked nothing.
func (r *run) idle() error {
	dir, err := os.MkdirTemp(r.dir, "idle-")
	if err != nil {
		return err
	}
	ours, err := start(dir, r.tokenjar, "serve", "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ours.kill()
	plain, err := start(r.dir, r.bare)
	if err != nil {
		return err
	}
	defer plain.kill()
	time.Sleep(r.settle)
	a, err := ours.resident()
	if err != nil {
		return err
	}
	b, err := plain.resident()
	if err != nil {
		return err
	}
	r.row(fmt.Sprintf("resident memory %s after the start (one run)", r.settle), number(a)+" MB", number(b)+" MB", number(a/b), "–")
	return nil
}
