// Package ui is the page that comes with tokenjar: sign in, watch the session live, see what script can see of it, sign
// out. It is one HTML document, one stylesheet, one ES module and one icon, all embedded; nothing is built and nothing
// is loaded from elsewhere.
//
// The package owns the documents and their headers. It judges nothing: the page is public, holds no secret (but for the
// demo's own password, when told to show it) and learns everything else from the HTTP API, as any other client would.
// [internal/server] mounts it; whatever [Site.Has] does not claim is somebody else's to answer.
package ui
