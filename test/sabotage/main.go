// Command sabotage asks whether the tests work: it weakens the product, one edit at a time, and each weakening must make a
// named test fail. A weakening that no test notices is a hole in the tests, and through it in the product.
//
//	go run ./test/sabotage                   all of the table: five minutes of a processor, which two share
//	go run ./test/sabotage -run 'replay'     those whose sentence matches a regular expression
//	go run ./test/sabotage -ordinary         the other question: an ordinary visit must not notice, or the line proves little
//
// The files themselves are never touched: the go command reads the weakened one in their place (go help build, -overlay).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := sabotage(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		stop()
		os.Exit(1)
	}
}

// sabotage runs the table and reports whether every weakening was caught.
func sabotage(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sabotage", flag.ContinueOnError)
	run := flags.String("run", "", "only weakenings whose sentence matches this regular expression")
	parallel := flags.Int("parallel", 2, "how many at once")
	ordinary := flags.Bool("ordinary", false, "ask whether an ordinary visit notices, which it should not")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*run)
	if err != nil {
		return err
	}
	var chosen []weakening
	for _, w := range table {
		if wanted.MatchString(w.is) {
			chosen = append(chosen, w)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no weakening matches %q", *run)
	}
	dir, err := os.MkdirTemp("", "sabotage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	began := time.Now()
	if *ordinary {
		for i := range chosen {
			chosen[i].pkg, chosen[i].test = visit.pkg, visit.test
		}
	}
	b, err := newBench(ctx, filepath.Dir(strings.TrimSpace(string(gomod))), dir, max(*parallel, 1), chosen)
	if err != nil {
		return err
	}
	if err := b.passes(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-8s %5.1fs  every named test passes as long as nothing is weakened\n", "ok", time.Since(began).Seconds())
	bad, skipped := 0, 0
	var mu sync.Mutex
	sentences := make([]string, len(chosen))
	for i, w := range chosen {
		sentences[i] = w.is
	}
	b.each(sentences, func(i int, _ string) {
		w, start := chosen[i], time.Now()
		err := b.weaken(ctx, i)
		mu.Lock()
		defer mu.Unlock()
		word := "caught"
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errSkipped):
			word, err = "skipped", nil
			skipped++
		case *ordinary && err == nil:
			word, err = "OBVIOUS", errors.New("an ordinary visit notices it")
		case *ordinary && errors.Is(err, errEscaped):
			word, err = "subtle", nil
		case errors.Is(err, errEscaped):
			word = "ESCAPED"
		case err != nil:
			word = "BROKEN"
		}
		fmt.Fprintf(out, "%-8s %5.1fs  %s (%s %s)\n", word, time.Since(start).Seconds(), w.is, w.pkg, w.test)
		if err != nil {
			bad++
			fmt.Fprintf(out, "         %s: %v\n", w.file, err)
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d of %d, %d skipped, in %s\n", len(chosen)-bad-skipped, len(chosen), skipped, time.Since(began).Round(time.Second))
	if bad > 0 {
		return fmt.Errorf("%d of %d weakenings are not as they should be", bad, len(chosen))
	}
	return nil
}
