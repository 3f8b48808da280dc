package spa

import (
	"strconv"
	"strings"
)

// A coding is how a body may be sent smaller.
type coding struct {
	name   string // in Accept-Encoding
	suffix string // of the file beside the original
}

// codings are those that are looked for, the smallest result first.
var codings = []coding{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// accepted returns the codings that a client takes, the best first: by its weights, and where they are equal by ours (RFC
// 9110, section 12.5.3). A coding that it wants less than the plain body is left out. Without the field the body is plain:
// who says nothing may be a program that knows none.
func accepted(fields []string) (best []coding) {
	weights := map[string]int{}
	for _, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(part, ";")
			name = strings.ToLower(strings.Trim(name, " \t"))
			if name == "x-gzip" {
				name = "gzip"
			}
			if q, ok := weight(params); ok && name != "" {
				weights[name] = q
			}
		}
	}
	of := func(name string) int {
		if q, ok := weights[name]; ok {
			return q
		}
		return weights["*"]
	}
	for _, c := range codings {
		q := of(c.name)
		if q == 0 || q < weights["identity"] {
			continue
		}
		i := len(best)
		for i > 0 && of(best[i-1].name) < q {
			i--
		}
		best = append(best[:i], append([]coding{c}, best[i:]...)...)
	}
	return best
}

// weight reads a weight in thousandths. What is no weight makes the element count for nothing.
func weight(params string) (int, bool) {
	params = strings.Trim(params, " \t")
	if params == "" {
		return 1000, true
	}
	name, value, _ := strings.Cut(params, "=")
	if !strings.EqualFold(strings.Trim(name, " \t"), "q") {
		return 0, false
	}
	value = strings.Trim(value, " \t")
	if len(value) == 0 || len(value) > 5 || strings.Trim(value, "0123456789.") != "" {
		return 0, false
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil || q > 1 {
		return 0, false
	}
	return int(q*1000 + 0.5), true
}
