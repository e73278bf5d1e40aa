package node

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a server that answers lines as a test wants it to.
type script struct {
	net.Listener
	answer func(line string) string // "": nothing; "close": ends the connection

	mu    sync.Mutex // guards the following
	lines []string
	conns []net.Conn
}

func newScript(t *testing.T, answer func(line string) string) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{Listener: l, answer: answer}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		s.hangUp()
		wg.Wait()
	})
	// Ends when the listener is closed; the connections' end by hangUp.
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, nc)
			s.mu.Unlock()
			wg.Go(func() { s.serve(nc) })
		}
	})
	return s
}

func (s *script) serve(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		reply := s.answer(line)
		if reply == "close" {
			return
		}
		if _, err := nc.Write([]byte(reply)); err != nil {
			return
		}
	}
}

// hangUp closes all connections.
func (s *script) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, nc := range s.conns {
		nc.Close()
	}
	s.conns = nil
}

// seen returns the lines that came.
func (s *script) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "|")
}

// config is one for a Node at addr.
func config(addr string) Config {
	return Config{
		ID: "n1", Addr: addr, Number: 7, Conns: 2, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second,
		MaxValue: 1 << 20, DialContext: new(net.Dialer).DialContext,
	}
}

func newNode(t *testing.T, cfg Config) *Node {
	n := New(cfg)
	t.Cleanup(n.Close)
	return n
}

// eventually polls ok for at most 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

var ctx = context.Background()
