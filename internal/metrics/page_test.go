package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/metrics"

	"github.com/tokenjar/tokenjar/internal/golden"
)

const page = "../../docs/reference/metrics.md"

// The page of metrics is made of the table: go test ./internal/metrics -update.
func TestTheReferenceOfMetricsIsTheTable(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Made of the table in package internal/metrics: go test ./internal/metrics -update -->

With ` + "`admin.listen`" + ` set, ` + "`GET /metrics`" + ` on that address answers in the format of Prometheus. It is never on the
public address. Beside the families below there are those of the Go runtime (` + "`go_…`" + `) and of the process
(` + "`process_…`" + `). No label holds a path, an address, a name or anything else that a client may choose.

| name | type | labels | meaning |
| --- | --- | --- | --- |
`)
	for _, m := range metrics.Reference() {
		labels := "–"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, m.Help)
	}
	golden.Compare(t, page, []byte(b.String()))
}
