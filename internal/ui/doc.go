// Package ui is the page that comes with tokenjar: sign in, watch the session live, see what script can see of it, sign
// out. It is one HTML document, one stylesheet, one icon and two ES modules, all embedded; nothing is loaded from elsewhere.
// app.js is the page; what it knows of sessions is in client.js, which `make client` builds from client/src, and which a test
// of the client compares with those sources.
//
// The package owns the documents and their headers. It judges nothing: the page is public, holds no secret (but for the
// demo's own password, when told to show it) and learns everything else from the HTTP API, as any other client would.
// [internal/server] mounts it; whatever [Site.Has] does not claim is somebody else's to answer.
package ui
