//go:build linux

// Command requests measures a request with a cookie behind our guard and behind what else there is for Go, each beside a
// bare net/http handler that receives the same cookie, and prints the table of docs/performance.md.
//
//	go run ./requests    three and a half minutes; it needs wrk, taskset and two cores
//
// Every variant is a process of its own on core 0 with GOMAXPROCS=1 and the heap floor that serve sets; wrk is on core 1. They
// take turns, each beside a turn of the bare handler, in another order each round, and all are started anew several times.
// What is compared is the time on a core for each request, as the kernel counts it: it does not count what other programs
// take.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/yardstick"
)

func main() {
	serving := flag.Int("serve", -1, "be the server of the variant with this `number`")
	restarts := flag.Int("restarts", 3, "how often all servers are started anew")
	rounds := flag.Int("rounds", 7, "turns of each variant after each start")
	flag.Parse()
	err := errors.New("no such variant")
	switch {
	case *serving < 0:
		err = measure(*restarts, *rounds)
	case *serving < len(variants):
		err = serve(variants[*serving])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "requests:", err)
		os.Exit(1)
	}
}

// serve answers until the process is killed. It prints its address and the cookies to send.
func serve(v variant) error {
	h, cookies, err := v.make(context.Background())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.HeapFloor(32 << 20)()
	fmt.Printf("%s\n%s\n", listener.Addr(), cookies)
	return (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

// A process is a server of one variant and what its turns came to.
type process struct {
	cmd              *exec.Cmd
	address, cookies string
}

func start(number int) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command("taskset", "-c", "0", self, "-serve", strconv.Itoa(number))}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), "GOMAXPROCS=1", "GOGC="), os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewReader(out); err == nil && p.cookies == ""; {
		if p.address, err = lines.ReadString('\n'); err == nil {
			p.cookies, err = lines.ReadString('\n')
		}
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %w", variants[number].name, err)
	}
	p.address, p.cookies = strings.TrimSpace(p.address), strings.TrimSpace(p.cookies)
	return p, nil
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// A turn is one second of requests.
type turn struct{ cpu, rate float64 } // µs on a core for each; requests a second

var (
	wrkTotal = regexp.MustCompile(`(\d+) requests in `)
	wrkRate  = regexp.MustCompile(`Requests/sec: +([\d.]+)`)
)

func (p *process) turn(cookies string) (turn, error) {
	before, err := p.cpu()
	if err != nil {
		return turn{}, err
	}
	out, err := exec.Command("taskset", "-c", "1", "wrk", "-t1", "-c32", "-d1s", "-H", "Cookie: "+cookies,
		"-H", "Sec-Fetch-Site: same-origin", "-H", "Accept: application/json",
		"-H", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"http://"+p.address+"/things").CombinedOutput()
	if err != nil {
		return turn{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	after, err := p.cpu()
	if err != nil {
		return turn{}, err
	}
	return read(string(out), after-before)
}

// read reads what wrk said of a turn that took the server some time on a core.
func read(said string, cpu time.Duration) (turn, error) {
	total, rate := wrkTotal.FindStringSubmatch(said), wrkRate.FindStringSubmatch(said)
	if total == nil || rate == nil || strings.Contains(said, "Non-2xx") || strings.Contains(said, "Socket errors") {
		return turn{}, fmt.Errorf("wrk said:\n%s", said)
	}
	n, err1 := strconv.ParseFloat(total[1], 64)
	each, err2 := strconv.ParseFloat(rate[1], 64)
	if n == 0 {
		return turn{}, fmt.Errorf("wrk got no answers:\n%s", said)
	}
	return turn{cpu: float64(cpu) / float64(time.Microsecond) / n, rate: each}, errors.Join(err1, err2)
}

// cpu returns the time that the process has spent on cores: its clock as of clock_getcpuclockid(3).
func (p *process) cpu() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of the kernel
	var t unix.Timespec
	err := unix.ClockGettime(int32(^p.cmd.Process.Pid)<<3|scheduled, &t)
	return time.Duration(t.Nano()), err
}

// A figure is what the turns of a variant came to, beside the bare turns that were their neighbours.
type figure struct{ cpu, rate, share, rateShare yardstick.Spread }

func measure(restarts, rounds int) error {
	if runtime.NumCPU() < 2 {
		return errors.New("two cores are needed")
	}
	for _, program := range []string{"taskset", "wrk"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: apt-get install wrk util-linux", err)
		}
	}
	figures := make([]figure, len(variants))
	length := 0
	for range restarts {
		n, err := afterStart(figures, rounds)
		if err != nil {
			return err
		}
		length = n
	}
	fmt.Printf("%s, %s. %d pairs over %d starts, cookies of %d bytes; medians, shares with quartiles.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), restarts*rounds, restarts, length)
	fmt.Print("|  | µs on a core | requests/s | share of bare, by time on a core | by requests/s | aim |\n" +
		"| --- | --- | --- | --- | --- | --- |\n")
	for i, f := range figures {
		share, rateShare := "1", "1"
		if i > 0 {
			share, rateShare = quartiles(f.share), quartiles(f.rateShare)
		}
		fmt.Printf("| %s | %.1f | %.0f | %s | %s | %s |\n", variants[i].name, f.cpu.At(.5), f.rate.At(.5), share, rateShare,
			cmp.Or(variants[i].aim, "–"))
	}
	return nil
}

func quartiles(s yardstick.Spread) string {
	return fmt.Sprintf("%.3f [%.3f–%.3f]", s.At(.5), s.At(.25), s.At(.75))
}

// afterStart starts all servers, adds the turns of some rounds to the figures, and ends the servers. It returns the length of
// the Cookie header.
func afterStart(figures []figure, rounds int) (length int, err error) {
	var list []*process
	defer func() {
		for _, p := range list {
			p.stop()
		}
	}()
	for number := range variants {
		p, err := start(number)
		if err != nil {
			return 0, err
		}
		list = append(list, p)
		length = max(length, len(p.cookies))
	}
	const other = "; other="
	for _, p := range list { // all get as much
		if missing := length - len(p.cookies) - len(other); missing > 0 {
			p.cookies += other + strings.Repeat("x", missing)
		}
		if _, err := p.turn(p.cookies); err != nil { // warm up
			return 0, err
		}
	}
	for range rounds {
		order := rand.Perm(len(variants) - 1)
		for len(order) > 0 { // one, bare, another one
			group := order[:min(2, len(order))]
			order = order[len(group):]
			if err := pairs(figures, list, group); err != nil {
				return 0, err
			}
		}
	}
	return length, nil
}

// pairs takes a turn of the bare handler between those of one or two variants.
func pairs(figures []figure, list []*process, group []int) error {
	turns := make([]turn, len(group))
	var bare turn
	for place := range len(group) + 1 {
		var err error
		switch place {
		case 1:
			bare, err = list[0].turn(list[0].cookies)
		case 0:
			turns[0], err = list[group[0]+1].turn(list[group[0]+1].cookies)
		default:
			turns[1], err = list[group[1]+1].turn(list[group[1]+1].cookies)
		}
		if err != nil {
			return err
		}
	}
	figures[0].add(bare, bare)
	for i, t := range turns {
		figures[group[i]+1].add(t, bare)
	}
	return nil
}

func (f *figure) add(t, bare turn) {
	f.cpu, f.rate = append(f.cpu, t.cpu), append(f.rate, t.rate)
	f.share, f.rateShare = append(f.share, bare.cpu/t.cpu), append(f.rateShare, t.rate/bare.rate)
}
