package config

import (
	"fmt"
	"strconv"
	"strings"
)

// A Size is a number of bytes, written as 65536, 64KiB, 10MiB or 1GiB.
type Size int64

var sizeUnits = []struct {
	name string
	size Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads a size. Units of a thousand are refused: half of their readers take them for others.
func parseSize(text string) (Size, error) {
	digits, unit := text, Size(1)
	for _, u := range sizeUnits {
		if before, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = before, u.size
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != digits || n > (1<<63-1)/int64(unit) {
		return 0, fmt.Errorf("%s is no size: write a whole number of bytes, or of KiB, MiB or GiB, as 64KiB", shown(text))
	}
	return Size(n) * unit, nil
}

// String writes a size so that parseSize reads it back, in the largest unit that is whole.
func (n Size) String() string {
	for _, u := range sizeUnits {
		if n > 0 && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(int64(n), 10)
}
