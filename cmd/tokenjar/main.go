// Command tokenjar signs users in, keeps their tokens in cookies that no script can read, and ends them.
package main

import (
	"os"

	"github.com/tokenjar/tokenjar/internal/cli"
)

func main() { os.Exit(cli.Main()) }
