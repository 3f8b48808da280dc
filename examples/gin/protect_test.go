package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/tokenjar/tokenjar/examples/internal/notes"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// header authenticates by a header field: no more than these tests need.
type header struct{}

func (header) Authenticate(_ http.ResponseWriter, r *http.Request) (middleware.Identity[notes.Account], error) {
	name := r.Header.Get("X-Name")
	if name == "" {
		return middleware.Identity[notes.Account]{}, middleware.ErrNoCredential
	}
	return middleware.Resolve(r, func(context.Context, token.Claims) (notes.Account, error) {
		return notes.Account{ID: name, Name: name}, nil
	}, claims{}, false)
}

type claims struct{}

func (claims) Claims() token.Claims { return token.Claims{} }

// serve runs an engine with a handler behind protect, and a middleware in front that reports what it sees afterwards.
func serve(t *testing.T, handlers ...gin.HandlerFunc) (*httptest.Server, <-chan string) {
	t.Helper()
	seen := make(chan string, 1)
	e := gin.New()
	e.Use(gin.CustomRecoveryWithWriter(t.Output(), func(c *gin.Context, _ any) { c.AbortWithStatus(http.StatusInternalServerError) }))
	e.Use(func(c *gin.Context) {
		before := c.Writer
		c.Next()
		saw := http.StatusText(c.Writer.Status())
		if c.IsAborted() {
			saw += ", aborted"
		}
		if c.Writer != before {
			saw += ", another writer"
		}
		seen <- saw
	})
	required := middleware.Required[notes.Account](header{})
	e.Any("/", append([]gin.HandlerFunc{protect(required), protect(required)}, handlers...)...) // a group's and a route's
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return server, seen
}

func visit(t *testing.T, server *httptest.Server, method, name string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		r.Header.Set("X-Name", name)
	}
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestProtectInGin(t *testing.T) {
	for _, row := range []struct {
		name         string
		method, user string
		handlers     []gin.HandlerFunc
		status       int
		body         string
		saw          string
	}{
		{"nobody is refused, and no handler is run", "GET", "", []gin.HandlerFunc{func(c *gin.Context) { t.Error("a handler is run") }}, 401, "not_authenticated", "Unauthorized, aborted"},
		{"a refusal of HEAD", "HEAD", "", []gin.HandlerFunc{func(c *gin.Context) { t.Error("a handler is run") }}, 401, "", "Unauthorized, aborted"},
		{"JSON", "GET", "ada", []gin.HandlerFunc{as(func(c *gin.Context, a notes.Account) { c.JSON(200, a.Name) })}, 200, `"ada"`, "OK"},
		{"the account is in gin's context and in the request's", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) {
			account, ok := middleware.UserFromContext[notes.Account](c.Request.Context())
			if set, found := c.Get("account"); !ok || !found || set != any(account) {
				t.Errorf("got %v, %v and %v, %v", account, ok, set, found)
			}
		}}, 200, "", "OK"},
		{"no body", "DELETE", "ada", []gin.HandlerFunc{func(c *gin.Context) { c.Status(204) }}, 204, "", "No Content"},
		{"a handler behind aborts", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) { c.AbortWithStatus(409) }, func(*gin.Context) { t.Error("the next one is run") }}, 409, "", "Conflict, aborted"},
		{"next in a handler", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) { c.Next(); c.String(200, "b") }, func(c *gin.Context) { c.String(200, "a") }}, 200, "ab", "OK"},
		{"a redirect", "POST", "ada", []gin.HandlerFunc{func(c *gin.Context) { c.Redirect(303, "/x") }}, 303, "", "See Other"},
		{"a text", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) { c.Writer.WriteString("text") }}, 200, "text", "OK"},
		{"public after the status is private all the same", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) {
			c.Status(200)
			c.Header("Cache-Control", "public, max-age=60")
			c.Writer.Write([]byte("mine"))
		}}, 200, "mine", "OK"},
		{"and without a body", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) {
			c.Status(200)
			c.Header("Cache-Control", "public, max-age=60")
		}}, 200, "", "OK"},
		{"and when the header is forced out", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) {
			c.Header("Cache-Control", "public, max-age=60")
			c.Status(202)
			c.Writer.WriteHeaderNow()
		}}, 202, "", "Accepted"},
		{"through http.ResponseController", "GET", "ada", []gin.HandlerFunc{func(c *gin.Context) {
			if err := http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
		}}, 200, "", "OK"},
	} {
		t.Run(row.name, func(t *testing.T) {
			server, seen := serve(t, row.handlers...)
			resp, body := visit(t, server, row.method, row.user)
			saw := <-seen
			if resp.StatusCode != row.status || !strings.Contains(body, row.body) || saw != row.saw {
				t.Errorf("got %d %s, seen as %q, want %d %s, %q", resp.StatusCode, body, saw, row.status, row.body, row.saw)
			}
			got := resp.Header.Get("Cache-Control")
			if strings.Contains(got, "public") || !strings.Contains(got, "private") && got != "no-store" || !strings.Contains(strings.Join(resp.Header["Vary"], ","), "Cookie") {
				t.Errorf("Cache-Control %q, Vary %q", got, resp.Header["Vary"])
			}
		})
	}
}

func TestAPanicBehindProtectIsRecoveredInFront(t *testing.T) {
	server, _ := serve(t, func(*gin.Context) { panic("oh") })
	resp, _ := visit(t, server, "GET", "ada")
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestAStreamBehindProtectArrivesPieceByPiece(t *testing.T) {
	next := make(chan struct{})
	server, _ := serve(t, func(c *gin.Context) {
		n := 0
		c.Stream(func(w io.Writer) bool {
			if n > 0 {
				<-next
			}
			n++
			io.WriteString(w, "piece\n")
			return n < 3
		})
	})
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Name", "ada")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Cache-Control"); got != "private" {
		t.Errorf("a stream has Cache-Control %q", got)
	}
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		if line, err := lines.ReadString('\n'); line != "piece\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		if i < 2 {
			next <- struct{}{} // the next piece is written only now that this one has arrived
		}
	}
}

func TestStreamsBehindATableAroundTheEngine(t *testing.T) {
	engine := gin.New()
	engine.GET("/stream", func(c *gin.Context) {
		c.Stream(func(w io.Writer) bool {
			io.WriteString(w, "data")
			return false
		})
	})
	access := middleware.Optional(nobody{})
	server := httptest.NewServer(middleware.Routes{"/": access}.Protect(engine))
	defer server.Close()
	resp, err := http.Get(server.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "data" || resp.StatusCode != 200 {
		t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
	}
}

// nobody finds nobody.
type nobody struct{}

func (nobody) Authenticate(http.ResponseWriter, *http.Request) (middleware.Identity[string], error) {
	return middleware.Identity[string]{}, middleware.ErrNoCredential
}
