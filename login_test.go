package tokenjar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

func TestLogin(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		in   tokenjar.Credentials
		want error
	}{
		"by user name":                          {tokenjar.Credentials{Username: "ada", Password: testPassword}, nil},
		"by user name in another case":          {tokenjar.Credentials{Username: "ADA", Password: testPassword}, nil},
		"by address":                            {tokenjar.Credentials{Email: "Ada@Example.com", Password: testPassword}, nil},
		"by address in the place of the name":   {tokenjar.Credentials{Username: "ada@example.com", Password: testPassword}, nil},
		"L-01 wrong password":                   {tokenjar.Credentials{Username: "ada", Password: "wrong"}, tokenjar.ErrInvalidCredentials},
		"L-01 unknown user":                     {tokenjar.Credentials{Username: "bob", Password: testPassword}, tokenjar.ErrInvalidCredentials},
		"a name that no user can have":          {tokenjar.Credentials{Username: "a b\x00", Password: testPassword}, tokenjar.ErrInvalidCredentials},
		"L-13 password with a NUL behind it":    {tokenjar.Credentials{Username: "ada", Password: testPassword + "\x00"}, tokenjar.ErrInvalidCredentials},
		"L-13 password with a blank behind it":  {tokenjar.Credentials{Username: "ada", Password: testPassword + " "}, tokenjar.ErrInvalidCredentials},
		"L-13 password in another case":         {tokenjar.Credentials{Username: "ada", Password: "Correct horse battery staple"}, tokenjar.ErrInvalidCredentials},
		"look-alike name of another alphabet":   {tokenjar.Credentials{Username: "\u0430da", Password: testPassword}, tokenjar.ErrInvalidCredentials},
		"full-width name is the same by PRECIS": {tokenjar.Credentials{Username: "\uff41\uff44\uff41", Password: testPassword}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := w.Login(t.Context(), tc.in, tokenjar.Client{})
			wantErr(t, err, tc.want)
			if err == nil && g.User.ID != w.user.ID {
				t.Errorf("got user %q", g.User.ID)
			}
			if err != nil && (g.AccessToken != "" || g.RefreshToken != "") {
				t.Error("a refused sign-in returned a token")
			}
		})
	}
}

func TestLoginNamesTheMembersThatAreMissing(t *testing.T) {
	w := newWorld(t)
	for want, in := range map[string]tokenjar.Credentials{
		"username:required password:required": {},
		"password:required":                   {Username: "ada"},
		"username:required":                   {Password: "x"},
		"email:not_allowed":                   {Username: "ada", Email: "ada@example.com", Password: "x"},
		"password:invalid":                    {Username: "ada", Password: "a\xffb"},
	} {
		_, err := w.Login(t.Context(), in, tokenjar.Client{})
		var bad *tokenjar.ValidationError
		if !errors.As(err, &bad) {
			t.Fatalf("%s: got %v", want, err)
		}
		var got []string
		for _, f := range bad.Fields {
			got = append(got, f.Field+":"+f.Code)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestADisabledAccountLooksLikeAWrongPassword(t *testing.T) { // L-01
	w := newWorld(t)
	if err := w.SetUserActive(t.Context(), w.user.ID, false); err != nil {
		t.Fatal(err)
	}
	_, err := w.Login(t.Context(), tokenjar.Credentials{Username: "ada", Password: testPassword}, tokenjar.Client{})
	wantErr(t, err, tokenjar.ErrInvalidCredentials)
	if err.Error() != tokenjar.ErrInvalidCredentials.Error() {
		t.Errorf("the error says more than that: %v", err)
	}
}

func TestADamagedHashIsNoCrashAndNoWayIn(t *testing.T) { // L-15
	for _, hash := range []string{"x", "$argon2id$v=19$m=16777216,t=2,p=1$YWFhYWFhYWE$YWFhYWFhYWE", "$2b$12$abc", strings.Repeat("$", 1000)} {
		w := newWorld(t)
		u := w.user
		u.ID, u.Username, u.Email, u.PasswordHash = "user-bob", "bob", "", tokenjar.PasswordHash(hash)
		if err := w.store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		_, err := w.Login(t.Context(), tokenjar.Credentials{Username: "bob", Password: testPassword}, tokenjar.Client{})
		wantErr(t, err, tokenjar.ErrInvalidCredentials)
	}
}

func TestASecondSignInOfTheSameBrowserEndsTheFirst(t *testing.T) { // L-17
	w := newWorld(t)
	old := w.login(t)
	next, err := w.OpenSession(t.Context(), w.user, tokenjar.Credentials{Replaces: []tokenjar.SignedSession{{SessionID: old.SessionID, UserID: w.user.ID}}})
	if err != nil {
		t.Fatal(err)
	}
	if next.SessionID == old.SessionID {
		t.Error("the session id was kept: fixation")
	}
	_, err = w.Authenticate(old.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
	_, err = w.refresh(t, old)
	wantErr(t, err, tokenjar.ErrSessionReplaced)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}

func TestTheOldestSessionMakesRoom(t *testing.T) { // S-13
	w := newWorld(t, func(c *tokenjar.Config) { c.MaxPerUser = 2 })
	first := w.login(t)
	w.clock.advance(time.Second)
	second := w.login(t)
	w.clock.advance(time.Second)
	w.login(t)
	_, err := w.Authenticate(first.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
	if _, err := w.Authenticate(second.AccessToken); err != nil {
		t.Error(err)
	}
}

// ownUsers are users of the host application, whose password changes while a sign-in is under way.
type ownUsers struct {
	tokenjar.UserStore
	epoch int64
	moves bool
}

func (o *ownUsers) FindUser(ctx context.Context, id tokenjar.Identifier) (tokenjar.User, error) {
	u, err := o.UserStore.FindUser(ctx, id)
	u.AuthEpoch = o.epoch
	if o.moves {
		o.epoch++
	}
	return u, err
}

func (o *ownUsers) User(ctx context.Context, id string) (tokenjar.User, error) {
	u, err := o.UserStore.User(ctx, id)
	u.AuthEpoch = o.epoch
	return u, err
}

func TestASignInThatRacesAPasswordChangeNeverSurvivesIt(t *testing.T) {
	users := &ownUsers{}
	w := newWorld(t, func(c *tokenjar.Config) {
		users.UserStore = c.Store.(*memory.Store)
		c.Users = users
	})
	in := tokenjar.Credentials{Username: "ada", Password: testPassword}
	g, err := w.Login(t.Context(), in, tokenjar.Client{})
	if err != nil {
		t.Fatal(err)
	}
	g = w.mustRefresh(t, g)
	users.moves = true
	_, err = w.Login(t.Context(), in, tokenjar.Client{})
	wantErr(t, err, tokenjar.ErrInvalidCredentials)
	users.moves = false
	_, err = w.refresh(t, g)
	wantErr(t, err, tokenjar.ErrSessionEnded) // the epoch has moved for the earlier session too
}

func TestNothingSecretIsLogged(t *testing.T) { // LG-01, LG-02, LG-03
	var log bytes.Buffer
	w := newWorld(t, func(c *tokenjar.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	g, err := w.Login(t.Context(), tokenjar.Credentials{Username: "ada", Password: testPassword}, tokenjar.Client{IP: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	w.Login(t.Context(), tokenjar.Credentials{Username: "Canary-in-the-name-field", Password: "Canary-wrong-password"}, tokenjar.Client{})
	next := w.mustRefresh(t, g)
	w.mustRefresh(t, next)
	w.restart(t)
	w.refresh(t, g) // reuse
	slog.New(slog.NewTextHandler(&log, nil)).Info("values", "secret", w.cfg.Secret, "password", tokenjar.Password("Canary-password"),
		"user", fmt.Sprintf("%v %+v", w.user.PasswordHash, tokenjar.Credentials{Password: "Canary-password"}))
	for _, canary := range []string{
		testPassword, testSecret, "Canary", g.AccessToken, g.RefreshToken, next.AccessToken, next.RefreshToken,
		string(w.user.PasswordHash), strings.Split(g.RefreshToken, ".")[2],
	} {
		if strings.Contains(log.String(), canary) {
			t.Errorf("the log holds %q:\n%s", canary, log.String())
		}
	}
	for _, event := range []string{"event=login.succeeded", "event=login.failed", "event=refresh.rotated", "event=session.revoked", "reason=reuse"} {
		if !strings.Contains(log.String(), event) {
			t.Errorf("the log lacks %s", event)
		}
	}
}

func TestTheKeyRingOpensOnlyWithItsSecret(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	secret := w.cfg.Secret
	w.cfg.Secret, _ = tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	_, err := tokenjar.New(t.Context(), w.cfg)
	wantErr(t, err, tokenjar.ErrKeyRingSealed)

	// A new first line with the old one behind it opens everything, and signs anew.
	w.cfg.Secret, err = tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret() + "\n" + testSecret + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	w.restart(t)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Fatal(err)
	}
	next := w.mustRefresh(t, g)
	w.restart(t)
	again, err := w.refresh(t, g)
	if err != nil {
		t.Fatal(err)
	}
	sameTokens(t, next, again)
	young := w.login(t)
	w.cfg.Secret = secret // as a node that does not know the new line yet
	w.restart(t)
	w.mustRefresh(t, next) // a session stays with its line
	_, err = w.refresh(t, young)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	if !w.OfUnknownLine(young.RefreshToken) || w.OfUnknownLine(next.RefreshToken) || w.OfUnknownLine(next.AccessToken) || w.OfUnknownLine("eyJ.x.y") {
		t.Error("the line of a refresh token is not told from others")
	}
}

func TestParseSecretRefusesWhatIsNone(t *testing.T) { // K-07
	for name, text := range map[string]string{
		"nothing": "", "blanks": "\n \n", "too short": "short", "one byte": strings.Repeat("a", 64), "a pattern": strings.Repeat("ab", 32),
		"twice": testSecret + "\n" + testSecret, "a short line": testSecret + "\nshort",
		"a comment": "# generated by ansible, do not edit by hand\n" + testSecret, "a comment behind": testSecret + "\n#remove this line on 2026-12-24, not before",
		"a template": "changemechangemechangemechangeme1", "a documentation's": "your-256-bit-secret-your-256-bit-key",
		"an assignment": "TOKENJAR_KEY=" + testSecret, "a page": "<html><head><title>404 Not Found</title></head></html>",
	} {
		if _, err := tokenjar.ParseSecret([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		} else if len(text) > 10 && (strings.Contains(err.Error(), text[:10]) || strings.Contains(err.Error(), testSecret)) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
	for range 1000 {
		if _, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret())); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tokenjar.ParseSecret([]byte("\r\n  " + testSecret + "  \r\n\r\n")); err != nil {
		t.Error(err)
	}
}

func TestRevocationsSurviveARestart(t *testing.T) { // S-19
	w := newWorld(t)
	g := w.login(t)
	if err := w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	w.restart(t)
	_, err := w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
}

func TestRevocationsByAnotherProcessAreLearned(t *testing.T) { // S-02
	w := newWorld(t)
	other, err := tokenjar.New(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- other.Run(ctx) }()
	defer func() { stop(); <-done }()
	g := w.login(t)
	if err := w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := other.Authenticate(g.AccessToken)
		if errors.Is(err, tokenjar.ErrTokenRevoked) {
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("after %s: %v", time.Since(begin), err)
		}
	}
}

func TestSessionsOfAnotherUserCannotBeTouched(t *testing.T) { // S-10
	w := newWorld(t)
	u := w.user
	u.ID, u.Username, u.Email = "user-eve", "eve", ""
	if err := w.store.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	g := w.login(t)
	wantErr(t, w.EndSession(t.Context(), "user-eve", g.SessionID), tokenjar.ErrNotFound)
	wantErr(t, w.RenameSession(t.Context(), "user-eve", g.SessionID, "mine"), tokenjar.ErrNotFound)
	if list, err := w.Sessions(t.Context(), "user-eve"); err != nil || len(list) != 0 {
		t.Errorf("eve sees %v, %v", list, err)
	}
	if n, err := w.EndOtherSessions(t.Context(), "user-eve", "none"); err != nil || n != 0 {
		t.Errorf("eve ended %d, %v", n, err)
	}
	w.mustRefresh(t, g)
}

func TestConfigNamesEveryWrongField(t *testing.T) {
	_, err := tokenjar.New(t.Context(), tokenjar.Config{AccessLifetime: time.Millisecond, Grace: time.Hour, MaxPerUser: -1, Idle: -1})
	for _, field := range []string{"Issuer", "Secret", "Store", "AccessLifetime", "MaxPerUser", "Idle"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+field+":") {
			t.Errorf("%s is not named in:\n%v", field, err)
		}
	}
}

func TestAReplacedSessionIsAuditedUnderItsOwnUser(t *testing.T) { // LG-10
	var events []tokenjar.AuditEvent
	w := newWorld(t, func(c *tokenjar.Config) { c.OnEvent = func(e tokenjar.AuditEvent) { events = append(events, e) } })
	bob := w.user
	bob.ID, bob.Username, bob.Email = "user-bob", "bob", "bob@example.com"
	if err := w.store.CreateUser(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	his, err := w.OpenSession(t.Context(), bob, tokenjar.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := tokenjar.ContextWithClient(t.Context(), tokenjar.Client{IP: "192.0.2.7"})
	if _, err := w.OpenSession(ctx, w.user, tokenjar.Credentials{
		Replaces: []tokenjar.SignedSession{{SessionID: his.SessionID, UserID: bob.ID}},
	}); err != nil {
		t.Fatal(err)
	}
	last := events[len(events)-1]
	if last.Name != "session.revoked" || last.SessionID != his.SessionID || last.UserID != bob.ID || last.IP != "192.0.2.7" {
		t.Errorf("bob's session ended, and the trail says %+v", last)
	}
}

// Users who live outside the store, in a table that may fail.
type flakyUsers struct {
	*memory.Store
	fail bool
}

func (f *flakyUsers) User(ctx context.Context, id string) (tokenjar.User, error) {
	if f.fail {
		return tokenjar.User{}, fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	return f.Store.User(ctx, id)
}

func TestASignInThatFailsEndsNothingAndLeavesNothing(t *testing.T) { // F-07
	users := &flakyUsers{}
	w := newWorld(t, func(c *tokenjar.Config) { users.Store = c.Store.(*memory.Store); c.Users = users })
	old := w.login(t)
	in := tokenjar.Credentials{Username: "ada", Password: testPassword, Replaces: []tokenjar.SignedSession{{SessionID: old.SessionID, UserID: w.user.ID}}}
	users.fail = true
	_, err := w.Login(t.Context(), in, tokenjar.Client{})
	wantErr(t, err, tokenjar.ErrStoreUnavailable)
	users.fail = false
	if list, err := w.Sessions(t.Context(), w.user.ID); err != nil || len(list) != 1 || list[0].ID != old.SessionID {
		t.Errorf("sessions: %+v, %v, want the old one alone", list, err)
	}
	old = w.mustRefresh(t, old)
	if _, err := w.Login(t.Context(), in, tokenjar.Client{}); err != nil {
		t.Fatal(err)
	}
	_, err = w.refresh(t, old)
	wantErr(t, err, tokenjar.ErrSessionReplaced)
}
