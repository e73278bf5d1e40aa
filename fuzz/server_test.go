package fuzz

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// patience bounds what takes microseconds.
const patience = 10 * time.Second

// FuzzServer sends any bytes to memcachetest, which must answer and close, and
// go on serving others.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"set a 5 60 3\r\nabc\r\ngets a b\r\nmn\r\n", "ms a 3 T60 F5 c O7\r\nabc\r\nmg a v f c t k O7\r\nmn\r\n", "ma n N0 J9 D5 v c O7\r\n",
		"md a I T30 O1\r\nmg a v R30 O2\r\n", "mg p N30 v O1\r\n", "incr a 1\r\ntouch a 5\r\ngat 5 a\r\ndelete a\r\n", "stats\r\nstats items\r\nflush_all 1\r\nverbosity 1\r\n",
		"set a 0 0 -1\r\n", "set a 0 0 4294967296\r\n", "set a 0 0 3\r\nabcdef\r\n", "set a 0 0 2 noreply\r\nab\r\nquit\r\n", "ms YWJj 1 b\r\nx\r\nmg YWJj b k v\r\n",
		"gets " + strings.Repeat("k ", 2000) + "\r\n", strings.Repeat("x", 3000), "\r\n\r\n", "mg a O\xff\r\n",
		request24(0x00, 0, 1, "a"), request24(0x01, 8, 1, "\x00\x00\x00\x05\x00\x00\x00\x3cavalue"), request24(0x05, 20, 1, strings.Repeat("\x00", 20)+"a"),
		request24(0x0d, 0, 1, "a") + request24(0x0a, 0, 0, ""), request24(0x21, 0, 5, "PLAIN\x00u\x00p"), request24(0x55, 1, 65535, "x"),
	} {
		f.Add([]byte(s))
	}
	s := memcachetest.NewMemServer()
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, in []byte) {
		if reply, err := talk(s, in); err != nil {
			t.Fatalf("%q: %v after %q, want the server to answer and close", in, err, reply)
		}
		if reply, err := talk(s, []byte("version\r\n")); err != nil || !strings.HasPrefix(reply, "VERSION ") {
			t.Fatalf("after %q another client gets %q, %v", in, reply, err)
		}
	})
}

// request24 is a binary request.
func request24(opcode, extras byte, key uint16, body string) string {
	p := []byte(packet(opcode, 0, extras, key, body))
	p[0], p[23] = 0x80, 0
	return string(p)
}

// talk sends bytes, hangs up, and returns all that the server answers until it
// hangs up, too. That it does not take everything is its right.
func talk(s *memcachetest.Server, in []byte) (string, error) {
	nc, err := s.DialContext(context.Background(), "", "")
	if err != nil {
		return "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	sent := make(chan struct{})
	// Ends when the server has taken or refused the bytes, at the latest at the
	// deadline; talk waits for it.
	go func() {
		defer close(sent)
		nc.Write(in)
		nc.(interface{ CloseWrite() error }).CloseWrite()
	}()
	reply, err := io.ReadAll(nc)
	<-sent
	var refused *net.OpError
	if errors.As(err, &refused) && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // reset
	}
	return string(reply), err
}
