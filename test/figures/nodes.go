package main

// nodes measures how long one node does not know what ended at another.
func (r *run) nodes() error {
	r.table("How long a node takes tokens of a session that ended at another", "beside it", "requests/s", "times", "p50 ms", "p99 ms",
		"longest ms", "aim: p50, p99")
	out, err := r.benchmark(nil, "./test/nodes", "Staleness", "-benchtime", "300x")
	if err != nil {
		return err
	}
	m := benchmarkMetrics(out)
	for _, load := range [][2]string{{"none", "nothing"}, {"8", "8 pages"}} {
		cells, err := m.cells("BenchmarkStaleness/load="+load[0], "requests/s", "times", "p50-ms", "p99-ms", "longest-ms")
		if err != nil {
			return err
		}
		r.row(append(append([]string{load[1]}, cells...), "≤ 100 ms, ≤ 1 s")...)
	}
	return nil
}
