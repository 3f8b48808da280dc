package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// fault says for the log what went wrong with a service, in words of ours: net/http quotes what the other side has sent, and a
// service that sends back what it got would write requests and tokens there.
func fault(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return "the name of its host is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses connections"
	case errors.As(err, &certificate):
		return "its certificate is not trusted, or is another host's"
	case errors.As(err, &notTLS):
		return "it does not speak TLS"
	case errors.Is(err, errLinkLocal):
		return errLinkLocal.Error()
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it is too slow"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it ended the connection"
	case errors.As(err, &op) && op.Op == "dial":
		return "it cannot be connected to"
	case strings.HasPrefix(err.Error(), "proxy: "): // of ours
		return err.Error()
	}
	return "its answer is not HTTP, or too long"
}
