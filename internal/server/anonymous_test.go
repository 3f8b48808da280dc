package server_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Nobody writes to the database without having shown a password or a genuine token.
func TestAnonymousRequestsWriteNothing(t *testing.T) {
	n := start(t, filepath.Join(t.TempDir(), "tokenjar.db"), nil)
	db, err := sql.Open("sqlite", "file:"+n.database+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	read := func() string {
		t.Helper()
		var all strings.Builder
		for _, table := range []string{"users", "sessions", "audit_events", "keyring", "deleted_users"} {
			r, err := db.Query("SELECT * FROM " + table)
			if err != nil {
				t.Fatal(err)
			}
			columns, err := r.Columns()
			if err != nil {
				t.Fatal(err)
			}
			for r.Next() {
				values, to := make([]any, len(columns)), make([]any, len(columns))
				for i := range values {
					to[i] = &values[i]
				}
				if err := r.Scan(to...); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&all, table, values)
			}
			if err := r.Err(); err != nil {
				t.Fatal(err)
			}
		}
		return all.String()
	}
	rows := func() string { // all of them, after the notes that wait have been written: nothing changes any more
		t.Helper()
		all := read()
		for same := 0; same < 5; {
			time.Sleep(200 * time.Millisecond)
			if now := read(); now == all {
				same++
			} else {
				same, all = 0, now
			}
		}
		return all
	}
	before := rows()
	const forged = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IngifQ.eyJzdWIiOiJhZGEifQ.c2ln"
	for _, cookies := range []string{"", "access_token=" + forged, "access_token=x; refresh_token=" + forged, "refresh_token=\"\"; csrftoken=y"} {
		for _, row := range [][3]string{
			{"GET", "/", ""}, {"GET", "/auth/session", ""}, {"GET", "/auth/csrf", ""}, {"GET", "/auth/user", ""}, {"GET", "/auth/sessions", ""},
			{"POST", "/auth/logout", ""}, {"POST", "/auth/logout?all=true", ""}, {"POST", "/auth/token/refresh", ""},
			{"POST", "/auth/token/refresh", `{"refresh":"` + forged + `"}`}, {"POST", "/auth/token/verify", `{"token":"` + forged + `"}`},
			{"POST", "/auth/token/blacklist", `{"refresh":"` + forged + `"}`}, {"POST", "/auth/password/change", `{"old_password":"a","new_password":"b"}`},
			{"POST", "/auth/login", `{"username":"ada"}`}, {"DELETE", "/auth/sessions", ""}, {"GET", "/.well-known/jwks.json", ""}, {"GET", "/docs", ""}, {"GET", "/nowhere", ""},
		} {
			res, body := n.call(t, row[0], row[1], row[2], cookies, "")
			if res.StatusCode >= 500 || strings.Contains(body, forged) {
				t.Errorf("%v: %d %s", row, res.StatusCode, body)
			}
		}
	}
	if after := rows(); after != before {
		t.Errorf("the database was\n%s\nand is\n%s", before, after)
	}
	// What is written is seen.
	if res, body := n.call(t, "POST", "/auth/login", `{"username":"ada","password":"`+e2ePassword+`"}`, "", ""); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if rows() == before {
		t.Error("a sign-in was not seen")
	}
}
