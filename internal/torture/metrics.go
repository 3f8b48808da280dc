package torture

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tokenjar/tokenjar/internal/plural"
)

const (
	securityEvents = "tokenjar_security_events_total"
	maxMetrics     = 16 << 20 // bytes
)

// A counter is something that a run causes, and the security events under which it is counted.
type counter struct {
	tally     string
	one, many string
	events    [2]event
}

type event struct{ name, reason string }

// Who loses a race is told apart from who comes later only by the process in which the race took place.
var counters = []counter{
	{"reuse", "reuse", "reuses", [2]event{{"session.revoked", "reuse"}}},
	{"lost race", "lost race", "lost races", [2]event{{"refresh.lost_race", ""}, {"refresh.grace_replay", ""}}},
	{"replay", "replay within the grace", "replays within the grace", [2]event{{"refresh.grace_replay", ""}}},
	{"shared", "answer to another client", "answers to another client", [2]event{{"refresh.shared_successor", ""}}},
	{"late retry", "late retry", "late retries", [2]event{{"refresh.late_retry", ""}}},
	{"rotation", "rotation", "rotations", [2]event{{"refresh.rotated", ""}}},
	{"logout", "sign-out", "sign-outs", [2]event{{"session.revoked", "logout"}}},
}

// String names the events as they are labelled.
func (c counter) String() string {
	var labels []string
	for _, e := range c.events {
		if e.name != "" {
			labels = append(labels, fmt.Sprintf("event=%q reason=%q", e.name, e.reason))
		}
	}
	return strings.Join(labels, " and ")
}

// scrape reads the counters of all nodes together; nil when none are named.
func (r *run) scrape(ctx context.Context) (map[counter]float64, error) {
	if len(r.cfg.Metrics) == 0 {
		return nil, nil
	}
	sums := map[counter]float64{}
	for _, url := range r.cfg.Metrics {
		if err := r.scrapeOne(ctx, url, sums); err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
	}
	return sums, nil
}

func (r *run) scrapeOne(ctx context.Context, url string, sums map[counter]float64) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: helloTimeout}
	res, err := client.Do(q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusMisdirectedRequest:
		return fmt.Errorf("%s answered %d: they are at the address of admin.listen, not at the one for browsers", url, res.StatusCode)
	default:
		return fmt.Errorf("%s answered %d", url, res.StatusCode)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(res.Body, maxMetrics))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if families["tokenjar_build_info"] == nil {
		return fmt.Errorf("%s has no metrics of tokenjar", url)
	}
	for _, m := range families[securityEvents].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		for _, c := range counters {
			if slices.Contains(c.events[:], event{labels["event"], labels["reason"]}) {
				sums[c] += m.GetCounter().GetValue()
			}
		}
	}
	return nil
}

// tryMetrics compares the counters with what this run has caused: R10. Others use the server as well, so they may have
// moved further.
func (r *run) tryMetrics(ctx context.Context, before map[counter]float64) error {
	if before == nil {
		r.notTried("R10", "counters are seen on the nodes' admin listeners alone: give --metrics for each node")
		return nil
	}
	after, err := r.scrape(ctx)
	if err != nil {
		return breakOff("%v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var said []string
	for _, c := range counters {
		caused, counted := r.tally[c.tally], after[c]-before[c]
		if caused == 0 {
			continue
		}
		what := plural.Count(caused, c.one, c.many)
		said = append(said, what)
		if counted < float64(caused) {
			r.fail("R10", fmt.Sprintf("this run has caused %s, but %s for %s has moved by %.0f", what, securityEvents, c, counted),
				"Theft, or bad luck that looks like it, is not seen by whoever watches the metrics.",
				"whether --metrics names every node, and a restart during the run")
		}
	}
	if r.tally[counters[0].tally] == 0 {
		r.notTried("R10", "no reuse was noticed that could be counted: see R4")
		return nil
	}
	r.pass("R10", "counted were "+strings.Join(said, ", "))
	return nil
}
