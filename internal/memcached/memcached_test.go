package memcached

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ask sends a line and returns the first line of the answer.
func ask(t *testing.T, s *Server, line string) (string, error) {
	t.Helper()
	nc, err := net.DialTimeout(s.network, s.Addr(), time.Second)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Second))
	if _, err := nc.Write([]byte(line + "\r\n")); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(nc).ReadString('\n')
	return strings.TrimSpace(answer), err
}

func TestServer(t *testing.T) {
	tests := []struct {
		name, reason string
		args         []string
	}{
		{"tcp", "what nearly all tests use", nil},
		{"ipv6", "another -l replaces 127.0.0.1", []string{"-l", "::1"}},
		{"unix", "a socket has no port", []string{"-s", filepath.Join(t.TempDir(), "s")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Start(t, tt.args...)
			addr := s.Addr()
			if got, err := ask(t, s, "set k 0 0 1\r\nv"); got != "STORED" || err != nil {
				t.Fatalf("set: got %q, %v; want STORED (%s)", got, err, tt.reason)
			}
			s.Kill()
			if got, err := ask(t, s, "version"); err == nil {
				t.Fatalf("after Kill: got %q, want an error", got)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			if got := s.Addr(); got != addr {
				t.Errorf("address after Restart: got %s, want %s", got, addr)
			}
			if got, err := ask(t, s, "get k"); got != "END" || err != nil {
				t.Errorf("get after Restart: got %q, %v; want END", got, err)
			}
		})
	}
}

// A stopped server lets its clients wait and serves them when it goes on.
func TestStopContinue(t *testing.T) {
	s := Start(t)
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s.Stop()
	if _, err := nc.Write([]byte("version\r\n")); err != nil {
		t.Fatal(err)
	}
	nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("stopped: got %d bytes, %v; want a timeout", n, err)
	}
	s.Continue()
	nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		t.Fatalf("continued: %v", err)
	}
}

// Close ends the very process that was started, also a stopped one.
func TestClose(t *testing.T) {
	s := Start(t)
	pid := s.cmd.Process.Pid
	s.Stop()
	s.Close()
	s.Close()
	child, err := os.FindProcess(pid)
	if err == nil {
		err = child.Signal(syscall.Signal(0))
	}
	if !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("process %d after Close: got %v, want os.ErrProcessDone", pid, err)
	}
	if err := s.Restart(); err == nil {
		t.Error("Restart after Close: got no error")
	}
}

func TestStartVersion(t *testing.T) {
	Start(t) // skips without memcached
	t.Setenv("CI", "")
	t.Run("other", func(t *testing.T) {
		defer func() {
			if !t.Skipped() {
				t.Error("version 0.0 was not found missing")
			}
		}()
		StartVersion(t, "0.0")
	})
}

// A server that cannot start says why in its own words.
func TestRunError(t *testing.T) {
	Start(t) // skips without memcached
	s, err := Run("-I", "nonsense")
	if err == nil {
		s.Close()
		t.Fatal("got no error")
	}
	if !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %q, want the arguments in it", err)
	}
}
