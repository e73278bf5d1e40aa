package mux

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// OnNetworks runs test over TCP and over UNIX sockets.
func OnNetworks(t *testing.T, test func(t *testing.T, network string)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { test(t, network) })
	}
}

// Socket is a net.TCPConn or net.UnixConn.
type Socket interface {
	net.Conn
	File() (*os.File, error)
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

// Pair connects over a network, "tcp" or "unix". Far is closed with the test.
func Pair(t testing.TB, network string) (near, far Socket) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "socket")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a.(Socket), b.(Socket)
}
