package torture

import "slices"

// rules are what there is a verdict on, in the order in which they are printed. R1 to R12 are those of the contract.
var rules = []struct{ id, title string }{
	{"R1", "one refresh token is spent once, however many ask at once"},
	{"R2", "nothing is answered before it is committed, so a lost answer can be had again"},
	{"R3", "the same token shown again gives the same successor, on every node"},
	{"R4", "a token older than the one before is a copy: its session ends everywhere"},
	{"R5", "a lost answer is given again after the grace, once"},
	{"R6", "who loses a race is signed in all the same, and keeps the cookies"},
	{"R7", "a copied token ends its own session and no other"},
	{"R8", "every node and the store tell the same time"},
	{"R9", "a sign-out beats a refresh in flight, on every node"},
	{"R10", "reuse, replay and late retry are counted apart"},
	{"R11", "access tokens of one moment do not end at one moment"},
	{"R12", "a store that does not answer signs nobody out"},
	{"cookies", "cookies are out of the reach of scripts and of other sites"},
	{"no-store", "no answer may be kept by a cache"},
}

func (r *run) verdict(rule string) *Verdict {
	i := slices.IndexFunc(r.verdicts, func(v *Verdict) bool { return v.Rule == rule })
	return r.verdicts[i]
}

// pass says that a rule held in what was tried of it. It does not undo a failure.
func (r *run) pass(rule string, notes ...string) {
	r.judging.Lock()
	defer r.judging.Unlock()
	v := r.verdict(rule)
	if v.Result != Fail {
		v.Result, v.Why = Pass, ""
	}
	v.Notes = append(v.Notes, notes...)
}

// fail says that a rule does not hold. The first failure is the one that is told: the next ones often follow from it.
func (r *run) fail(rule, seen, means, lookAt string) {
	r.judging.Lock()
	defer r.judging.Unlock()
	v := r.verdict(rule)
	if v.Result == Fail {
		return
	}
	v.Result, v.Seen, v.Means, v.LookAt, v.Why = Fail, seen, means, lookAt, ""
}

// notTried says why there is no judgement, unless the rule has failed already.
func (r *run) notTried(rule, why string) {
	r.judging.Lock()
	defer r.judging.Unlock()
	v := r.verdict(rule)
	if v.Result != Fail {
		v.Result, v.Why = NotTried, why
	}
}

// figures puts what was measured beside a verdict.
func (r *run) figures(rule string, measured map[string]float64) {
	r.judging.Lock()
	defer r.judging.Unlock()
	r.verdict(rule).Figures = measured
}

func (r *run) failed(rule string) bool {
	r.judging.Lock()
	defer r.judging.Unlock()
	return r.verdict(rule).Result == Fail
}
