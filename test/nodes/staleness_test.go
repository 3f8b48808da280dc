package nodes

import (
	"net/http"
	"testing"
	"time"
)

// BenchmarkStaleness measures how long after the answer of a sign-out at one node another one still takes the access token
// of the session: from the answer to the asking of the first question that was refused. With load, eight pages ask and refresh
// through nginx beside it.
func BenchmarkStaleness(b *testing.B) {
	for _, load := range []struct {
		name  string
		pages int
	}{{"load=none", 0}, {"load=8", 8}} {
		b.Run(load.name, func(b *testing.B) {
			c := start(b, setup{nodes: 3, settings: map[string]string{"LOG_LEVEL": "warn"}})
			pages := c.crowd(b, load.pages, "ada")
			var took []time.Duration
			began := pages.served.Load()
			b.ResetTimer()
			for b.Loop() {
				page := c.browser(b, c.nodes[0])
				page.signIn(b, "ada")
				access := page.cookie("access_token")
				for _, n := range c.nodes {
					if a := c.verify(b, n, access); a.status != http.StatusOK {
						b.Fatal(a)
					}
				}
				page.want(b, http.StatusOK, "POST", "/auth/logout", nil)
				took = append(took, c.lag(b, c.nodes[1:], access, "token_revoked", time.Now())...)
				c.closeIdle()
			}
			b.StopTimer()
			ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
			b.ReportMetric(float64(len(took)), "times")
			b.ReportMetric(ms(percentile(took, .5)), "p50-ms")
			b.ReportMetric(ms(percentile(took, .99)), "p99-ms")
			b.ReportMetric(ms(percentile(took, 1)), "longest-ms")
			b.ReportMetric(float64(pages.served.Load()-began)/b.Elapsed().Seconds(), "requests/s")
			pages.check(b)
		})
	}
}
