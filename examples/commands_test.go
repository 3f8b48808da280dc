package examples_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A house is a folder with a running server and a signed-in user, in which the commands of a how-to page are run.
type house struct {
	*shell
	t      *testing.T
	base   string
	server *output
	ada    *visitor
	access string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	need(t, "bash")
	bin := cli(t)
	port := freePort(t)
	h := &house{t: t, base: "http://localhost:" + port}
	h.shell = newShell(t.TempDir(), "PATH="+bin+":"+os.Getenv("PATH"), "TOKENJAR_LISTEN=127.0.0.1:"+port)
	h.replace = strings.NewReplacer("http://localhost:8080", h.base)
	h.run(t, "tokenjar init\nprintf '%s\\n' '"+adasPassword+"' | tokenjar users create ada --email ada@example.com --password-stdin")
	h.serve()
	h.ada, h.access, _ = signIn(t, h.base)
	return h
}

func (h *house) serve() { h.server = h.start(h.t, "tokenjar serve", h.base) }

// asAda asks for the user with an access token alone, or with what is left of her cookies.
func (h *house) bearer() answer {
	h.t.Helper()
	r, err := http.NewRequest("GET", h.base+"/auth/user", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+h.access)
	return newVisitor(h.t, h.base).do(r)
}

// soon waits until an answer has a code, as a server takes on what a command did within a second.
func (h *house) soon(code string, ask func() answer) {
	h.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	got := ""
	for time.Now().Before(deadline) {
		if got = ask().header.Get("X-Tokenjar-Problem"); got == code {
			return
		}
		time.Sleep(20 * time.Millisecond) // another process has to notice
	}
	log := h.server.String()
	h.t.Fatalf("still %q, want %q\n%s", got, code, log[max(0, len(log)-2000):])
}

// renewed checks that ada's session goes on, without her access token.
func (h *house) renewed() {
	h.t.Helper()
	h.ada.forget("access_token")
	h.ada.call("GET", "/auth/user", "").want(h.t, http.StatusOK, "")
}

func (h *house) user() answer { return h.ada.call("GET", "/auth/user", "") }

// The commands of the how-to pages, in the order in which they stand there: the blocks marked sh. What would change the
// machine is marked bash on the pages and not run. After names what is true after a block.
func TestTheCommandsOfTheHowToPages(t *testing.T) {
	for _, page := range []struct {
		name  string
		needs []string
		after map[int]func(h *house)
	}{
		{"production.md", nil, nil},
		{"keys.md", []string{"awk", "openssl"}, map[int]func(h *house){
			0: func(h *house) { h.bearer().want(h.t, http.StatusOK, "") },
			1: func(h *house) {
				h.soon("token_invalid", h.bearer)
				h.renewed()
			},
			2: func(h *house) { h.renewed() },
		}},
		{"secret.md", []string{"sed", "awk", "sqlite3", "openssl"}, map[int]func(h *house){
			0: func(h *house) {
				h.renewed()
				h.ada.call("PATCH", "/auth/user", `{"first_name":"Ada"}`).want(h.t, http.StatusOK, "")
			},
			1: func(h *house) {
				h.soon("token_invalid", func() answer {
					h.ada.forget("access_token")
					return h.user()
				})
				h.ada, _, _ = signIn(h.t, h.base)
				h.server.stop()
			},
			2: func(h *house) {
				h.serve()
				h.ada.forget("access_token")
				h.user().want(h.t, http.StatusUnauthorized, "token_invalid")
				signIn(h.t, h.base)
			},
		}},
		{"backup.md", []string{"sqlite3"}, map[int]func(h *house){
			0: func(h *house) {
				h.renewed()
				h.server.stop()
			},
			1: func(h *house) {
				h.serve()
				h.user().want(h.t, http.StatusUnauthorized, "token_revoked")
				h.ada.forget("access_token")
				h.user().want(h.t, http.StatusUnauthorized, "session_ended")
				signIn(h.t, h.base)
			},
		}},
		{"end-sessions.md", nil, map[int]func(h *house){
			0: func(h *house) { h.soon("token_revoked", h.user) },
		}},
		{"torture.md", []string{"openssl"}, nil},
		{"cookies-not-set.md", []string{"openssl", "sed", "tail"}, nil},
		{"bearer-clients.md", []string{"curl", "sed"}, nil},
		{"monitor.md", []string{"sqlite3"}, nil},
	} {
		t.Run(page.name, func(t *testing.T) {
			need(t, page.needs...)
			h := newHouse(t)
			all := blocks(t, "docs/howto/"+page.name)
			n, printed := 0, ""
			for i, b := range all {
				switch {
				case b.lang == "sh":
					printed = h.run(t, b.text)
					if check := page.after[n]; check != nil {
						check(h)
					}
					n++
				case b.lang == "" && i > 0 && all[i-1].lang == "sh" && page.name != "monitor.md":
					text, err := os.ReadFile(h.dir + "/tokens")
					if page.name == "bearer-clients.md" && err == nil {
						printed = string(text)
					}
					compareOutput(t, all[i-1].text, printed, b.text)
				}
			}
			if n == 0 || n < len(page.after) {
				t.Errorf("%d blocks were run", n)
			}
		})
	}
}

// A client with bearer tokens, as docs/howto/bearer-clients.md has it: what was spent and what has ended.
func TestABearerClient(t *testing.T) {
	h := newHouse(t)
	v := newVisitor(t, h.base)
	in := v.call("POST", "/auth/token", `{"username":"ada","password":"`+adasPassword+`"}`)
	in.want(t, http.StatusOK, "")
	if len(in.cookies) > 0 {
		t.Errorf("cookies are set: %v", in.cookies)
	}
	first, _ := in.body["refresh"].(string)
	refresh := func(token string) answer { return v.call("POST", "/auth/token/refresh", `{"refresh":"`+token+`"}`) }
	second, _ := refresh(first).body["refresh"].(string)
	if again, _ := refresh(first).body["refresh"].(string); again != second {
		t.Error("a lost answer that is asked for again is another one")
	}
	v.call("POST", "/auth/token/blacklist", `{"refresh":"`+second+`"}`).want(t, http.StatusOK, "")
	refresh(second).want(t, http.StatusUnauthorized, "session_ended")
}
