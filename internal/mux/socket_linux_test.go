//go:build !msan

package mux

import (
	"net"
	"testing"
)

// TestPastTheScheduler: a socket that os.File.Fd has made a blocking one is read
// in the ordinary way. The garbage collector waits for a processor that is in a
// call of which the scheduler knows nothing.
func TestPastTheScheduler(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()

	var s socket
	if s.init(nc); s.raw == nil {
		t.Error("a plain socket is not read past the scheduler")
	}
	file, err := nc.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.Fd()
	if s.init(nc); s.raw != nil {
		t.Error("a blocking socket is read past the scheduler")
	}
}
