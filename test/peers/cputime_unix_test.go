//go:build linux || darwin || freebsd

package peers_test

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what this thread has used of the processors, to the nanosecond. Other programs on the machine do not count in it,
// as they would in the time of day, and neither does what the collector does beside us; what it has us do, does.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
