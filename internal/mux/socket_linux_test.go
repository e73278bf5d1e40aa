//go:build !386 && !s390x && !race && !msan && !asan

package mux

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestPastTheScheduler: a socket that os.File.Fd makes a blocking one does not
// block. The garbage collector would wait for a processor that is in a call of
// which the scheduler knows nothing.
func TestPastTheScheduler(t *testing.T) { OnNetworks(t, testPastTheScheduler) }

func testPastTheScheduler(t *testing.T, network string) {
	near, far := Pair(t, network)
	defer near.Close()
	var s socket
	if s.init(near); s.raw == nil {
		t.Error("a plain socket is not read past the scheduler")
	}
	file, err := near.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.Fd()
	defer time.AfterFunc(10*time.Second, func() { far.Close() }).Stop() // which ends a read that blocks
	near.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := s.read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes, %v; want none, %v", n, err, os.ErrDeadlineExceeded)
	}
}

// TestSocketOfNobody: a socket whose peer was gone when it was passed on has no
// remote address, and its error has to do without.
func TestSocketOfNobody(t *testing.T) {
	near, far := Pair(t, "tcp")
	file, err := near.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	near.Close()
	far.(*net.TCPConn).SetLinger(0)
	far.Close() // with a reset
	nc := connTo(t, file)
	for end := time.Now().Add(10 * time.Second); nc.RemoteAddr() != nil; nc = connTo(t, file) {
		nc.Close()
		if time.Now().After(end) {
			t.Fatal("the peer is not gone within 10 s")
		}
	}
	defer nc.Close()
	var s socket
	s.init(nc)
	if n, err := s.write([]byte("x")); n != 0 || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func connTo(t *testing.T, file *os.File) net.Conn {
	t.Helper()
	nc, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// TestSocketDeadline: a write larger than the buffers of the socket goes out in
// parts, and one that a deadline ends tells how much of it did, so that the next
// one can go on from there. A read that a deadline ends takes nothing.
func TestSocketDeadline(t *testing.T) { OnNetworks(t, testSocketDeadline) }

func testSocketDeadline(t *testing.T, network string) {
	near, far := Pair(t, network)
	defer near.Close()
	near.SetWriteBuffer(32 << 10)
	far.SetReadBuffer(32 << 10)
	sent := make([]byte, rawMax)
	for i := range sent {
		sent[i] = byte(i / 251)
	}
	var s socket
	s.init(near)
	near.SetDeadline(time.Now().Add(10 * time.Millisecond))
	n, err := s.write(sent)
	if n <= 0 || n >= len(sent) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("write: got %d of %d bytes, %v; want a part of them, %v", n, len(sent), err, os.ErrDeadlineExceeded)
	}
	if n, err := s.read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: got %d bytes, %v; want none, %v", n, err, os.ErrDeadlineExceeded)
	}
	near.SetDeadline(time.Time{})
	go func() { // ends when far has read all, or near is closed
		s.write(sent[n:])
		near.Close()
	}()
	if got, err := io.ReadAll(far); !bytes.Equal(got, sent) || err != nil {
		t.Errorf("the peer got %d bytes, %v; want the %d that were sent", len(got), err, len(sent))
	}
}
