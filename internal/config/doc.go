// Package config makes one checked struct of the file, the environment and the flags, in this order: what comes later
// wins. It hands the struct over to internal/server, and warnings and mistakes to internal/cli, which prints them.
//
// A wrong configuration never starts. All its mistakes are reported at once, each with its place and what to do. An
// unknown setting is a mistake, because a misspelt one would otherwise leave a door open that its author believes shut.
package config
