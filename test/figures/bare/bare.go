// Package bare is the server that figures are compared with: net/http with an answer that is always the same, and
// Argon2id within slots. What it costs is what any server with passwords costs on the same machine.
package bare

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"

	"golang.org/x/crypto/argon2"
)

// Hash does the work of one sign-in and nothing else: Argon2id as package password has it by default.
func Hash() { argon2.IDKey([]byte("correct horse battery"), make([]byte, 16), 2, 19456, 1, 32) }

// Slots is how many hashes a server runs at once by default.
func Slots() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// Main runs the server until the process is killed. POST /hash does one hash, in a slot unless -slots is 0; everything
// else is answered at once. With -to it is a reverse proxy instead.
func Main() {
	slots := flag.Int("slots", Slots(), "hashes at once; 0 for as many as are asked for")
	to := flag.String("to", "", "address of the service to be a proxy for")
	tuned := flag.Bool("tuned", false, "be the proxy that net/http can be at best")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	turn := make(chan struct{}, *slots)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hash", func(w http.ResponseWriter, _ *http.Request) {
		if *slots > 0 {
			turn <- struct{}{}
			defer func() { <-turn }()
		}
		Hash()
		answer(w)
	})
	mux.HandleFunc("/live", holdSocket)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	var handler http.Handler = mux
	if *to != "" {
		if handler, err = newProxy(*to, *tuned); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	address := listener.Addr().(*net.TCPAddr)
	fmt.Printf("bare serves http://localhost:%d (listening on %s)\n", address.Port, address)
	fmt.Fprintln(os.Stderr, http.Serve(listener, handler))
	os.Exit(1)
}

func answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"active":true}`)
}
