// Package server is the composition root: it builds the service, the guard, the API and the pages from one checked
// configuration, listens, judges what belongs to no single room (host, method, path), and stops gracefully.
package server
