package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// refresh measures refreshes over HTTP, each client with a session of its own, against what SQLite does when every one
// of as many goroutines commits one UPDATE of one row: the bare commit.
func (r *run) refresh() error {
	most := slices.Max(r.clients)
	dir, err := r.prepare(most, 0)
	if err != nil {
		return err
	}
	server, err := start(dir, r.tokenjar, "serve")
	if err != nil {
		return err
	}
	defer server.kill()
	commits, err := newCommits(filepath.Join(dir, "bare.db"), most)
	if err != nil {
		return err
	}
	defer commits.db.Close()
	list := clients(server, most)
	defer closeAll(list)
	for i, c := range list {
		if err := c.mustLogin(username(i)); err != nil {
			return err
		}
	}
	r.table("Refresh over HTTP, by cookie, on SQLite with `synchronous=FULL`",
		"clients", "refreshes/s, each committed", "bare commits/s", "ratio", "p50 ms", "p99 ms", "server's CPU, µs each")
	for _, n := range r.clients {
		if err := r.refreshRow(server, list[:n], commits); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) refreshRow(server *server, list []*client, commits *commits) error {
	var ours, bare, p50, p99, cpu []float64
	for range r.rounds {
		var (
			mu    sync.Mutex
			times []time.Duration
		)
		before, err := server.cpu()
		if err != nil {
			return err
		}
		refreshes, err := rate(len(list), r.window/2, func(i int) error {
			a, err := list[i].want(http.MethodPost, "/auth/token/refresh", "")
			mu.Lock()
			defer mu.Unlock()
			times = append(times, a.took)
			return err
		})
		if err != nil {
			return err
		}
		after, err := server.cpu()
		if err != nil {
			return err
		}
		alone, err := rate(len(list), r.window/2, commits.one)
		if err != nil {
			return err
		}
		ours, bare = append(ours, refreshes), append(bare, alone)
		cpu = append(cpu, float64((after-before).Microseconds())/float64(len(times)))
		p50, p99 = append(p50, milliseconds(percentile(times, 0.5))), append(p99, milliseconds(percentile(times, 0.99)))
	}
	r.row(fmt.Sprint(len(list)), spreadOf(ours).String(), spreadOf(bare).String(), spreadOf(ratios(ours, bare)).String(),
		spreadOf(p50).String(), spreadOf(p99).String(), spreadOf(cpu).String())
	return nil
}

// commits is a SQLite file as our store opens one, with nothing of ours around it.
type commits struct{ db *sql.DB }

func newCommits(path string, rows int) (*commits, error) {
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; two would wait by polling
	if _, err := db.Exec(`CREATE TABLE sessions (id INTEGER PRIMARY KEY, gen INTEGER NOT NULL)`); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	for i := range rows {
		if _, err := db.Exec(`INSERT INTO sessions VALUES (?, 0)`, i); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return &commits{db}, nil
}

// one is a transaction of its own.
func (c *commits) one(worker int) error {
	_, err := c.db.ExecContext(context.Background(), `UPDATE sessions SET gen = gen + 1 WHERE id = ?`, worker)
	return err
}
