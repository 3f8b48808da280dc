package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar/internal/yardstick"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// A table is what a server with so many sessions was measured to be.
type table struct {
	sessions int
	dir      string
	ready    []float64 // ms from the start of the process
	size     float64   // MB of the database
	idle     float64   // MB of memory
	used     float64
	peak     float64
}

// million measures what a large table costs the process: to start with it, and in memory.
func (r *run) million() error {
	var tables [2]*table
	for i, n := range []int{r.few, r.many} {
		t := &table{sessions: n}
		tables[i] = t
		if err := r.fill(t); err != nil {
			return err
		}
	}
	for range r.starts {
		for _, t := range tables {
			server, took, err := startReady(t.dir, r.tokenjar, "serve")
			if err != nil {
				return err
			}
			server.kill()
			t.ready = append(t.ready, milliseconds(took))
		}
	}
	for _, t := range tables {
		if err := r.use(t); err != nil {
			return err
		}
	}
	few, many := tables[0], tables[1]
	r.table("Many sessions in SQLite", "", fmt.Sprintf("%d sessions", many.sessions), fmt.Sprintf("%d sessions", few.sessions), "ratio", "aim")
	r.row(fmt.Sprintf("start to ready, after kill -9 (%d starts)", r.starts), spreadOf(many.ready).String()+" ms",
		spreadOf(few.ready).String()+" ms", spreadOf(ratios(many.ready, few.ready)).String(), "–")
	for _, each := range []struct {
		what      string
		many, few float64
	}{
		{fmt.Sprintf("resident memory %s after the start (one run)", r.settle), many.idle, few.idle},
		{fmt.Sprintf("the same after %d clients have refreshed for %s", slices.Max(r.clients), 10*r.window), many.used, few.used},
		{"peak memory of all this", many.peak, few.peak},
		{"the database file", many.size, few.size},
	} {
		r.row(each.what, number(each.many)+" MB", number(each.few)+" MB", number(each.many/each.few), "–")
	}
	return nil
}

// fill makes the database, with users for those who will sign in.
func (r *run) fill(t *table) (err error) {
	if t.dir, err = r.prepare(slices.Max(r.clients), 0); err != nil {
		return err
	}
	path := filepath.Join(t.dir, "tokenjar.db")
	ctx := context.Background()
	store, err := sqlite.Open(ctx, path, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = yardstick.NewSessions(ctx, store, t.sessions, nil)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err == nil {
		t.size = float64(info.Size()) / 1e6
	}
	return err
}

// use has clients sign in and refresh, and looks at the memory before and after.
func (r *run) use(t *table) error {
	server, err := start(t.dir, r.tokenjar, "serve")
	if err != nil {
		return err
	}
	defer server.kill()
	time.Sleep(r.settle)
	if t.idle, err = server.resident(); err != nil {
		return err
	}
	list := clients(server, slices.Max(r.clients))
	defer closeAll(list)
	for i, c := range list {
		if err := c.mustLogin(username(i)); err != nil {
			return err
		}
	}
	if err := hammer(len(list), 10*r.window, func(i int) error {
		_, err := list[i].want(http.MethodPost, "/auth/token/refresh", "")
		return err
	}); err != nil {
		return err
	}
	if t.used, err = server.resident(); err != nil {
		return err
	}
	t.peak, err = server.peak()
	return err
}
