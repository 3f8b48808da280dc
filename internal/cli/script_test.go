package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenjar/tokenjar/internal/cli"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// The test binary is the program: called as tokenjar it is nothing else.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tokenjar": func() { os.Exit(cli.Main()) },
		"get":      get,
	})
}

// get prints status and body of a page, and fails unless the status is 200.
func get() {
	response, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode)
	io.Copy(os.Stdout, io.LimitReader(response.Body, 600)) // a failing script prints it
	if response.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}

// TestScripts runs the transcripts in testdata/script. Beside testscript's own commands they have
//
//	start ARG…             start tokenjar and wait until it is ready; its address is then $URL
//	finish SIGNAL…         send it the signals, wait for it, and have its output as out and err in the working folder
//	mode OCTAL FILE        check a file's permissions
//	signin NAME            sign in at $URL with umbrella-kettle-92
//	access NAME STATUS     ask with that access token alone: it gets the status, now or soon
//	renewed NAME [refresh] ask with all cookies, or with that one alone: they are renewed on the way
//	logged PATTERN         wait until the server has logged it
//	capture VAR PATTERN    keep what the group of a pattern matches in the last output
//	empty DIR              check that a folder holds nothing
func TestScripts(t *testing.T) { runScripts(t, "testdata/script", nil) }

// TestPostgresScripts runs those in testdata/postgres, which have a PostgreSQL.
func TestPostgresScripts(t *testing.T) {
	server := pgtest.Start(t)
	pool := pgtest.Pool(t, server.DSN())
	for _, query := range []string{
		`CREATE SCHEMA app`,
		`CREATE ROLE guest LOGIN PASSWORD '` + pgtest.Password + `'`,
		`CREATE SCHEMA closed`, `GRANT USAGE ON SCHEMA closed TO guest`,
	} {
		if _, err := pool.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	as := func(user, password, address, database, schema string) string {
		return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&search_path=%s", user, password, address, database, schema)
	}
	runScripts(t, "testdata/postgres", map[string]string{
		"DATABASE":   pgtest.With(server.TCP(), "search_path", "app"),
		"NOBODY":     as("postgres", "wrong-horse", server.Addr(), "postgres", "app"),
		"NOWHERE":    as("postgres", pgtest.Password, "127.0.0.1:1", "postgres", "app"),
		"NODATABASE": as("postgres", pgtest.Password, server.Addr(), "nothing", "app"),
		"NORIGHTS":   as("guest", pgtest.Password, server.Addr(), "postgres", "closed"),
	})
}

func runScripts(t *testing.T, dir string, environ map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Setenv(raceEnv[0], raceEnv[1])
			for name, value := range environ {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":   scriptStart,
			"finish":  scriptFinish,
			"mode":    scriptMode,
			"empty":   scriptEmpty,
			"signin":  scriptSignin,
			"access":  scriptAccess,
			"renewed": scriptRenewed,
			"logged":  scriptLogged,
			"capture": scriptCapture,
		},
	})
}

// processes are those that the scripts have running, by the name of the script.
var processes sync.Map

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	p := &process{dir: ts.MkAbs("."), env: []string{"TMPDIR=" + ts.Getenv("TMPDIR")}}
	if secret := ts.Getenv("TOKENJAR_SECRET"); secret != "" {
		p.env = append(p.env, "TOKENJAR_SECRET="+secret)
	}
	ts.Check(p.start(args...))
	ts.Defer(func() { p.kill() })
	url, err := p.ready()
	ts.Check(err)
	ts.Setenv("URL", url)
	processes.Store(ts.Name(), p)
}

func scriptFinish(ts *testscript.TestScript, neg bool, args []string) {
	found, _ := processes.Load(ts.Name())
	p, ok := found.(*process)
	if !ok {
		ts.Fatalf("nothing was started")
	}
	for i, name := range args {
		sig := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "HUP": syscall.SIGHUP}[name]
		if signal.Ignored(sig) && i == len(args)-1 { // as under nohup: the program inherits that and rightly stays
			sig = syscall.SIGTERM
		}
		ts.Check(p.cmd.Process.Signal(sig))
	}
	err := p.wait()
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(p.stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(p.stderr.String()), 0o600))
	if (err != nil) != neg {
		ts.Fatalf("it ended with %v\n%s", err, p.stderr.String())
	}
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

func scriptEmpty(ts *testscript.TestScript, neg bool, args []string) {
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	if (len(found) > 0) != neg {
		ts.Fatalf("%s holds %q", args[0], found)
	}
}

// raceEnv keeps a program built with the race detector from sleeping for a second at its end.
var raceEnv = [2]string{"GORACE", "atexit_sleep_ms=0"}

// patience is how long anything here may take.
const patience = 30 * time.Second
