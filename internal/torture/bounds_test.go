package torture

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A clock moves when somebody waits.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}

func TestNoMoreRequestsAreSentThanTheBudgetAllows(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	b := newBudget(50, 1000, c.Now, c.Sleep)
	var at []time.Time
	for {
		if err := b.take(t.Context()); err != nil {
			if _, ok := errors.AsType[*brokenOff](err); !ok {
				t.Fatal(err)
			}
			break
		}
		at = append(at, c.Now())
	}
	if len(at) != 1000 || b.spent() != 1000 {
		t.Errorf("got %d requests, want 1000", len(at))
	}
	for i := range at { // in each window of a second
		end := i
		for end < len(at) && at[end].Sub(at[i]) < time.Second {
			end++
		}
		if most := Burst + 50; end-i > most {
			t.Fatalf("%d requests within a second, want %d at most", end-i, most)
		}
	}
	if took := at[len(at)-1].Sub(at[0]).Seconds(); took < (1000-Burst)/50.0-1 {
		t.Errorf("all of them took %g s", took)
	}
}

func TestACrowdFindsRoomBeforeItStarts(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	b := newBudget(10, 1000, c.Now, c.Sleep)
	for range Burst {
		if err := b.take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.ready(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	begun := c.Now()
	for range 60 {
		if err := b.take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if waited := c.Now().Sub(begun); waited > 0 {
		t.Errorf("the crowd was held up for %s", waited)
	}
}

func TestMistakesOfACallAreNamed(t *testing.T) {
	good := Config{Nodes: []string{"http://127.0.0.1:1", "https://app.example.com/"}, Username: "torture", Password: "x"}
	if _, err := newRun(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Nodes = nil }, "no node is named"},
		{func(c *Config) { c.Nodes = []string{"app.example.com"} }, "app.example.com is no address"},
		{func(c *Config) { c.Nodes = []string{"https://app.example.com/auth"} }, "has a path: name the host alone, and with --auth-path"},
		{func(c *Config) { c.Nodes = []string{"ftp://app.example.com"} }, "is no address"},
		{func(c *Config) { c.Nodes = append(c.Nodes, "http://127.0.0.1:1/") }, "named twice"},
		{func(c *Config) { c.PublicURL = "app" }, "is no address"},
		{func(c *Config) { c.Username = "" }, "account"},
		{func(c *Config) { c.Password = "" }, "account"},
		{func(c *Config) { c.Path = "auth" }, "slash"},
		{func(c *Config) { c.Path = "/auth/" }, "slash"},
		{func(c *Config) { c.Grace = time.Millisecond }, "grace"},
		{func(c *Config) { c.Grace = time.Hour }, "grace"},
		{func(c *Config) { c.Rounds = -1 }, "rounds"},
		{func(c *Config) { c.Rounds = MaxRounds + 1 }, "rounds"},
		{func(c *Config) { c.Rate = MaxRate + 1 }, "requests a second"},
		{func(c *Config) { c.Rate = -1 }, "requests a second"},
		{func(c *Config) { c.Metrics = []string{"http://127.0.0.1:2/metrics"} }, "1 address for 2 nodes"},
	} {
		bad := good
		bad.Nodes = slices.Clone(good.Nodes)
		tt.change(&bad)
		_, err := Run(t.Context(), bad)
		if _, ok := errors.AsType[*ConfigError](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want it to say %q", err, tt.want)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var list []time.Duration
	for i := range 200 {
		list = append(list, time.Duration(200-i))
	}
	if p50, p99, worst := percentiles(list); p50 != 100 || p99 != 198 || worst != 200 {
		t.Errorf("got %d %d %d", p50, p99, worst)
	}
	if p50, p99, worst := percentiles(list[:1]); p50 != 200 || p99 != 200 || worst != 200 {
		t.Errorf("of one: got %d %d %d", p50, p99, worst)
	}
}
