// Command skewed is tokenjar on a machine whose clock is wrong, by as much as SKEWED_BY says (a Go duration).
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/tokenjar/tokenjar/internal/cli"
)

func main() {
	by, err := time.ParseDuration(os.Getenv("SKEWED_BY"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "SKEWED_BY:", err)
		os.Exit(2)
	}
	os.Exit(cli.MainAt(func() time.Time { return time.Now().Add(by) }))
}
