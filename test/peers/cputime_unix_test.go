//go:build unix

package peers_test

import (
	"syscall"
	"time"
)

// cpuTime is what the process has had of the processors, the collector's share included. Other programs on the machine do
// not count in it, as they would in the time of day.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
