package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// A fresh table has no statistics, and a batch was once planned to walk every session there is.
func TestARotationFindsItsRowByTheKeyHoweverLittleTheServerKnowsOfTheTable(t *testing.T) {
	s := openAt(t, pgtest.Schema(t), quiet(), tuning{})
	rows := 0
	for _, want := range []int{0, 200, 1000} {
		for ; rows < want; rows++ {
			login(t, s)
		}
		wantByKey(t, s, fmt.Sprintf("%d sessions, not analyzed", want))
	}
	if _, err := s.pool.Exec(t.Context(), `ANALYZE sessions`); err != nil {
		t.Fatal(err)
	}
	wantByKey(t, s, "analyzed")
}

// A server may compile what it takes for costly, and a walk that it was told to avoid is: it took fifty milliseconds each time.
func TestNoStatementIsCompiled(t *testing.T) {
	dsn := pgtest.With(pgtest.With(pgtest.Schema(t), "jit", "on"), "jit_above_cost", "0")
	s := openAt(t, dsn, quiet(), tuning{})
	const sql = `SELECT version FROM tokenjar_schema`
	var able bool
	if err := pgtest.Pool(t, dsn).QueryRow(t.Context(), `SELECT pg_jit_available()`).Scan(&able); err != nil {
		t.Fatal(err)
	}
	if plan := explain(t, pgtest.Pool(t, dsn), sql); strings.Contains(plan, "JIT:") != able {
		t.Fatalf("without the store's settings: a server that can compile (%v) plans\n%s", able, plan)
	}
	if plan := explain(t, s.pool, sql); strings.Contains(plan, "JIT:") {
		t.Errorf("it is compiled:\n%s", plan)
	}
}

func wantByKey(t *testing.T, s *Store, when string) {
	t.Helper()
	const n = 16
	texts, hashes, numbers, flags := make([]string, n), make([][]byte, n), make([]int64, n), make([]bool, n)
	for i := range hashes {
		hash := sha256.Sum256([]byte{byte(i)})
		hashes[i] = hash[:]
	}
	many := explain(t, s.pool, spendManySQL, s.at(), texts, texts, hashes, hashes, numbers, texts, texts, flags, numbers, numbers)
	one := explain(t, s.pool, spendOneSQL, s.at(), "id", "user", hashes[0], hashes[1], int64(0), "", "", false, int64(1), int64(1))
	for _, plan := range []string{many, one} {
		if !strings.Contains(plan, "using sessions_pkey on sessions") || !strings.Contains(plan, "Index Cond: (id = ") {
			t.Errorf("%s: the row is not looked up by its key:\n%s", when, plan)
		}
	}
}

// explain returns the plan of a statement on a connection of a pool.
func explain(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) string {
	t.Helper()
	rows, err := pool.Query(context.Background(), "EXPLAIN "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := collect(rows, func(row scanner) (line string, err error) {
		err = row.Scan(&line)
		return line, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
