// Package tokenjartest is for the tests of programs that use tokenjar: sessions in memory, a clock that tests set, and
// users who are signed in with one line.
//
//	app := tokenjartest.New(t, tokenjartest.Config{})
//	app.Serve(routes(app.Guard)) // the handler of the program, with its guard
//
//	ada := app.SignIn("ada")
//	ada.Post("/orders", order{Item: "tea"}).Want(201)
//	app.Anonymous().Get("/orders").Want(401)
//
// An [App] is a whole tokenjar: service, guard, sign-in routes under /auth/ and a server with TLS on a free port of the
// loopback interface. Nothing in it is a stand-in but the store, which is package store/memory, and the time: a [Client]
// signs in through the real login and goes through the real guard, with the cookies, the CSRF header and the Origin that
// a browser would send. One [Clock] moves service, store, guard and the cookies in the clients' jars, so that a test of
// what happens after five minutes takes none.
//
// A program that verifies tokens and has no sessions of its own needs an [Issuer]: keys, tokens good and bad, and a server
// that publishes the keys, breaks and rotates them.
//
// A handler that only asks who is there needs nothing of this package: give it a request whose context is
// [tokenjar.ContextWithIdentity] of an Identity that the test makes up, or [App.Context] when the claims of a real token
// matter.
//
// Helpers that fail a test do so with FailNow and say it; call them from the test's own goroutine. In a subtest use the
// app and its clients by way of [App.With] and [Client.With], so that the subtest fails and not the test around it. Apps
// share nothing but the hash of one [Password], so tests may be parallel.
//
// Nothing here is for production: every user has the same well-known password. The package is imported by tests alone.
package tokenjartest
