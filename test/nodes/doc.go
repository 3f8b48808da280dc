// Package nodes is the whole product as it is deployed: several processes of the real binary on one PostgreSQL, behind a
// real nginx that sends each request to another of them; and one process on SQLite. Its tests stop, kill, freeze and cut
// off the parts while clients are at work, and hold what the clients were told against package history.
//
// It consists of tests. They skip where nginx or PostgreSQL is not installed, unless TOKENJAR_REQUIRE_ALL is set.
package nodes
