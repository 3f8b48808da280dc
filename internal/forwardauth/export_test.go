package forwardauth

// What [Dialect.Describe] reads of a request's header, beside what a dialect names.
var (
	Judged     = judgedFields
	Handshakes = handshakeFields
)
