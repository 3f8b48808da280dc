package examples_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v5"

	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// P-16: routers read escapes differently. However a path is written, nobody who is not signed in reaches a handler that the
// table in front of the router keeps for those who are, and what is open stays open.
func TestNoSpellingOfAPathLeadsPastTheTable(t *testing.T) {
	issuer := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{})
	bearer, err := middleware.NewBearer(issuer.Decoder(), middleware.Claims)
	if err != nil {
		t.Fatal(err)
	}
	signedIn, anybody := middleware.Required(bearer), middleware.Public[token.Claims]()
	open := []string{"/static", "/@public", "/café", "/a:b"}
	table := middleware.Routes{"/": signedIn}
	for _, prefix := range open {
		table[prefix] = anybody
	}
	for name, router := range routersOf(open) {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			guarded := table.Protect(router)
			counts := map[string]int{}
			for range 3000 {
				target := spell(random, open[random.IntN(len(open))]) + spell(random, []string{"", "/x", "/é", "/x{", "x", "/x/y"}[random.IntN(6)])
				r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: app.example\r\n\r\n")))
				if err != nil {
					counts["net/http refuses"]++
					continue
				}
				w := httptest.NewRecorder()
				guarded.ServeHTTP(w, r)
				reached := w.Header().Get("X-Reached")
				counts[fmt.Sprint(w.Code, " ", reached)]++
				if reached == "kept" {
					t.Errorf("GET %s reaches a handler for those who are signed in", target)
				}
			}
			if counts["200 open"] < 100 || counts["400 "] < 100 || counts["401 "] < 100 {
				t.Errorf("this tries little: %v", counts)
			}
		})
	}
}

// routersOf returns routers that serve the prefixes as open, and everything else as kept.
func routersOf(open []string) map[string]http.Handler {
	reach := func(w http.ResponseWriter, who string) { w.Header().Set("X-Reached", who) }
	handler := func(who string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { reach(w, who) }
	}
	mux, byChi, byGin, byEcho := http.NewServeMux(), chi.NewRouter(), gin.New(), echo.New()
	for _, prefix := range open {
		byChi.Handle(prefix, handler("open"))
		byChi.Handle(prefix+"/*", handler("open"))
		byEcho.Any(strings.ReplaceAll(prefix, ":", `\:`), echo.WrapHandler(handler("open")))
		byEcho.Any(strings.ReplaceAll(prefix, ":", `\:`)+"/*", echo.WrapHandler(handler("open")))
	}
	for _, pattern := range []string{"/{a}", "/{a}/{b}", "/{a}/{b}/{c}"} {
		byChi.Handle(pattern, handler("kept"))
		byEcho.Any(strings.NewReplacer("{", ":", "}", "").Replace(pattern), echo.WrapHandler(handler("kept")))
	}
	// ServeMux and gin would not take these patterns beside each other; their handlers decide by what the router gives them.
	segment := func(a string) string {
		if slices.Contains(open, "/"+a) {
			return "open"
		}
		return "kept"
	}
	for _, rest := range []string{"", "/:b", "/:b/:c"} {
		byGin.Any("/:a"+rest, func(c *gin.Context) { reach(c.Writer, segment(c.Param("a"))); c.Status(http.StatusOK) })
	}
	for _, rest := range []string{"", "/{b}", "/{b}/{c}"} {
		mux.HandleFunc("/{a}"+rest, func(w http.ResponseWriter, r *http.Request) { reach(w, segment(r.PathValue("a"))) })
	}
	return map[string]http.Handler{"ServeMux": mux, "chi": byChi, "gin": byGin, "echo": byEcho}
}

// spell writes a path, each byte of it as it is or escaped in either case.
func spell(random *rand.Rand, path string) string {
	var b strings.Builder
	escapes := random.IntN(4) // in a quarter of all paths, none but what must be
	for _, c := range []byte(path) {
		switch {
		case c >= 0x80 && random.IntN(8) > 0, escapes > 0 && random.IntN(6) == 0 && c != '/', random.IntN(200) == 0:
			fmt.Fprintf(&b, []string{"%%%02X", "%%%02x"}[random.IntN(4)/3], c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func init() { gin.SetMode(gin.ReleaseMode) }
