// Package cli is the command line: one file for each command. Commands read the configuration, open the store and hand
// over to internal/server or to the root package; they decide nothing themselves.
//
// What a command says goes to standard output, everything else to standard error: errors as one line each, with a hint
// where there is something to do. The exit code is 0, 1 when a command failed, and 2 when it was called wrongly.
package cli
