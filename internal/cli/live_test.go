package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// What scripts do as a browser that talks to the server they have started.

// visitors are the cookies of those who have signed in, by script and name.
var visitors sync.Map

func visitor(ts *testscript.TestScript, name string) []*http.Cookie {
	found, ok := visitors.Load(ts.Name() + " " + name)
	if !ok {
		ts.Fatalf("%s has not signed in", name)
	}
	return found.([]*http.Cookie)
}

// scriptSignin signs somebody in with the password of all scripts, and fails unless that works.
func scriptSignin(ts *testscript.TestScript, neg bool, args []string) {
	body, err := json.Marshal(map[string]string{"username": args[0], "password": goodPassword})
	ts.Check(err)
	request, err := http.NewRequest(http.MethodPost, ts.Getenv("URL")+"/auth/login", bytes.NewReader(body))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "script")
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if got := response.StatusCode == http.StatusOK; got == neg {
		ts.Fatalf("sign-in of %s: got %d %s", args[0], response.StatusCode, text)
	}
	visitors.Store(ts.Name()+" "+args[0], response.Cookies())
}

// ask sends the cookies whose names have a part and returns the status, and whether cookies came back.
func ask(url string, cookies []*http.Cookie, part string) (status int, renewed bool, err error) {
	request, err := http.NewRequest(http.MethodGet, url+"/auth/user", nil)
	if err != nil {
		return 0, false, err
	}
	for _, c := range cookies {
		if strings.Contains(c.Name, part) {
			request.AddCookie(c)
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, len(response.Cookies()) > 0, err
}

// learned is how long a server may take to learn of what a command did, on a machine that is busy. The promise is a second.
const learned = 10 * time.Second

// scriptAccess asks with the access token alone until the status is the one wanted.
func scriptAccess(ts *testscript.TestScript, neg bool, args []string) {
	cookies := visitor(ts, args[0])
	last := 0
	for deadline := time.Now().Add(learned); ; time.Sleep(5 * time.Millisecond) {
		begun := time.Now()
		status, _, err := ask(ts.Getenv("URL"), cookies, "access")
		ts.Check(err)
		if last = status; fmt.Sprint(status) == args[1] {
			return
		}
		if begun.After(deadline) {
			ts.Fatalf("after %s the access token of %s still gets %d, not %s", learned, args[0], last, args[1])
		}
	}
}

// scriptRenewed asks with all cookies, or with the one named, and wants new ones.
func scriptRenewed(ts *testscript.TestScript, neg bool, args []string) {
	part := ""
	if len(args) > 1 {
		part = args[1]
	}
	status, renewed, err := ask(ts.Getenv("URL"), visitor(ts, args[0]), part)
	ts.Check(err)
	if (status == http.StatusOK && renewed) == neg {
		ts.Fatalf("the session of %s: got %d, new cookies: %t", args[0], status, renewed)
	}
}

// scriptLogged waits until the server has logged what a pattern matches.
func scriptLogged(ts *testscript.TestScript, neg bool, args []string) {
	found, _ := processes.Load(ts.Name())
	pattern := regexp.MustCompile(args[0])
	ts.Check(eventually(func() (bool, error) { return pattern.MatchString(found.(*process).stderr.String()), nil }))
}

// scriptCapture keeps what the first group of a pattern matches in the last output.
func scriptCapture(ts *testscript.TestScript, neg bool, args []string) {
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("%s is not in the output:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}
