// Package proxy is the Backend for Frontend: it stands between browsers and services, turns the cookie of a session into
// Authorization: Bearer, and sees to it that nothing else of the client's is believed.
//
// # Where to start
//
//   - [New] takes a [Config] with a session.Guard and [Route]s, and makes a [Proxy], which is an http.Handler.
//   - A [Route] leads a path prefix to one service. Its zero value is the safe one: only who is signed in may pass, and the
//     service gets a token made for it alone.
//   - [Proxy.Stop] ends the streams that are open, before a server shuts down.
//
// # What is promised
//
//   - A service gets our tokens and no credential of the browser's: the access, refresh and CSRF cookie and the client's
//     Authorization never reach it, however they are spelt.
//   - What a service believes of a client (X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Prefix,
//     Forwarded, X-Request-Id, Authorization) was set here, once. Fields by which other proxies say such things are
//     removed, and so are names with other characters than letters, digits and hyphens.
//   - The path that was judged is the path that is sent, byte for byte; what two programs may read differently is 400.
//   - A service cannot set cookies of our names, say who may read its answers across origins, or sign the browser out by
//     Clear-Site-Data.
//   - A WebSocket (RFC 6455) or event stream ends when its session does, and goes on when the session is renewed. Neither end
//     can hold it up by not reading, or by stopping in the middle of a frame.
//   - A service that refuses, hangs, lies about lengths or does not speak TLS is 502 or 504, its slot is free again, and
//     other routes do not notice. A request is sent twice only if it has a method that may be and no body, and the
//     connection had been used before.
//
// # What is left to the caller
//
//   - Host and method are judged before, by the server that owns them.
//   - [tokenjar.Service.Run] has to run.
package proxy
