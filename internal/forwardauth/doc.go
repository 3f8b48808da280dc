// Package forwardauth reads what a proxy says of a request that it asks about before it sends it on: nginx's auth_request,
// Traefik's forwardAuth, Caddy's forward_auth and Envoy's ext_authz. [Dialect.Describe] makes a request of it, which is then
// judged as if it had come to us. It judges nothing itself.
package forwardauth
