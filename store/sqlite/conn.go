package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// dsn returns the name under which the driver opens the file, with the settings every connection needs.
//
// mode=rw, because only [prepareFile] may create a database: one that went missing must not come back empty. The page
// cache is 16 MiB. Automatic checkpoints are off: the checkpointer makes them beside the writer, not within a commit.
func dsn(path string, busy time.Duration, readOnly bool) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // C:/… becomes file:///C:/…
	}
	q := url.Values{}
	q.Set("mode", "rw")
	q.Set("_busy_timeout", fmt.Sprint(busy.Milliseconds()))
	q.Set("_foreign_keys", "on")
	q.Set("_synchronous", "FULL")
	q.Set("_dqs", "0")
	q.Set("_defensive", "1")
	q.Set("_error_rc", "1")
	q.Add("_pragma", "trusted_schema(0)")
	q.Add("_pragma", "temp_store(memory)")
	q.Add("_pragma", "cache_size(-16384)")
	q.Add("_pragma", "wal_autocheckpoint(0)")
	q.Add("_pragma", fmt.Sprintf("journal_size_limit(%d)", walKeep))
	if readOnly {
		q.Set("_query_only", "on")
	}
	return (&url.URL{Scheme: "file", Path: p, RawQuery: q.Encode()}).String()
}

// A conn is one connection with a purpose of its own, and the statements prepared on it. It is for one goroutine.
type conn struct {
	db    *sql.DB
	c     *sql.Conn
	stmts stmts
}

func dial(ctx context.Context, name string) (*conn, error) {
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	c, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, err
	}
	return &conn{db: db, c: c, stmts: stmts{prepare: c.PrepareContext}}, nil
}

// close ends the connection; whatever transaction is open on it is rolled back.
func (c *conn) close() error {
	if c == nil {
		return nil
	}
	c.c.Close() // hands the connection back to db, which ends it
	return c.db.Close()
}

// exec runs a statement that returns no rows and reports how many rows it changed.
func (c *conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := c.stmts.get(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// number returns the single integer that a statement yields.
func (c *conn) number(ctx context.Context, query string) (int64, error) {
	var n int64
	err := c.c.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// stmts prepares each statement once. It is safe for concurrent use.
type stmts struct {
	prepare func(context.Context, string) (*sql.Stmt, error)
	mu      sync.Mutex
	byText  map[string]*sql.Stmt
}

// get does not hold the mutex while it prepares: a pool may be busy, and others have contexts of their own to obey.
func (s *stmts) get(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	stmt := s.byText[query]
	s.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if earlier := s.byText[query]; earlier != nil {
		stmt.Close()
		return earlier, nil
	}
	if s.byText == nil {
		s.byText = make(map[string]*sql.Stmt)
	}
	s.byText[query] = stmt
	return stmt, nil
}
