//go:build !msan

package mux

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// TestPastTheScheduler: a socket that os.File.Fd has made a blocking one is read
// in the ordinary way. The garbage collector waits for a processor that is in a
// call of which the scheduler knows nothing.
func TestPastTheScheduler(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { testPastTheScheduler(t, network) })
	}
}

func testPastTheScheduler(t *testing.T, network string) {
	nc, _ := Pair(t, network)
	defer nc.Close()
	var s socket
	if s.init(nc); s.raw == nil {
		t.Error("a plain socket is not read past the scheduler")
	}
	file, err := nc.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.Fd()
	if s.init(nc); s.raw != nil {
		t.Error("a blocking socket is read past the scheduler")
	}
}

// TestSocketDeadline: a write larger than the buffers of the socket goes out in
// parts, and one that a deadline ends tells how much of it did, so that the next
// one can go on from there. A read that a deadline ends takes nothing.
func TestSocketDeadline(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { testSocketDeadline(t, network) })
	}
}

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
