package examples_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/store/postgres"
)

// The queries of docs/howto/monitor.md for PostgreSQL find what they are for. Those for SQLite are run as commands.
func TestTheQueriesOfTheMonitoringPageOnPostgreSQL(t *testing.T) {
	dsn := pgtest.Schema(t)
	store, err := postgres.Open(t.Context(), dsn, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.CreateUser(t.Context(), tokenjar.User{ID: "a", Username: "ada", Email: "ada@example.com", Active: true}); err != nil {
		t.Fatal(err)
	}
	err = store.AppendAudit(t.Context(), []tokenjar.AuditEvent{
		{Name: "login.failed", UserID: "a", IP: "192.0.2.1"},
		{Name: "login.failed", UserID: "a", IP: "192.0.2.1", Detail: map[string]string{"further": "41"}},
		{Name: "session.revoked", Reason: "reuse", UserID: "a", Detail: map[string]string{"last_client_ip": "192.0.2.9"}},
		{Name: "login.failed", IP: "192.0.2.2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	var queries []string
	for _, b := range blocks(t, "docs/howto/monitor.md") {
		if b.lang == "sql" {
			queries = append(queries, b.text)
		}
	}
	want := []int{4, 3, 1, 2} // rows
	if len(queries) != len(want) {
		t.Fatalf("%d queries, want %d", len(queries), len(want))
	}
	for i, q := range queries {
		rows, err := conn.Query(t.Context(), q)
		if err != nil {
			t.Fatalf("%s\n%v", q, err)
		}
		var all [][]any
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, values)
		}
		if err := rows.Err(); err != nil || len(all) != want[i] {
			t.Fatalf("%s\n%d rows, want %d (%v)", q, len(all), want[i], err)
		}
		if i == 2 && all[0][3] != "192.0.2.9" {
			t.Errorf("last used from %v", all[0][3])
		}
		if i == 3 && (all[0][0] != "192.0.2.1" || all[1][0] != "192.0.2.2") {
			t.Errorf("addresses in the order %v", all)
		}
	}
}
