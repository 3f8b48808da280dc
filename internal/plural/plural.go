// Package plural says how many there are of something.
package plural

import "fmt"

// Count is "1 session", "2 sessions", "0 sessions".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
