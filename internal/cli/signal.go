package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that the first of the signals cancels. A second one ends the program at once, after
// atOnce. Signals that the program was told to ignore, as by nohup, stay ignored. The caller calls stop.
func untilSignal(ctx context.Context, atOnce func(), signals ...os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	arrived, done := make(chan os.Signal, 2), make(chan struct{})
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(arrived, s)
		}
	}
	go func() {
		for range 2 {
			select {
			case <-done:
				return
			case <-arrived:
			}
			if ctx.Err() != nil {
				atOnce()
				os.Exit(1)
			}
			cancel()
		}
	}()
	return ctx, func() {
		signal.Stop(arrived)
		close(done)
		cancel()
	}
}

// ignoreHangup keeps a server alive that loses its terminal.
func ignoreHangup() { signal.Ignore(syscall.SIGHUP) }

// ignorePipe makes the end of whoever reads our output an error of the write. Otherwise a reader could end a command
// between what it does and its record in the audit trail, or a server with its log.
func ignorePipe() { signal.Ignore(syscall.SIGPIPE) }
