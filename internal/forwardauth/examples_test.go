package forwardauth_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/tokenjar/tokenjar/internal/forwardauth"
)

// The examples for proxies that are not run here, as far as they can be read.

// readYAML returns a document of an example, and finds what lies under keys and indexes in it.
func readYAML(t *testing.T, file string) func(path string) []any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return func(path string) []any {
		p, err := yaml.PathString(path)
		if err != nil {
			t.Fatal(err)
		}
		var found any
		if err := p.Read(strings.NewReader(string(text)), &found); err != nil {
			t.Errorf("%s: %s: %v", file, path, err)
		}
		if list, ok := found.([]any); ok {
			return list
		}
		return []any{found}
	}
}

func TestTheExampleForTraefik(t *testing.T) {
	at := readYAML(t, "../../examples/traefik/forward-auth.yaml")
	ask := "$.http.middlewares.signed-in.forwardAuth."
	if got := at(ask + "address")[0]; got != "http://127.0.0.1:9090"+forwardauth.Path {
		t.Errorf("it asks at %v", got)
	}
	if got := at(ask + "trustForwardHeader")[0]; got != false {
		t.Error("clients may say which request it asks about")
	}
	if got := at(ask + "authResponseHeaders"); !slices.Equal(got, []any{"X-Auth-User", "Authorization"}) {
		t.Errorf("the service gets %v", got)
	}
	if got := at("$.http.routers.api.middlewares"); !slices.Equal(got, []any{"signed-in", "without-session"}) { // before the cookies are removed
		t.Errorf("the order is %v", got)
	}
	if got := at("$.http.middlewares.without-session.headers.customRequestHeaders.Cookie")[0]; got != "" {
		t.Errorf("the service gets the cookies: %v", got)
	}
}

func TestTheExampleForEnvoy(t *testing.T) {
	at := readYAML(t, "../../examples/envoy/forward-auth.yaml")
	manager := "$.static_resources.listeners[0].filter_chains[0].filters[0].typed_config."
	filter := manager + "http_filters[0].typed_config."
	patterns := func(path string) (names []string) {
		for _, p := range at(path) {
			p, _ := p.(map[string]any)
			name, ok := p["exact"].(string)
			if !ok || len(p) != 1 {
				t.Errorf("%s: %v is no name", path, p)
			}
			names = append(names, name)
		}
		return names
	}
	allowed := patterns(filter + "allowed_headers.patterns")
	for _, name := range slices.Concat(forwardauth.Judged, forwardauth.Handshakes, []string{"Sec-Fetch-Mode", "X-Forwarded-For", "X-Forwarded-Proto"}) {
		if name = strings.ToLower(name); name != "authorization" && !slices.Contains(allowed, name) { // that one it always passes on
			t.Errorf("it does not pass on %s, so that cannot be judged", name)
		}
	}
	if got := patterns(filter + "http_service.authorization_response.allowed_upstream_headers.patterns"); !slices.Equal(got, []string{"x-auth-user", "authorization"}) {
		t.Errorf("the service gets %v", got)
	}
	for path, want := range map[string]any{
		filter + "http_service.path_prefix": forwardauth.Path, filter + "failure_mode_allow": false, manager + "use_remote_address": true,
	} {
		if got := at(path)[0]; got != want {
			t.Errorf("%s is %v", path, got)
		}
	}
	if got := at(manager + "route_config.virtual_hosts[0].routes[0].request_headers_to_remove"); !slices.Contains(got, "cookie") {
		t.Errorf("the service gets the cookies: %v are removed", got)
	}
	if got := at(manager + "http_filters[1].name")[0]; got != "envoy.filters.http.router" {
		t.Errorf("after the question comes %v, which might change the route", got)
	}
}

func TestTheExampleForCaddy(t *testing.T) {
	text, err := os.ReadFile("../../examples/caddy/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	depth := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if line == "}" || strings.HasSuffix(line, "\t}") {
			depth--
		}
		if !strings.HasPrefix(line, strings.Repeat("\t", depth)) || strings.HasPrefix(line, strings.Repeat("\t", depth+1)) {
			t.Errorf("not indented as deep as it lies: %q", line)
		}
		if strings.HasSuffix(line, " {") {
			depth++
		}
	}
	if depth != 0 {
		t.Error("the braces do not match")
	}
	for _, want := range []string{
		`handle /api/\* \{\s+forward_auth 127\.0\.0\.1:9090 \{\s+uri ` + forwardauth.Path + `\s+copy_headers X-Auth-User Authorization\s+\}\s+reverse_proxy`, `header_up -Cookie\n`,
	} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("there is no %s", want)
		}
	}
}
