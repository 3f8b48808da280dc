package torture_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/torture"
	"github.com/tokenjar/tokenjar/token"
)

// Each of these builds is broken in one way. The rules named must fail, those after them may, since they follow; no
// other may. An answer that is thrown away at once and asked for again is a race as well, so what losers of a race suffer
// may show there.
var broken = []struct {
	name  string
	build build
	fails string
	may   string
}{
	{"two parallel refreshes both claim the token", forAnswers(concurrent, sibling), "R1", "R2"},
	{"each replay makes a new sibling", forAnswers(repeated, sibling), "R1 R3", "R2 R5"},
	{"a replay rotates once more", build{handler: replayRotates}, "R2", "R1 R3 R4 R5 R10"},
	{"the answer is sent before the commit", build{rotate: commitLater}, "R2", "R1 R3 R4 R5 R6 R7 R10"},
	{"nothing is given again on another node", build{rotate: noGrace}, "R3 R6", "R1 R2 R5 R10"},
	{"the loser of a race gets 401", forAnswers(concurrent, refuse(401)), "R6", "R2"},
	{"the loser of a race gets 409", forAnswers(concurrent, refuse(409)), "R6", "R2"},
	{"the loser of a race gets clearing cookies", forAnswers(concurrent, clearCookies), "R6", "R2"},
	{"the loser of a race gets a dead access token", forAnswers(concurrent, deadAccess), "R6", "R2"},
	{"a grandparent is accepted", build{handler: grandparents}, "R4", ""},
	{"a node answers from memory what another has overtaken", build{alone: true}, "R4", ""},
	{"reuse is refused and not noticed", build{rotate: ignoreReuse(tokenjar.OutcomeEnded)}, "R4", ""},
	{"reuse revokes the shown token alone", build{rotate: ignoreReuse(tokenjar.OutcomeReused)}, "R4", ""},
	{"reuse is not known on other nodes", build{learn: deafTo(tokenjar.ReasonReuse)}, "R4", ""},
	{"reuse ends all sessions of the user", build{rotate: reuseEndsAll}, "R7", ""},
	{"the grace has no end", build{rotate: endlessGrace}, "R5", "R10"},
	{"late retries have no end", build{rotate: endlessLateRetry}, "R5", "R10"},
	{"there are no late retries", build{rotate: noLateRetry}, "R5", ""},
	{"the clock of one node is wrong", build{options: wrongClock}, "R8", ""},
	{"sign-out ends the access token alone", build{handler: accessOnly}, "R9", ""},
	{"sign-out answers before it has ended anything", build{handler: logoutLater}, "R9", ""},
	{"sign-out is not known on other nodes", build{learn: deafTo(tokenjar.ReasonLogout)}, "R9", ""},
	{"reuse is not counted", build{metrics: uncounted(`event="session.revoked",reason="reuse"`)}, "R10", ""},
	{"late retries are counted as replays", build{metrics: uncounted(`event="refresh.late_retry"`)}, "R10", ""},
	{"nobody is told of another client", build{metrics: uncounted(`event="refresh.shared_successor"`)}, "R10", ""},
	{"access tokens all live equally long", build{handler: equalLives}, "R11", ""},
	{"the lives of access tokens differ between nodes", build{config: otherLife}, "R11", ""},
	{"script can read the refresh cookie", forAnswers(every, withoutAttribute("HttpOnly")), "cookies", ""},
	{"cookies are sent over plain http", forAnswers(every, withoutAttribute("Secure")), "cookies", ""},
	{"a token in the body is answered with cookies", forAnswers(inBody, alsoCookie), "cookies", ""},
	{"answers may be stored", forAnswers(every, storable), "no-store", ""},
}

func TestBrokenBuildsFail(t *testing.T) {
	slots := make(chan struct{}, 6) // they wait for the nodes' polls more than they work
	var group sync.WaitGroup
	for _, tt := range broken {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(tt.name, func(t *testing.T) {
				d := deploy(t, tt.build)
				cfg := d.settings()
				if tt.fails != "R9" {
					cfg.Rounds = 1
				}
				report := d.torture(cfg)
				must, may := strings.Fields(tt.fails), strings.Fields(tt.may)
				for _, v := range report.Verdicts {
					switch failed := v.Result == torture.Fail; {
					case failed && !slices.Contains(must, v.Rule) && !slices.Contains(may, v.Rule):
						t.Errorf("%s fails: %s", v.Rule, v.Seen)
					case !failed && slices.Contains(must, v.Rule):
						t.Errorf("%s does not fail, but is %s: %s", v.Rule, v.Result, v.Why)
					case failed && (v.Seen == "" || v.Means == "" || v.LookAt == ""):
						t.Errorf("%s does not explain itself: %+v", v.Rule, v)
					}
				}
			})
		})
	}
	group.Wait()
}

// What is broken in the store.

// noGrace answers nothing twice but from a node's memory.
func noGrace(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	r.Timing.Grace = 0
	return s.FaultyStore.Rotate(ctx, r)
}

func endlessGrace(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	r.Timing.Grace = 1000 * time.Hour
	return s.FaultyStore.Rotate(ctx, r)
}

// endlessLateRetry gives an unused answer again for ever.
func endlessLateRetry(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	if row, err := s.FaultyStore.Session(ctx, r.SessionID); err == nil && row.CurrentHash == r.Successor && !row.SuccessorSeen {
		r.Timing.Grace = 1000 * time.Hour
	}
	return s.FaultyStore.Rotate(ctx, r)
}

// noLateRetry takes whatever comes after the grace for reuse.
func noLateRetry(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	row, err := s.FaultyStore.Session(ctx, r.SessionID)
	if err == nil && row.CurrentHash == r.Successor && row.ReadAt.Sub(row.RotatedAt) > r.Timing.Grace {
		r.Successor = tokenjar.Hash{}
	}
	return s.FaultyStore.Rotate(ctx, r)
}

// ignoreReuse refuses an older token and ends nothing.
func ignoreReuse(outcome tokenjar.Outcome) func(context.Context, *store, tokenjar.Rotation) (tokenjar.Verdict, error) {
	return func(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error) {
		row, err := s.FaultyStore.Session(ctx, r.SessionID)
		if err == nil && row.Live() && row.CurrentHash != r.Presented && row.CurrentHash != r.Successor {
			return tokenjar.Verdict{Outcome: outcome, Session: row}, nil
		}
		return s.FaultyStore.Rotate(ctx, r)
	}
}

func reuseEndsAll(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	v, err := s.FaultyStore.Rotate(ctx, r)
	if err == nil && v.Revoked && v.Outcome == tokenjar.OutcomeReused {
		_, err = s.FaultyStore.RevokeUserSessions(ctx, r.UserID, "", tokenjar.ReasonRevoked)
	}
	return v, err
}

// commitLater judges by what the store holds, and writes when the next one has been judged.
func commitLater(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	row, err := s.FaultyStore.Session(ctx, r.SessionID)
	if err != nil {
		return tokenjar.Verdict{}, err
	}
	v := row.Judge(r, row.ReadAt)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		s.pending()
	}
	s.pending = func() { s.FaultyStore.Rotate(context.WithoutCancel(ctx), r) }
	return v, nil
}

// deafTo keeps every node from learning of what others have revoked for a reason.
func deafTo(why tokenjar.Reason) func([]tokenjar.Revocation) []tokenjar.Revocation {
	return func(list []tokenjar.Revocation) []tokenjar.Revocation {
		return slices.DeleteFunc(list, func(r tokenjar.Revocation) bool { return r.Reason == why })
	}
}

// What is broken in the settings.

func wrongClock(node int, opts *server.Options) {
	if right := opts.Now; node == 1 {
		opts.Now = func() time.Time { return right().Add(8 * time.Second) }
	}
}

func otherLife(node int, cfg *config.Config) {
	cfg.Token.AccessLifetime = time.Duration(5+node) * time.Minute
}

// uncounted drops lines of the metrics.
func uncounted(series string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			for line := range strings.Lines(rec.Body.String()) {
				if !strings.Contains(line, series) {
					io.WriteString(w, line)
				}
			}
		})
	}
}

// What is broken in the answers.

const (
	accessCookie  = "__Host-access_token"
	refreshCookie = "__Host-refresh_token"
)

// A refresh is one that a handler sees.
type refresh struct {
	token    string
	inBody   bool
	parallel bool // another one of the same token was under way when it came
	repeated bool // there has been one of the same token
	deployed *deployment
	node     int
}

// isRefresh reads what a request shows, and leaves the body as it was.
func isRefresh(r *http.Request) (shown refresh, ok bool) {
	if r.URL.Path != "/auth/token/refresh" {
		return refresh{}, false
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct{ Refresh string }
	if json.Unmarshal(body, &in); in.Refresh != "" {
		return refresh{token: in.Refresh, inBody: true}, true
	}
	c, err := r.Cookie(refreshCookie)
	if err != nil {
		return refresh{}, false
	}
	return refresh{token: c.Value}, true
}

// flights knows which refreshes there are and have been, on all nodes.
type flights struct {
	mu     sync.Mutex
	under  map[string]int
	second map[string]chan struct{}
}

// enter says what is known of a refresh. The first of a token waits a moment for others, so that parallel ones are.
func (f *flights) enter(r *refresh) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.parallel, r.repeated = f.under[r.token] > 0, f.second[r.token] != nil
	f.under[r.token]++
	if r.repeated {
		select {
		case f.second[r.token] <- struct{}{}:
		default:
		}
	} else {
		f.second[r.token] = make(chan struct{}, 1)
		joined := f.second[r.token]
		f.mu.Unlock()
		select {
		case <-joined:
		case <-time.After(20 * time.Millisecond):
		}
		f.mu.Lock()
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.under[r.token]--
	}
}

func concurrent(r refresh) bool { return r.parallel }
func repeated(r refresh) bool   { return r.repeated }
func inBody(r refresh) bool     { return r.inBody }
func every(refresh) bool        { return true }

// forAnswers changes the answers to some refreshes.
func forAnswers(which func(refresh) bool, change func(r refresh, rec *httptest.ResponseRecorder)) build {
	all := &sync.Map{} // flights by deployment
	return build{handler: func(d *deployment, node int, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown, ok := isRefresh(r)
			if !ok {
				next.ServeHTTP(w, r)
				return
			}
			found, _ := all.LoadOrStore(d, &flights{under: map[string]int{}, second: map[string]chan struct{}{}})
			defer found.(*flights).enter(&shown)()
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			shown.deployed, shown.node = d, node
			if which(shown) && rec.Code == http.StatusOK {
				change(shown, rec)
			}
			send(w, rec)
		})
	}}
}

func send(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), rec.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes())
}

// replace puts another token in the place of one, wherever that stands.
func replace(rec *httptest.ResponseRecorder, name, member string, with func(old string) string) {
	lines := rec.Header()["Set-Cookie"]
	for i, line := range lines {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			old, rest, _ := strings.Cut(value, ";")
			lines[i] = name + "=" + with(old) + ";" + rest
		}
	}
	var body map[string]any
	if json.Unmarshal(rec.Body.Bytes(), &body) != nil {
		return
	}
	if old, ok := body[member].(string); ok {
		body[member] = with(old)
		text, _ := json.Marshal(body)
		rec.Body = bytes.NewBuffer(text)
	}
}

// pairOf is what tokens are signed anew for.
func (r refresh) pairOf(c claims) servertest.Pair {
	return servertest.Pair{SessionID: c.Session, UserID: c.Subject}
}

// sibling puts a token of the same generation and another id in the place of the successor.
func sibling(r refresh, rec *httptest.ResponseRecorder) {
	w := r.deployed.worlds[0]
	replace(rec, refreshCookie, "refresh", func(old string) string {
		c := claimsOf(old)
		return w.SignRefresh(r.deployed.t, r.pairOf(c), token.Claims{
			"jti": uuid.NewString(), "gen": c.Generation, "iat": c.Issued, "exp": c.Expires,
		})
	})
}

// deadAccess puts a token in the place of the access token that nobody accepts.
func deadAccess(_ refresh, rec *httptest.ResponseRecorder) {
	replace(rec, accessCookie, "access", func(old string) string {
		head, _, _ := strings.Cut(old, ".")
		return head + "." + strings.Split(old, ".")[1] + "." + strings.Repeat("A", 86)
	})
}

func refuse(status int) func(refresh, *httptest.ResponseRecorder) {
	return func(_ refresh, rec *httptest.ResponseRecorder) {
		h := rec.Header()
		h.Del("Set-Cookie")
		h.Set("X-Tokenjar-Problem", "token_invalid")
		rec.Code, rec.Body = status, bytes.NewBufferString(`{"code":"token_invalid"}`)
	}
}

func clearCookies(r refresh, rec *httptest.ResponseRecorder) {
	refuse(http.StatusUnauthorized)(r, rec)
	rec.Header().Add("Set-Cookie", refreshCookie+"=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
}

func withoutAttribute(name string) func(refresh, *httptest.ResponseRecorder) {
	return func(_ refresh, rec *httptest.ResponseRecorder) {
		lines := rec.Header()["Set-Cookie"]
		for i := range lines {
			lines[i] = strings.Replace(lines[i], "; "+name, "", 1)
		}
	}
}

func alsoCookie(_ refresh, rec *httptest.ResponseRecorder) {
	rec.Header().Add("Set-Cookie", "__Host-other=1; Path=/; Secure; SameSite=Lax")
}

func storable(_ refresh, rec *httptest.ResponseRecorder) {
	rec.Header().Set("Cache-Control", "private, max-age=60")
}

// What is broken in the handlers.

// show puts another token in the place of the one that a refresh shows.
func show(r *http.Request, from refresh, with string) {
	if from.inBody {
		body := fmt.Sprintf(`{"refresh":%q}`, with)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		return
	}
	r.Header.Set("Cookie", strings.Replace(r.Header.Get("Cookie"), from.token, with, 1))
}

// chains remembers which token came after which.
type chains struct {
	mu   sync.Mutex
	next map[string]string
}

// follow keeps what a refresh gave.
func (c *chains) follow(shown string, rec *httptest.ResponseRecorder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	replace(rec, refreshCookie, "refresh", func(successor string) string {
		c.next[shown] = successor
		return successor
	})
}

// after returns the token that came after one, "" if there is none.
func (c *chains) after(shown string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next[shown]
}

// rewriting has each refresh of a token show what choose makes of it.
func rewriting(c *chains, choose func(c *chains, shown string) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown, ok := isRefresh(r)
			if !ok {
				next.ServeHTTP(w, r)
				return
			}
			spent := choose(c, shown.token)
			show(r, shown, spent)
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			if rec.Code == http.StatusOK {
				c.follow(spent, rec)
			}
			send(w, rec)
		})
	}
}

var perDeployment sync.Map

func chainsOf(d *deployment) *chains {
	found, _ := perDeployment.LoadOrStore(d, &chains{next: map[string]string{}})
	return found.(*chains)
}

// grandparents takes a token that is too old for the one before the newest.
func grandparents(d *deployment, _ int, next http.Handler) http.Handler {
	return rewriting(chainsOf(d), func(c *chains, shown string) string {
		for c.after(shown) != "" && c.after(c.after(shown)) != "" {
			shown = c.after(shown)
		}
		return shown
	})(next)
}

// replayRotates takes a spent token for its successor, and spends that.
func replayRotates(d *deployment, _ int, next http.Handler) http.Handler {
	return rewriting(chainsOf(d), func(c *chains, shown string) string {
		if after := c.after(shown); after != "" {
			return after
		}
		return shown
	})(next)
}

// accessOnly makes a sign-out end nothing but the access token.
func accessOnly(d *deployment, _ int, next http.Handler) http.Handler {
	ended := &sync.Map{}
	found, _ := perDeployment.LoadOrStore(d, ended)
	ended = found.(*sync.Map)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(accessCookie)
		switch {
		case err != nil:
		case r.URL.Path == "/auth/logout":
			ended.Store(claimsOf(c.Value).Session, true)
			w.Header().Set("Cache-Control", "no-store")
			return
		default:
			if _, over := ended.Load(claimsOf(c.Value).Session); over {
				w.Header().Set("Cache-Control", "no-store")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// logoutLater answers a sign-out at once, and signs out when three more requests have come.
func logoutLater(_ *deployment, _ int, next http.Handler) http.Handler {
	var mu sync.Mutex
	var due []*http.Request
	more := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if r.URL.Path == "/auth/logout" {
			due, more = append(due, r.Clone(context.WithoutCancel(r.Context()))), 0
			mu.Unlock()
			w.Header().Set("Cache-Control", "no-store")
			return
		}
		if more++; more > 3 {
			for _, each := range due {
				each.Body = http.NoBody
				next.ServeHTTP(httptest.NewRecorder(), each)
			}
			due = nil
		}
		mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// equalLives gives every access token the same life.
func equalLives(d *deployment, _ int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		replace(rec, accessCookie, "access", func(old string) string {
			c := claimsOf(old)
			if c.ID == "" {
				return old // a deletion
			}
			return d.worlds[0].SignAccess(d.t, servertest.Pair{SessionID: c.Session, UserID: c.Subject}, token.Claims{
				"gen": c.Generation, "iat": c.Issued, "nbf": c.Issued, "exp": c.Issued + 300,
			})
		})
		send(w, rec)
	})
}
