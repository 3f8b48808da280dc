package tokenjar_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// docs/scaling.md states its inputs in rows "| `U` | 10,000,000 | … |" and its results in rows
// "| … | `R = S / A` | 1,709 … |". Each formula is a Go expression over the inputs and the results above it.

var (
	inputRow  = regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| ([0-9][0-9,.]*) \\| ([^|]*) \\| ([^|\n]*) \\|$")
	resultRow = regexp.MustCompile("(?m)^\\| [^|`\n]* \\| `([A-Za-z]+) = ([^`]+)` \\| \\**([0-9][0-9,.]*)\\**[^|\n]*\\|$")
)

func number(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheArithmeticOfScalingIsRight(t *testing.T) {
	text, err := os.ReadFile("docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	measured, err := os.ReadFile("docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range inputRow.FindAllStringSubmatch(string(text), -1) {
		values[m[1]] = number(t, m[2])
		if strings.Contains(m[4], "performance.md") && !strings.Contains(string(measured), m[2]) {
			t.Errorf("%s is %s according to docs/performance.md, which does not say so", m[1], m[2])
		}
	}
	results := 0
	for _, m := range resultRow.FindAllStringSubmatch(string(text), -1) {
		results++
		expr, err := parser.ParseExpr(m[2])
		if err != nil {
			t.Fatalf("%s: %v", m[2], err)
		}
		got, err := evaluate(expr, values)
		if err != nil {
			t.Errorf("%s = %s: %v", m[1], m[2], err)
			continue
		}
		values[m[1]] = got
		if said := number(t, m[3]); math.Abs(said-got) > 0.015*got {
			t.Errorf("%s = %s is %.4g, the page says %s", m[1], m[2], got, m[3])
		}
	}
	if len(values)-results < 10 || results < 10 {
		t.Errorf("found %d inputs and %d results: are the tables still of this form?", len(values)-results, results)
	}
	for symbol, got := range rowSizes(t) {
		if said := values[symbol]; math.Abs(said-got) > 0.15*got {
			t.Errorf("%s: the page says %.0f bytes, measured %.0f", symbol, said, got)
		}
	}
}

// evaluate computes an expression of numbers, names, + - * / and brackets.
func evaluate(e ast.Expr, values map[string]float64) (float64, error) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return evaluate(e.X, values)
	case *ast.BasicLit:
		return strconv.ParseFloat(e.Value, 64)
	case *ast.Ident:
		v, ok := values[e.Name]
		if !ok {
			return 0, fmt.Errorf("%s is not stated", e.Name)
		}
		return v, nil
	case *ast.BinaryExpr:
		x, err := evaluate(e.X, values)
		if err != nil {
			return 0, err
		}
		y, err := evaluate(e.Y, values)
		if err != nil {
			return 0, err
		}
		switch e.Op {
		case token.ADD:
			return x + y, nil
		case token.SUB:
			return x - y, nil
		case token.MUL:
			return x * y, nil
		case token.QUO:
			return x / y, nil
		}
	}
	return 0, fmt.Errorf("%T is not for this page", e)
}

// rowSizes measures what a user and a session take on disk, with their indexes.
func rowSizes(t *testing.T) map[string]float64 {
	t.Helper()
	const n = 2000
	path := filepath.Join(t.TempDir(), "size.db")
	size := func(fill func(store *sqlite.Store)) float64 {
		store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		fill(store)
		if err := store.Close(); err != nil { // which empties the write-ahead log
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return float64(info.Size())
	}
	id := func(i int) string { return fmt.Sprintf("01a20129-%04x-7675-a3ac-052ed3e56763", i) }
	empty := size(func(*sqlite.Store) {})
	users := size(func(store *sqlite.Store) {
		inParallel(n, func(i int) error {
			return store.CreateUser(t.Context(), tokenjar.User{
				ID: id(i), Username: fmt.Sprintf("user%06d", i), Email: fmt.Sprintf("user%06d@example.com", i), Active: true,
				FirstName: "Augusta", LastName: "King",
				PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObGRdescudvJCs",
			})
		}, t)
	})
	sessions := size(func(store *sqlite.Store) {
		inParallel(n, func(i int) error {
			_, _, err := store.CreateSession(t.Context(), tokenjar.NewSession{
				ID: id(i), UserID: id(i), First: tokenjar.Hash{byte(i), byte(i >> 8)}, MaxPerUser: 50,
				Timing:    tokenjar.Timing{Idle: time.Hour, RememberIdle: time.Hour, Absolute: time.Hour},
				UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
				IP:        "203.0.113.77",
			})
			return err
		}, t)
	})
	return map[string]float64{"bu": (users - empty) / n, "bs": (sessions - users) / n}
}

func inParallel(n int, do func(i int) error, t *testing.T) {
	t.Helper()
	errs := make(chan error, 64)
	for w := range 64 {
		go func() {
			for i := w; i < n; i += 64 {
				if err := do(i); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 64 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
