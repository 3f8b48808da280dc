//go:build !unix

package peers_test

import "time"

var start = time.Now()

// cpuTime is the time of day where the processors' is not to be had; it wants a quiet machine.
func cpuTime() time.Duration { return time.Since(start) }
