package memcachetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestUnixSocket(t *testing.T) {
	s := start(t, Config{Addr: filepath.Join(t.TempDir(), "s")})
	dial(t, s).want("version\r\n", "VERSION 1.6.18\r\n")
	s.SetFault(Fault{Refuse: true})
	if _, err := net.Dial("unix", s.Addr()); err == nil {
		t.Error("dial while refusing: got no error")
	}
	s.SetFault(Fault{})
	dial(t, s).want("version\r\n", "VERSION 1.6.18\r\n")
}

func TestNewErrors(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"negative limit", Config{MaxItemSize: -1}, "negative"},
		{"no port", Config{Addr: "nonsense"}, "nonsense"},
		{"no folder", Config{Addr: "/nonsense/s"}, "nonsense"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(tt.cfg)
			if err == nil {
				s.Close()
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

// An address in use may come free: it is tried for a while.
func TestAddressInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Network: new(Network), Addr: "n1:11211"}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := New(cfg); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v, want EADDRINUSE", err)
		}
		if got := time.Since(begin); got < rebindTimeout {
			t.Errorf("gave up after %v, want %v", got, rebindTimeout)
		}
		time.AfterFunc(rebindTimeout/2, s.Close)
		again, err := New(cfg)
		if err != nil {
			t.Fatalf("the address came free, but: %v", err)
		}
		again.Close()
	})
}

// Several servers on one network are the nodes of one client.
func TestNetwork(t *testing.T) {
	var network Network
	for _, cfg := range []Config{{Network: &network}, {Network: &network}, {Network: &network, Addr: "n3:11211"}} {
		s := start(t, cfg)
		nc, err := network.DialContext(context.Background(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, nc)
		c.want(fmt.Sprintf("set addr 0 0 %d\r\n%s\r\n", len(s.Addr()), s.Addr()), "STORED\r\n")
		if it, _ := s.Get("addr"); string(it.Value) != s.Addr() {
			t.Errorf("server %s got the value %q", s.Addr(), it.Value)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := network.DialContext(ctx, "tcp", "n3:11211"); err == nil {
		t.Error("dial with a cancelled context: got no error")
	}
}

// The port of ":0" is kept: a server that comes back is the same node.
func TestChosenPortStays(t *testing.T) {
	s := start(t, Config{Addr: "127.0.0.1:0"})
	addr := s.Addr()
	for range 3 {
		s.SetFault(Fault{Refuse: true})
		s.SetFault(Fault{})
	}
	if s.Addr() != addr || strings.HasSuffix(addr, ":0") {
		t.Errorf("got %s, then %s; want one and the same port", addr, s.Addr())
	}
	dialTCP(t, addr).want("mn\r\n", "MN\r\n")
}
