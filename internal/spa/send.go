package spa

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar/problem"
)

// A content is what is sent of a file.
type content interface {
	io.ReadSeeker
	io.Closer
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// onDisk is a large file. If it is written while it is read, reading fails: the client gets less than was announced, and does
// not take two halves for a whole.
type onDisk struct {
	*os.File
	was *blob
}

func (c onDisk) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	info, statErr := c.File.Stat()
	if statErr != nil {
		return 0, statErr
	}
	if info.Size() != c.was.info.Size() || !info.ModTime().Equal(c.was.info.ModTime()) {
		return 0, errChanging
	}
	return n, err
}

// content opens what a blob holds or stands for.
func (f *folder) content(name string, b *blob) (content, int64, error) {
	if b.body != nil {
		return inMemory{bytes.NewReader(b.body)}, int64(len(b.body)), nil
	}
	file, info, err := f.open(name)
	if err != nil {
		return nil, 0, err
	}
	if !os.SameFile(info, b.info) || info.Size() != b.info.Size() || !info.ModTime().Equal(b.info.ModTime()) {
		file.Close()
		return nil, 0, errChanging
	}
	return onDisk{file, b}, info.Size(), nil
}

// send sends a content whose head is set: all of it, the ranges asked for, or that nothing has changed (RFC 9110, sections 13
// and 14). There is no Last-Modified: the entity tag says more, and is the same on every node.
func send(w http.ResponseWriter, r *http.Request, c content, size int64) {
	http.ServeContent(&sender{ResponseWriter: w, r: r, size: size}, r, "", time.Time{}, c)
}

// A sender is where a content is sent to. It announces the length also of what is packed, gives slow readers of large files
// their time, and makes refusals problem documents.
type sender struct {
	http.ResponseWriter
	r        *http.Request
	size     int64
	refused  bool
	extended time.Time
}

// WriteHeader implements [http.ResponseWriter].
func (s *sender) WriteHeader(status int) {
	h := s.Header()
	switch {
	case status == http.StatusOK:
		h.Set("Content-Length", strconv.FormatInt(s.size, 10))
	case status >= 400: // a range that is not there, a condition that does not hold
		s.refused = true
		for _, name := range []string{"ETag", "Content-Encoding", "Accept-Ranges", "Last-Modified"} {
			h.Del(name)
		}
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		detail := "The file is not, or no longer, the one that the request's conditions name."
		if status == http.StatusRequestedRangeNotSatisfiable {
			detail = "The file has no such range."
		}
		problem.Write(s.ResponseWriter, s.r, problem.New(problem.ValidationFailed).WithStatus(status).WithDetail(detail))
		return
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (s *sender) Write(b []byte) (int, error) {
	if s.refused { // what net/http has to say of it
		return len(b), nil
	}
	if s.size > maxInMemory {
		if now := time.Now(); now.Sub(s.extended) > pieceTime/6 {
			s.extended = now
			http.NewResponseController(s.ResponseWriter).SetWriteDeadline(now.Add(pieceTime))
		}
	}
	return s.ResponseWriter.Write(b)
}

// pieceTime is how long a client may take to read a piece of a large file.
const pieceTime = 30 * time.Second

// ReadFrom copies through a buffer that is used again.
func (s *sender) ReadFrom(src io.Reader) (int64, error) {
	buf, ok := buffers.Get().(*[]byte)
	if !ok {
		b := make([]byte, 32<<10)
		buf = &b
	}
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{s}, src, *buf)
}

var buffers sync.Pool

// Unwrap lets http.ResponseController reach the connection.
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }
