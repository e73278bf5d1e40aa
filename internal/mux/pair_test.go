package mux

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

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
