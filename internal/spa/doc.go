// Package spa serves the built single-page application from a folder: its files, and its index.html for every address that
// the application itself routes (deep links).
//
//   - [Open] takes a folder and makes a [Site], which is an http.Handler.
//   - [CheckSources] says what may be added to the Content Security Policy.
//
// # What is promised
//
//   - Nothing is put into a file: what is sent is what stands in the folder. The page learns who is signed in from the API, and
//     no token is ever within its reach.
//   - Only regular files below the folder are served: no file or folder whose name begins with a dot (but /.well-known/, RFC
//     8615), nothing that a symbolic link leads out to, no list of a folder.
//   - A head belongs to the body it comes with: entity tag, length, policy and encoding are made of the bytes that are sent.
//     A new deployment is noticed at the next request, whether files are overwritten, the folder is replaced or a
//     symbolic link is turned.
//   - A missing script, style or image is 404 and never the page.
//
// # What is left to the caller
//
// Host and method are judged before, and headers for all answers (HSTS, Referrer-Policy, nosniff) are set around it. Tags are
// made of contents alone, so several nodes with the same files send the same ones.
package spa
