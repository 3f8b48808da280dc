package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/password"
)

// readPassword reads a new password: one line of standard input, or typed twice without being shown.
func (o *options) readPassword(fromStdin bool) (tokenjar.Password, error) {
	typed, err := o.typePassword(fromStdin, "Password: ", "The same again: ")
	if err == nil && typed[0] != typed[len(typed)-1] {
		err = errors.New("the two passwords differ: nothing was changed")
	}
	if err != nil {
		return "", err
	}
	return typed[0], nil
}

// askPassword reads a password that is in use: one line of standard input, or typed once without being shown.
func (o *options) askPassword(fromStdin bool) (tokenjar.Password, error) {
	typed, err := o.typePassword(fromStdin, "Password: ")
	if err != nil {
		return "", err
	}
	return typed[0], nil
}

// typePassword reads one line of standard input, or what is typed at each of the prompts.
func (o *options) typePassword(fromStdin bool, prompts ...string) ([]tokenjar.Password, error) {
	if fromStdin {
		line, err := passwordLine(o.stdin)
		return []tokenjar.Password{line}, err
	}
	terminal, ok := o.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil, usagef("standard input is no terminal to ask for the password: use --password-stdin")
	}
	stop := showAgain(int(terminal.Fd()))
	defer stop()
	var typed []tokenjar.Password
	for _, prompt := range prompts {
		fmt.Fprint(o.stderr, prompt)
		line, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(o.stderr)
		if err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
		typed = append(typed, tokenjar.Password(line))
	}
	return typed, nil
}

// passwordLine reads a password as it stands on one line, blanks included.
func passwordLine(r io.Reader) (tokenjar.Password, error) {
	text, err := io.ReadAll(io.LimitReader(r, password.MaxBytes+3)) // with a line end, and one byte too many
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case len(text) == 0:
		return "", withHint(errors.New("standard input has no password"), "write it there as one line")
	case bytes.ContainsAny(text, "\n"):
		return "", withHint(errors.New("standard input has more than one line"), "write the password there as one line")
	}
	return tokenjar.Password(text), nil
}

// showAgain sees to it that a terminal shows what is typed again, also when the program is interrupted while it does
// not. stop ends that care.
func showAgain(terminal int) (stop func()) {
	state, err := term.GetState(terminal)
	if err != nil {
		return func() {}
	}
	interrupted, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-interrupted:
			term.Restore(terminal, state)
			os.Exit(1)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(interrupted)
		close(done)
	}
}
