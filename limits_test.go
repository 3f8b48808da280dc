package tokenjar_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// counter counts tries and turns them away beyond a number.
type counter struct {
	addresses, accounts map[string]int
	perAddress          int
	perAccount          int
}

func (c *counter) AllowAddress(_ context.Context, ip string) error {
	c.addresses[ip]++
	if c.addresses[ip] > c.perAddress {
		return &tokenjar.RateLimitError{Limit: "address", RetryAfter: 2 * time.Second}
	}
	return nil
}

func (c *counter) AllowAccount(_ context.Context, key string) error {
	c.accounts[key]++
	if c.accounts[key] > c.perAccount {
		return &tokenjar.RateLimitError{Limit: "account", RetryAfter: 12 * time.Second}
	}
	return nil
}

func limited(t *testing.T, perAddress, perAccount int) (*world, *counter, *[]tokenjar.AuditEvent) {
	t.Helper()
	c := &counter{map[string]int{}, map[string]int{}, perAddress, perAccount}
	var events []tokenjar.AuditEvent
	w := newWorld(t, func(cfg *tokenjar.Config) {
		cfg.Limits = c
		cfg.OnEvent = func(e tokenjar.AuditEvent) { events = append(events, e) }
	})
	return w, c, &events
}

func wantLimit(t *testing.T, err error, limit string) {
	t.Helper()
	var got *tokenjar.RateLimitError
	if !errors.As(err, &got) || got.Limit != limit || got.RetryAfter <= 0 {
		t.Errorf("got %v, want the limit of the %s with the time until the next try", err, limit)
	}
}

func TestOneAccountIsOneCounterHoweverItIsNamed(t *testing.T) { // L-07
	w, c, _ := limited(t, 100, 100)
	for _, in := range []tokenjar.Credentials{
		{Username: "ada"}, {Username: "ADA"}, {Email: w.user.Email}, {Username: w.user.Email},
		{Email: strings.ToUpper(w.user.Email)},
	} {
		in.Password = "wrong"
		_, err := w.Login(t.Context(), in, tokenjar.Client{IP: "192.0.2.1"})
		wantErr(t, err, tokenjar.ErrInvalidCredentials)
	}
	if len(c.accounts) != 1 {
		t.Errorf("the tries were counted under %d keys, want 1", len(c.accounts))
	}
	for _, in := range []tokenjar.Credentials{{Username: "nobody"}, {Username: "NoBody"}, {Username: strings.Repeat("x", 5000)}} {
		in.Password = "wrong"
		_, err := w.Login(t.Context(), in, tokenjar.Client{IP: "192.0.2.1"})
		wantErr(t, err, tokenjar.ErrInvalidCredentials)
	}
	if len(c.accounts) != 3 {
		t.Errorf("there are %d keys, want 3: names that nobody has count as well", len(c.accounts))
	}
	for key := range c.accounts {
		if len(key) > 64 || strings.Contains(key, "nobody") {
			t.Errorf("the key %q holds what was typed", key)
		}
	}
}

func TestTheRightPasswordIsTurnedAwayLikeAWrongOne(t *testing.T) { // L-06
	w, _, events := limited(t, 100, 2)
	try := func(pw tokenjar.Password) error {
		_, err := w.Login(t.Context(), tokenjar.Credentials{Username: "ada", Password: pw}, tokenjar.Client{IP: "192.0.2.1"})
		return err
	}
	wantErr(t, try("wrong"), tokenjar.ErrInvalidCredentials)
	if err := try(testPassword); err != nil {
		t.Fatal(err)
	}
	right, wrong := try(testPassword), try("wrong")
	wantLimit(t, right, "account")
	wantLimit(t, wrong, "account")
	if right.Error() != wrong.Error() {
		t.Errorf("the right password gets %v, a wrong one %v", right, wrong)
	}
	last := (*events)[len(*events)-1]
	if last.Name != "login.failed" || last.Reason != "limit_account" || last.UserID != w.user.ID || last.IP != "192.0.2.1" {
		t.Errorf("the event is %+v", last)
	}
}

func TestTheAddressIsCountedBeforeTheStoreIsAsked(t *testing.T) { // L-05
	w, c, _ := limited(t, 3, 100)
	for i := range 10 {
		_, err := w.Login(t.Context(), tokenjar.Credentials{Username: "user" + string(rune('a'+i)), Password: "wrong"},
			tokenjar.Client{IP: "192.0.2.9"})
		if i < 3 {
			wantErr(t, err, tokenjar.ErrInvalidCredentials)
		} else {
			wantLimit(t, err, "address")
		}
	}
	if len(c.accounts) != 3 {
		t.Errorf("%d accounts were counted, want the 3 that were tried", len(c.accounts))
	}
	if _, err := w.Login(t.Context(), tokenjar.Credentials{Username: "ada", Password: testPassword}, tokenjar.Client{IP: "192.0.2.10"}); err != nil {
		t.Errorf("another address: %v", err)
	}
}

func TestWhatIsNoTryIsNotCounted(t *testing.T) {
	w, c, _ := limited(t, 0, 0)
	_, err := w.Login(t.Context(), tokenjar.Credentials{Username: "ada"}, tokenjar.Client{IP: "192.0.2.1"})
	var invalid *tokenjar.ValidationError
	if !errors.As(err, &invalid) || len(c.addresses)+len(c.accounts) != 0 {
		t.Errorf("got %v after %d counts", err, len(c.addresses)+len(c.accounts))
	}
	g := w.login(t)
	w.mustRefresh(t, g) // never counted
	if len(c.addresses)+len(c.accounts) != 0 {
		t.Error("a refresh was counted as a sign-in")
	}
}
