// Command program is the bare server as a program of its own, whose size can be compared too.
package main

import "github.com/tokenjar/tokenjar/test/figures/bare"

func main() { bare.Main() }
