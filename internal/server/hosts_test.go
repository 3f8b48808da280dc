package server

import (
	"net/url"
	"slices"
	"testing"
)

func TestHosts(t *testing.T) {
	for public, want := range map[string][]string{
		"https://app.example.com":      {"app.example.com", "app.example.com:443"},
		"https://APP.example.com":      {"app.example.com", "app.example.com:443"},
		"https://app.example.com:443":  {"app.example.com:443", "app.example.com"},
		"https://app.example.com:8443": {"app.example.com:8443"},
		"http://localhost:8080":        {"localhost:8080"},
		"http://localhost":             {"localhost", "localhost:80"},
		"https://[::1]":                {"[::1]", "[::1]:443"},
	} {
		u, err := url.Parse(public)
		if err != nil {
			t.Fatal(err)
		}
		if got := hosts(u); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", public, got, want)
		}
	}
}
