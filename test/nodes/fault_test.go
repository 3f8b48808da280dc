package nodes

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// A fault is what stands between a node and its database: a cable that can be cut. While it is, nothing arrives, in
// neither direction, and nobody is told: bytes wait, connections stay open and new ones are accepted by nobody who answers.
type fault struct {
	dsn     string // for the node
	network string // of the database
	address string

	mu   sync.Mutex
	heal chan struct{} // nil: whole; otherwise closed when it is mended
}

// newFault returns a cable to the database of a DSN.
func newFault(t testing.TB, dsn string) *fault {
	t.Helper()
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fault{}
	f.network, f.address = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("host")
	q.Del("port")
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	f.dsn = u.String()

	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		stop()
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.carry(ctx, conn) })
		}
	})
	return f
}

// carry carries a connection until one of its ends is gone.
func (f *fault) carry(ctx context.Context, near net.Conn) {
	defer near.Close()
	if !f.whole(ctx) {
		return
	}
	far, err := net.Dial(f.network, f.address)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			io.Copy(way[1], reader{way[0], func() bool { return f.whole(ctx) }})
			near.Close()
			far.Close()
		})
	}
	both.Wait()
}

// A reader passes on what it reads when the cable is whole.
type reader struct {
	io.Reader
	whole func() bool
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if !r.whole() {
		return 0, io.EOF
	}
	return n, err
}

// whole waits until the cable is whole; false: the test has ended.
func (f *fault) whole(ctx context.Context) bool {
	for {
		f.mu.Lock()
		heal := f.heal
		f.mu.Unlock()
		if heal == nil {
			return true
		}
		select {
		case <-heal:
		case <-ctx.Done():
			return false
		}
	}
}

func (f *fault) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heal = make(chan struct{})
}

func (f *fault) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.heal)
	f.heal = nil
}
