package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// proxy measures a request that goes through us to a service, beside the same request sent to the service itself and through
// what else there is. The service is nginx with a constant answer, on the core of the clients; each proxy is alone on the other
// one, with one worker or GOMAXPROCS=1. All get the same Cookie field: one access token.
func (r *run) proxy() error {
	for _, program := range []string{"wrk", "taskset", nginxPath()} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: apt-get install wrk util-linux nginx-light", err)
		}
	}
	p := &proxyRun{run: r}
	defer p.stop()
	if err := p.start(); err != nil {
		return err
	}
	rates := make([][]float64, len(p.ways))
	p50, p99 := make([][]float64, len(p.ways)), make([][]float64, len(p.ways))
	alone50, alone99 := make([][]float64, len(p.ways)), make([][]float64, len(p.ways))
	for round := range 2*r.rounds + 1 { // the first is to warm up
		for _, i := range rand.Perm(len(p.ways)) {
			many, err := p.turn(p.ways[i], 32)
			if err != nil {
				return err
			}
			one, err := p.turn(p.ways[i], 1)
			if err != nil {
				return err
			}
			if round == 0 {
				continue
			}
			rates[i] = append(rates[i], many.rate)
			p50[i], p99[i] = append(p50[i], many.p50), append(p99[i], many.p99)
			alone50[i], alone99[i] = append(alone50[i], one.p50), append(alone99[i], one.p99)
		}
	}
	r.table(fmt.Sprintf("A request through the proxy, Cookie field of %d bytes, %d rounds", len(p.cookie), 2*r.rounds), "way", "requests/s, 32 clients",
		"share of direct", "of nginx proxy_pass", "of the tuned ReverseProxy", "of nginx auth_request", "p50 / p99 µs, 32 clients",
		"added p50 / p99 µs, 1 client")
	for i, way := range p.ways {
		added := spreadOf(differences(alone50[i], alone50[0]))
		added99 := spreadOf(differences(alone99[i], alone99[0]))
		r.row(way.name, spreadOf(rates[i]).String(), share(rates[i], rates[0]), share(rates[i], rates[p.nginx]), share(rates[i], rates[p.tuned]),
			share(rates[i], rates[p.authRequest]), fmt.Sprintf("%s / %s", number(spreadOf(p50[i]).median), number(spreadOf(p99[i]).median)),
			fmt.Sprintf("%s / %s", added, added99))
	}
	return nil
}

func share(of, by []float64) string { return spreadOf(ratios(of, by)).String() }

func differences(of, from []float64) []float64 {
	list := make([]float64, len(of))
	for i := range of {
		list[i] = of[i] - from[i]
	}
	return list
}

// A way leads to the service.
type way struct {
	name string
	url  string
	host string
}

// A proxyRun is the processes under measurement.
type proxyRun struct {
	*run
	ways                      []way
	nginx, tuned, authRequest int // places in ways
	cookie                    string
	processes                 []*exec.Cmd
}

func (p *proxyRun) stop() {
	for _, cmd := range p.processes {
		cmd.Process.Signal(os.Interrupt)
	}
	for _, cmd := range p.processes {
		done := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		done.Stop()
	}
}

func (p *proxyRun) start() error {
	dir, err := os.MkdirTemp(p.dir, "proxy-")
	if err != nil {
		return err
	}
	service, plain, checked, admin, err := fourPorts()
	if err != nil {
		return err
	}
	to := "http://" + service
	err = p.startNginx(1, dir, "service", fmt.Sprintf(`server { listen %s; location / { default_type application/json;
return 200 '{"id":7,"name":"a thing","price":"12.50","in_stock":true}'; } }`, service))
	if err != nil {
		return err
	}
	ours, err := p.prepare(1, 0)
	if err != nil {
		return err
	}
	settings := settings + fmt.Sprintf(`log: {level: warn}
admin: {listen: %q, forward_auth: nginx}
routes:
  - {path: /things, upstream: %q, audience: things}
  - {path: /open, upstream: %q, auth: none, token: none}
`, admin, to, to)
	if err := os.WriteFile(filepath.Join(ours, "tokenjar.yaml"), []byte(settings), 0o600); err != nil {
		return err
	}
	tokenjar, err := start(ours, "taskset", "-c", "0", "env", "GOMAXPROCS=1", p.tokenjar, "serve")
	if err != nil {
		return err
	}
	p.processes = append(p.processes, tokenjar.cmd)
	c := newClient(tokenjar)
	defer c.close()
	if err := c.mustLogin(username(0)); err != nil {
		return err
	}
	p.cookie = "access_token=" + c.cookies["access_token"]
	host := strings.TrimPrefix(tokenjar.url, "http://")
	bares := make([]string, 2)
	for i, flags := range [][]string{{"-to", to}, {"-tuned", "-to", to}} {
		dir, err := os.MkdirTemp(p.dir, "bare-")
		if err != nil {
			return err
		}
		s, err := start(dir, "taskset", append([]string{"-c", "0", "env", "GOMAXPROCS=1", p.bare}, flags...)...)
		if err != nil {
			return err
		}
		p.processes = append(p.processes, s.cmd)
		bares[i] = s.url
	}
	upstreams := fmt.Sprintf("upstream service { server %s; keepalive 64; }\nupstream auth { server %s; keepalive 64; }\n", service, admin)
	pass := "proxy_http_version 1.1; proxy_set_header Connection \"\"; "
	err = p.startNginx(0, dir, "front", upstreams+fmt.Sprintf(`
server { listen %s; location / { %s proxy_pass http://service; } }
server { listen %s;
  location / { auth_request /check; auth_request_set $bearer $upstream_http_authorization; %s
    proxy_set_header Authorization $bearer; proxy_set_header Cookie ""; proxy_pass http://service; }
  location = /check { internal; %s proxy_pass http://auth/forward-auth; proxy_pass_request_body off; proxy_set_header Content-Length "";
    proxy_set_header X-Original-URI $request_uri; proxy_set_header X-Original-Method $request_method;
    proxy_set_header X-Original-Host %s; } }`, plain, pass, checked, pass, pass, host))
	if err != nil {
		return err
	}
	p.ways = []way{
		{"the service itself", to + "/things", ""},
		{"nginx proxy_pass", "http://" + plain + "/things", ""},
		{"nginx auth_request, our forward-auth", "http://" + checked + "/things", host},
		{"httputil.ReverseProxy, as it comes", bares[0] + "/things", ""},
		{"httputil.ReverseProxy, tuned", bares[1] + "/things", ""},
		{"tokenjar, auth: none", tokenjar.url + "/open", ""},
		{"tokenjar, auth: required, a token for the service", tokenjar.url + "/things", ""},
	}
	p.nginx, p.authRequest, p.tuned = 1, 2, 4
	return p.check()
}

// check sees to it that every way leads to the service, and that two of them ask who it is.
func (p *proxyRun) check() error {
	for i, way := range p.ways {
		for _, cookie := range []string{p.cookie, ""} {
			req, err := http.NewRequest(http.MethodGet, way.url, nil)
			if err != nil {
				return err
			}
			if cookie != "" {
				req.Header.Set("Cookie", cookie)
			}
			if way.host != "" {
				req.Host = way.host
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			res.Body.Close()
			want := http.StatusOK
			if cookie == "" && (i == p.authRequest || i == len(p.ways)-1) {
				want = http.StatusUnauthorized
			}
			if res.StatusCode != want {
				return fmt.Errorf("%s: got %d, want %d", way.name, res.StatusCode, want)
			}
		}
	}
	return nil
}

// startNginx starts one with one worker on a core.
func (p *proxyRun) startNginx(core int, dir, name, servers string) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Join(path, "logs"), 0o700); err != nil {
		return err
	}
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, path, kind)
	}
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; large_client_header_buffers 4 16k;
%[2]s
%[3]s }`, path, temp, servers)
	file := filepath.Join(path, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("taskset", "-c", strconv.Itoa(core), nginxPath(), "-e", filepath.Join(path, "error.log"), "-p", path, "-c", file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	p.processes = append(p.processes, cmd)
	for _, address := range regexp.MustCompile(`listen (\S+);`).FindAllStringSubmatch(servers, -1) {
		if err := reachable(address[1]); err != nil {
			return err
		}
	}
	return nil
}

// reachable waits until somebody listens.
func reachable(address string) (err error) {
	for range 200 {
		var conn net.Conn
		if conn, err = net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func nginxPath() string {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	return "/usr/sbin/nginx" // Debian's is in root's PATH alone
}

// fourPorts returns addresses that were free a moment ago.
func fourPorts() (a, b, c, d string, err error) {
	var addresses [4]string
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", "", "", err
		}
		defer listener.Close()
		addresses[i] = listener.Addr().String()
	}
	return addresses[0], addresses[1], addresses[2], addresses[3], nil
}

// A wrkTurn is what a second of wrk gave: requests a second, and latencies in µs.
type wrkTurn struct{ rate, p50, p99 float64 }

func (p *proxyRun) turn(w way, clients int) (wrkTurn, error) {
	window := max(p.window, time.Second).Round(time.Second)
	args := []string{"-c", "1", "wrk", "-t1", "-c" + strconv.Itoa(clients), "-d" + window.String(), "--latency", "-H", "Cookie: " + p.cookie,
		"-H", "Accept: application/json", "-H", "Sec-Fetch-Site: same-origin"}
	if w.host != "" {
		args = append(args, "-H", "Host: "+w.host)
	}
	out, err := exec.Command("taskset", append(args, w.url)...).CombinedOutput()
	if err != nil {
		return wrkTurn{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return readWrk(string(out))
}

var (
	wrkRate    = regexp.MustCompile(`Requests/sec: +([\d.]+)`)
	wrkLatency = regexp.MustCompile(`(?m)^ +(50|99)% +([\d.]+)(us|ms|s)`)
)

// readWrk reads what wrk says at the end.
func readWrk(said string) (t wrkTurn, err error) {
	found := wrkRate.FindStringSubmatch(said)
	latencies := wrkLatency.FindAllStringSubmatch(said, -1)
	if found == nil || len(latencies) != 2 || strings.Contains(said, "Non-2xx") || strings.Contains(said, "Socket errors") {
		return t, fmt.Errorf("wrk said:\n%s", said)
	}
	var errs [3]error
	t.rate, errs[0] = strconv.ParseFloat(found[1], 64)
	for i, l := range latencies {
		v, err := strconv.ParseFloat(l[2], 64)
		errs[i+1] = err
		v *= map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[l[3]]
		if l[1] == "50" {
			t.p50 = v
		} else {
			t.p99 = v
		}
	}
	return t, errors.Join(errs[:]...)
}
