package proxy

import (
	"net/http"
	"sync"
	"time"
)

// A sending is a request with a body on its way to a service, which may answer before it has all of it. A nil one is over.
type sending struct {
	link  *link
	wait  time.Duration // for the head of the answer, from the end of the request
	pause time.Duration // for the service to take a piece

	done chan struct{}
	err  error // once it is done

	mu       sync.Mutex
	answered bool // the head of the answer has been read
}

// startSending sends a request beside whoever reads the answer.
func (d *direct) startSending(l *link, req *http.Request) *sending {
	s := &sending{link: l, wait: d.wait, pause: d.pause, done: make(chan struct{})}
	l.setReadDeadline(time.Time{}) // the client may take its time for the body, which is counted elsewhere
	go s.run(req)
	return s
}

func (s *sending) run(req *http.Request) {
	out := &patientWriter{link: s.link, pause: s.pause}
	s.link.w.Reset(out)
	err := req.Write(s.link.w)
	if err == nil {
		err = s.link.w.Flush()
	}
	if out.err != nil {
		err = out.err // net/http takes it for one of reading the body
	}
	s.link.w.Reset(s.link.conn)
	s.link.setWriteDeadline(time.Time{})
	s.err = err
	close(s.done) // from here on the link may be another request's, if this one has been sent and answered
	switch {
	case err == nil:
		s.waitForHead(s.wait)
	case out.err != nil: // the service takes no more, perhaps because it has answered
		s.waitForHead(min(s.wait, time.Second))
	default: // the client's body has no end: the service must not take a part for the whole
		s.link.cut()
	}
}

// waitForHead bounds how long the head of the answer is waited for, unless it is there.
func (s *sending) waitForHead(limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.answered {
		s.link.setReadDeadline(time.Now().Add(limit))
	}
}

// hasAnswer says that the head of the answer is there: from now on nothing here bounds what is read.
func (s *sending) hasAnswer() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = true
}

// isDone reports whether the request has been sent, all of it.
func (s *sending) isDone() bool {
	if s == nil {
		return true
	}
	select {
	case <-s.done:
		return s.err == nil
	default:
		return false
	}
}

// explain returns why there is no answer: that the request could not be sent, if so, or what was seen when it was to be read.
func (s *sending) explain(err error) error {
	if s == nil {
		return err
	}
	select {
	case <-s.done:
		if s.err != nil {
			return s.err
		}
	default:
	}
	return err
}

// A patientWriter is what a request is written to. The service has the time of a pause to take each.
type patientWriter struct {
	link  *link
	pause time.Duration
	err   error
}

func (p *patientWriter) Write(b []byte) (n int, err error) {
	p.link.setWriteDeadline(time.Now().Add(p.pause))
	n, p.err = p.link.conn.Write(b)
	return n, p.err
}
