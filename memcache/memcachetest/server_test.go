package memcachetest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
)

// client is the other end of a connection, for tests.
type client struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func dial(t *testing.T, s *Server) *client {
	t.Helper()
	nc, err := s.DialContext(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, nc)
}

func newClient(t *testing.T, nc net.Conn) *client {
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{t, nc, bufio.NewReader(nc)}
}

func dialTCP(t *testing.T, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, nc)
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.t.Fatalf("send %q: %v", s, err)
	}
}

// want sends text and compares what comes back.
func (c *client) want(send, want string) {
	c.t.Helper()
	c.send(send)
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if string(got[:n]) != want {
		c.t.Fatalf("after %q: got %q, %v; want %q", send, got[:n], err, want)
	}
}

// wantEnd reads to the end of the connection and compares.
func (c *client) wantEnd(want string, wantErr error) {
	c.t.Helper()
	got, err := io.ReadAll(c.r)
	if string(got) != want || !errors.Is(err, wantErr) {
		c.t.Fatalf("got %q, %v; want %q, %v", got, err, want, wantErr)
	}
}

// start starts a server that ends with the test.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	leaktest.Check(t)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// forget makes a server as empty as a new one: its CAS numbers begin anew.
func forget(s *Server) {
	s.Flush()
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.lastCAS = 0
}

// servers are the ways to start a server.
var servers = []struct {
	name  string
	start func() *Server
}{
	{"tcp", NewServer},
	{"memory", NewMemServer},
}

func onEach(t *testing.T, test func(t *testing.T, s *Server)) {
	for _, tt := range servers {
		t.Run(tt.name, func(t *testing.T) {
			leaktest.Check(t)
			s := tt.start()
			t.Cleanup(s.Close)
			test(t, s)
		})
	}
}

func TestFirstLight(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		c := dial(t, s)
		c.want("set k 5 0 3\r\nabc\r\nget k\r\n", "STORED\r\nVALUE k 5 3\r\nabc\r\nEND\r\n")
		c.want("mg k v f c O1\r\nmn\r\n", "VA 3 f5 c1 O1\r\nabc\r\nMN\r\n")
		c.want("ms n 2 T0\r\n10\r\nma n v\r\n", "HD\r\nVA 2\r\n11\r\n")
	})
}

func TestCloseAndStart(t *testing.T) {
	leaktest.Check(t)
	s := NewServer()
	c := dial(t, s)
	c.want("set k 0 0 1\r\nv\r\n", "STORED\r\n")
	s.Close()
	s.Close()
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("a connection survived Close")
	}
	if _, err := net.Dial("tcp", s.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after Close: got %v, want ECONNREFUSED", err)
	}
	if it, ok := s.Get("k"); string(it.Value) != "v" || !ok || s.Len() != 1 {
		t.Errorf("the closed server tells of %q, %v and %d items, want what it held", it.Value, ok, s.Len())
	}
	again, err := Start(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	dial(t, again).want("get k\r\n", "END\r\n")
}

func TestRefuse(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		c := dial(t, s)
		c.want("set k 0 0 1\r\nv\r\n", "STORED\r\n")
		s.SetFault(Fault{Refuse: true})
		if _, err := c.r.ReadByte(); err == nil {
			t.Error("a connection survived")
		}
		if _, err := s.DialContext(context.Background(), "", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: got %v, want ECONNREFUSED", err)
		}
		s.SetFault(Fault{})
		dial(t, s).want("get k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n")
	})
}

func TestHang(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		old := dial(t, s)
		old.want("version\r\n", "VERSION 1.6.18\r\n")
		s.SetFault(Fault{Hang: true})
		fresh := dial(t, s)
		for _, c := range []*client{old, fresh} {
			c.send("incr n 1\r\nversion\r\n")
			c.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if b, err := c.r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %q, %v; want a timeout", b, err)
			}
			c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		}
		s.SetFault(Fault{})
		old.want("", "NOT_FOUND\r\nVERSION 1.6.18\r\n")
		fresh.want("", "NOT_FOUND\r\nVERSION 1.6.18\r\n")
	})
}

// In a bubble time stands still while anybody works, and jumps when all wait.
func TestExpiryInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemServer()
		defer s.Close()
		c := dial(t, s)
		c.nc.SetDeadline(time.Time{})
		c.want("set k 0 100 1\r\nv\r\n", "STORED\r\n")
		time.Sleep(100*time.Second - 1*time.Nanosecond)
		c.want("mg k t\r\n", "HD t1\r\n")
		time.Sleep(1 * time.Nanosecond)
		c.want("get k\r\n", "END\r\n")

		s.SetFault(Fault{Hang: true})
		c.nc.SetReadDeadline(time.Now().Add(time.Hour))
		c.send("version\r\n")
		if _, err := c.r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a timeout", err)
		}
		c.nc.Close()
	})
}

// A line without end is not waited for, but a get may be long.
func TestLongLines(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		c := dial(t, s)
		c.want("get "+strings.Repeat("k ", 20_000)+"\r\n", "END\r\n")
		c.send(strings.Repeat("x", 3000))
		c.wantEnd("", nil)
	})
}
