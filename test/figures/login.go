package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar/test/figures/bare"
)

// Requests that come in while others sign in: of several browsers, each after a random pause, so that a moment in which
// nothing is answered meets as many of them as it would in earnest.
const othersRest = 8 * time.Millisecond // mean pause of each

// pause is how long a browser that was refused waits.
const pause = 20 * time.Millisecond

// A loginRun is a server and those who sign in to it.
type loginRun struct {
	*run
	server *server
	slots  int
	turn   atomic.Int64 // counts sign-ins, so that users take turns
	done   atomic.Int64 // sign-ins that succeeded
}

// login measures sign-ins: how many, what they take from others, and what happens to those who are too many.
func (r *run) login() error {
	dir, err := r.prepare(r.users, 0)
	if err != nil {
		return err
	}
	server, err := start(dir, r.tokenjar, "serve")
	if err != nil {
		return err
	}
	defer server.kill()
	l := &loginRun{run: r, server: server, slots: bare.Slots()}
	r.table("Sign-in under load", "", "tokenjar", "bare", "ratio", "aim")
	for _, measure := range []func() error{l.memory, l.share, l.bystanders, l.refusals, l.afterwards} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

func (l *loginRun) nextUser() string { return username(int(l.turn.Add(1)) % l.users) }

// signIn signs the next user in, or reports how it was refused.
func (l *loginRun) signIn(c *client) (answer, error) {
	a, err := c.login(l.nextUser())
	if err != nil {
		return a, err
	}
	switch a.status {
	case http.StatusOK:
		l.done.Add(1)
	case http.StatusServiceUnavailable:
		if a.header.Get("Retry-After") == "" {
			err = fmt.Errorf("login: 503 without Retry-After: %s", a.body)
		}
	default:
		err = fmt.Errorf("login: %d %s", a.status, a.body)
	}
	return a, err
}

// sustain signs in from all clients until the window is over; a client that is refused waits a little. It returns how
// long refusals took.
func (l *loginRun) sustain(list []*client, window time.Duration) (refusals []time.Duration, err error) {
	var mu sync.Mutex
	err = hammer(len(list), window, func(i int) error {
		a, err := l.signIn(list[i])
		if err == nil && a.status != http.StatusOK {
			mu.Lock()
			refusals = append(refusals, a.took)
			mu.Unlock()
			time.Sleep(pause)
		}
		return err
	})
	return refusals, err
}

// memory measures what a full queue takes, beside a server that hashes as many at once as are asked for.
func (l *loginRun) memory() error {
	list := clients(l.server, l.slots+l.waiting)
	defer closeAll(list)
	if _, err := l.sustain(list, 2*l.window); err != nil {
		return err
	}
	ours, err := l.server.peak()
	if err != nil {
		return err
	}
	var peaks [2]float64
	for i, slots := range []int{l.slots, 0} {
		if peaks[i], err = l.barePeak(slots); err != nil {
			return err
		}
	}
	l.row(fmt.Sprintf("peak memory, %d sign-ins waiting (one run)", l.waiting), number(ours)+" MB",
		fmt.Sprintf("%s MB; without slots %s MB", number(peaks[0]), number(peaks[1])), number(ours/peaks[0]), "≤ 130 MB")
	return nil
}

func (l *loginRun) barePeak(slots int) (float64, error) {
	server, err := start(l.dir, l.bare, "-slots", fmt.Sprint(slots))
	if err != nil {
		return 0, err
	}
	defer server.kill()
	list := clients(server, bare.Slots()+l.waiting)
	defer closeAll(list)
	err = hammer(len(list), 2*l.window, func(i int) error {
		_, err := list[i].want(http.MethodPost, "/hash", "")
		return err
	})
	if err != nil {
		return 0, err
	}
	return server.peak()
}

// share measures sign-ins a second at saturation against hashes a second in as many goroutines as there are slots, and
// the time on a core that one of each takes.
func (l *loginRun) share() error {
	list := clients(l.server, l.slots+l.others)
	defer closeAll(list)
	type side struct{ rates, cpu []float64 }
	measure := func(s *side, pid, workers int, work func(int) error) error {
		var times atomic.Int64
		before, err := cpuOf(pid)
		if err != nil {
			return err
		}
		perSecond, err := rate(workers, l.window, func(i int) error { times.Add(1); return work(i) })
		if err != nil {
			return err
		}
		after, err := cpuOf(pid)
		s.rates = append(s.rates, perSecond)
		s.cpu = append(s.cpu, milliseconds(after-before)/float64(times.Load()))
		return err
	}
	var ours, raw side
	for range l.rounds {
		if err := measure(&raw, os.Getpid(), l.slots, func(int) error { bare.Hash(); return nil }); err != nil {
			return err
		}
		err := measure(&ours, l.server.cmd.Process.Pid, len(list), func(i int) error {
			l.done.Add(1)
			return list[i].mustLogin(l.nextUser())
		})
		if err != nil {
			return err
		}
	}
	l.row(fmt.Sprintf("sign-ins a second at saturation, slots: %d", l.slots), spreadOf(ours.rates).String(),
		spreadOf(raw.rates).String()+" Argon2id", spreadOf(ratios(ours.rates, raw.rates)).String(), "≥ 0.95")
	l.row("time on a core for each", spreadOf(ours.cpu).String()+" ms", spreadOf(raw.cpu).String()+" ms",
		spreadOf(ratios(ours.cpu, raw.cpu)).String(), "–")
	return nil
}

// A bystander is a request that has nothing to do with passwords.
type bystander struct{ method, path, body string }

// bystanders measures how long other signed-in requests take, alone and while the slots are never empty, and the same
// for the bare server.
func (l *loginRun) bystanders() error {
	plain, err := start(l.dir, l.bare)
	if err != nil {
		return err
	}
	defer plain.kill()
	list := clients(l.server, l.others)
	defer closeAll(list)
	for _, c := range list {
		if err := c.mustLogin(l.nextUser()); err != nil {
			return err
		}
	}
	signing, hashing := clients(l.server, l.slots+l.others), clients(plain, l.slots+l.others)
	plainList := clients(plain, l.others)
	defer closeAll(slices.Concat(signing, hashing, plainList))
	signIns := func() error {
		_, err := l.sustain(signing, l.window)
		return err
	}
	hashes := func() error {
		return hammer(len(hashing), l.window, func(i int) error {
			_, err := hashing[i].want(http.MethodPost, "/hash", "")
			return err
		})
	}
	noStore := bystander{http.MethodPost, "/auth/token/verify", ""}
	measured := []struct {
		list   []*client
		what   bystander
		beside func() error
		p99    []float64
	}{
		{list: list, what: noStore}, {list: list, what: noStore, beside: signIns},
		{list: plainList, what: noStore}, {list: plainList, what: noStore, beside: hashes},
		{list: list, what: bystander{http.MethodGet, "/auth/user", ""}, beside: signIns},
	}
	var within []float64
	for range l.rounds {
		for i := range measured {
			m := &measured[i]
			if _, err := l.server.handled("", 0); err != nil {
				return err
			}
			p99, err := l.p99(m.list, m.what, m.beside)
			if err != nil {
				return err
			}
			m.p99 = append(m.p99, milliseconds(p99))
			if i == 1 {
				times, err := l.server.handled(m.what.path, http.StatusOK)
				if err != nil {
					return err
				}
				within = append(within, milliseconds(percentile(times, 0.99)))
			}
		}
	}
	ms := func(i int) string { return spreadOf(measured[i].p99).String() + " ms" }
	ratio := func(i, by int) string { return spreadOf(ratios(measured[i].p99, measured[by].p99)).String() }
	l.row("p99 of `POST /auth/token/verify` by cookie, which asks no store: alone", ms(0), ms(2), ratio(0, 2), "–")
	l.row("the same while the slots are never empty", ms(1), ms(3), ratio(1, 3), "≤ 1 ms")
	l.row("of that within the server, as its log says", spreadOf(within).String()+" ms", "–", "–", "≤ 1 ms")
	l.row("p99 of `GET /auth/user`, which asks it once, meanwhile", ms(4), ms(3), ratio(4, 3), "–")
	return nil
}

// p99 sends the request from all clients for a window, with something going on beside it.
func (l *loginRun) p99(list []*client, what bystander, beside func() error) (time.Duration, error) {
	besideDone := make(chan error, 1)
	go func() {
		if beside == nil {
			besideDone <- nil
			return
		}
		besideDone <- beside()
	}()
	var (
		mu    sync.Mutex
		times []time.Duration
	)
	err := hammer(len(list), l.window, func(i int) error {
		time.Sleep(time.Duration(rand.ExpFloat64() * float64(othersRest)))
		a, err := list[i].want(what.method, what.path, what.body)
		mu.Lock()
		defer mu.Unlock()
		times = append(times, a.took)
		return err
	})
	if besideErr := <-besideDone; err == nil {
		err = besideErr
	}
	return percentile(times, 0.99), err
}

// refusals measures how long it takes to be told that too many are waiting.
func (l *loginRun) refusals() error {
	list := clients(l.server, l.slots+l.waiting+l.beyond)
	defer closeAll(list)
	var p50, p99, within []float64
	refused := 0
	for range l.rounds {
		if _, err := l.server.handled("", 0); err != nil {
			return err
		}
		times, err := l.sustain(list, l.window)
		if err != nil {
			return err
		}
		if len(times) == 0 {
			return fmt.Errorf("%d sign-ins at once and none was refused", len(list))
		}
		refused += len(times)
		inside, err := l.server.handled("/auth/login", http.StatusServiceUnavailable)
		if err != nil {
			return err
		}
		within = append(within, milliseconds(percentile(inside, 0.99)))
		p50, p99 = append(p50, milliseconds(percentile(times, 0.5))), append(p99, milliseconds(percentile(times, 0.99)))
	}
	l.row(fmt.Sprintf("until a sign-in too many is refused, %d at once: p50 (%d refusals)", len(list), refused),
		spreadOf(p50).String()+" ms", "–", "–", "≤ 5 ms")
	l.row("the same: p99", spreadOf(p99).String()+" ms", "–", "–", "≤ 5 ms")
	l.row("of that within the server, as its log says", spreadOf(within).String()+" ms", "–", "–", "≤ 5 ms")
	return nil
}

// afterwards measures what many sessions leave in memory, and with them the peak of the whole run.
func (l *loginRun) afterwards() error {
	list := clients(l.server, l.slots+l.others)
	defer closeAll(list)
	for int(l.done.Load()) < l.sessions {
		if _, err := l.sustain(list, l.window); err != nil {
			return err
		}
	}
	time.Sleep(l.settle)
	resident, err := l.server.resident()
	if err != nil {
		return err
	}
	peak, err := l.server.peak()
	if err != nil {
		return err
	}
	l.row(fmt.Sprintf("resident memory %s after %d sign-ins (one run)", l.settle, l.done.Load()), number(resident)+" MB",
		"–", "–", "–")
	l.row("peak memory of all this, refusals included (one run)", number(peak)+" MB", "–", "–", "–")
	return nil
}
