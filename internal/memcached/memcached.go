// Package memcached starts real memcached servers, as child processes on the
// loopback interface, for tests and benchmarks.
package memcached

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startTimeout = 10 * time.Second     // until a child answers the phone
	pollInterval = 2 * time.Millisecond // between two looks
)

var errNotInstalled = errors.New("memcached is not installed: apt-get install memcached, or put one into PATH")

// Server is a memcached child process. Its methods may be called from several
// goroutines.
type Server struct {
	// Immutable.
	binary  string
	args    []string // without the port
	dir     string   // holds the port file
	network string   // of addr: "tcp" or "unix"

	mu   sync.Mutex // guards what follows, and is held while the child is started or ended
	addr string
	cmd  *exec.Cmd // nil after Close
	done chan struct{}
	log  *bytes.Buffer // the child's stderr; read only after done is closed
}

// Start starts a memcached with args added to `-l 127.0.0.1 -p -1 -U 0` and ends
// it when the test or benchmark is over. Args may hold another -l, or -s for a
// unix socket. Without a memcached in PATH the test is skipped; it fails if the
// environment says CI=true, where everything must run.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := Run(args...)
	if errors.Is(err, errNotInstalled) {
		skip(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// StartVersion is Start for tests of what one version of memcached does: others
// count as missing.
func StartVersion(t testing.TB, version string, args ...string) *Server {
	t.Helper()
	s := Start(t, args...)
	out, err := exec.Command(s.binary, "-V").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "memcached "+version {
		skip(t, fmt.Errorf("this is about memcached %s; here is %s (%v)", version, got, err))
	}
	return s
}

// skip skips a test for want of a server; in CI there is no such excuse.
func skip(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// Run is Start for programs that are no tests. The caller must call Close.
func Run(args ...string) (*Server, error) {
	binary, err := exec.LookPath("memcached")
	if err != nil {
		return nil, errNotInstalled
	}
	dir, err := os.MkdirTemp("", "memcached")
	if err != nil {
		return nil, fmt.Errorf("memcached: %w", err)
	}
	s := &Server{binary: binary, dir: dir, network: "tcp"}
	if os.Geteuid() == 0 {
		s.args = append(s.args, "-u", "root") // it refuses to run as root unasked
	}
	if path := option(args, "-s"); path != "" {
		s.network, s.addr = "unix", path
	} else if option(args, "-l") == "" {
		s.args = append(s.args, "-l", "127.0.0.1")
	}
	s.args = append(s.args, args...)
	if err := s.start("-1"); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// option returns the word after name in args, or "".
func option(args []string, name string) string {
	if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// Addr returns the server's "host:port", or the path of its unix socket. It
// stays the same over Kill and Restart.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Kill ends the server with SIGKILL and returns when it is gone: connections
// are reset or closed by the kernel, new ones are refused.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

// Stop freezes the server with SIGSTOP: the kernel still accepts connections
// and bytes, nobody answers them.
func (s *Server) Stop() {
	s.signal(freeze)
	// The signal is delivered to one thread after the other; those that it has not
	// reached yet go on serving.
	for end := time.Now().Add(startTimeout); !s.isFrozen() && time.Now().Before(end); {
		time.Sleep(pollInterval)
	}
}

// isFrozen tells whether all threads stand still, or are gone, as proc(5) has it;
// where there is none it takes that for granted.
func (s *Server) isFrozen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return true
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid)) // the pattern is well-formed
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			continue // it is gone
		}
		_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		if state != "" && !strings.Contains("TtZX", state[:1]) {
			return false
		}
	}
	return true
}

// Continue ends Stop. Commands that came meanwhile are executed now.
func (s *Server) Continue() { s.signal(thaw) }

// Restart starts the server again, empty and at the same address, after
// killing it if it still runs.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("memcached: Restart after Close")
	}
	s.kill()
	if s.network == "unix" {
		return s.start("")
	}
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	// Somebody's outgoing connection may have been given the port meanwhile.
	for end := time.Now().Add(startTimeout); ; time.Sleep(pollInterval) {
		if err = s.start(port); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Close kills the server and removes its files. It may be called again.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	s.kill()
	s.cmd = nil
	os.RemoveAll(s.dir)
}

func (s *Server) signal(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		s.cmd.Process.Signal(sig) // fails only if the child is gone
	}
}

// kill is called with mu held.
func (s *Server) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill() // fails only if the child is gone
	<-s.done
}

// start starts the child with TCP port port ("-1": any) and waits until it
// accepts connections. It is called with mu held, or before s is shared.
func (s *Server) start(port string) error {
	portFile := filepath.Join(s.dir, "port")
	os.Remove(portFile) // of the child before
	args := s.args
	if s.network == "tcp" {
		args = append(slices.Clone(args), "-p", port, "-U", "0")
	}
	log := new(bytes.Buffer)
	cmd := exec.Command(s.binary, args...)
	cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+portFile)
	cmd.Stderr = log
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	done := make(chan struct{})
	s.cmd, s.done, s.log = cmd, done, log
	// Ends with the child, which Kill, Restart and Close end.
	go func() {
		cmd.Wait() // the error is "signal: killed", or stderr tells more
		close(done)
	}()
	if err := s.awaitReady(portFile); err != nil {
		s.kill()
		return err
	}
	return nil
}

// awaitReady returns when the child accepts connections; it learns the port.
func (s *Server) awaitReady(portFile string) error {
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(pollInterval) {
		select {
		case <-s.done:
			return fmt.Errorf("memcached %s exited: %s", strings.Join(s.args, " "), bytes.TrimSpace(s.log.Bytes()))
		default:
		}
		addr := s.addr
		if s.network == "tcp" {
			// Written under another name and renamed: it is there whole or not.
			port := parsePort(portFile)
			if port == 0 {
				continue
			}
			addr = net.JoinHostPort(option(s.args, "-l"), strconv.Itoa(port))
		}
		if nc, err := net.DialTimeout(s.network, addr, time.Second); err == nil {
			nc.Close()
			s.addr = addr
			return nil
		}
	}
	return fmt.Errorf("memcached %s: not ready after %v", strings.Join(s.args, " "), startTimeout)
}

// parsePort reads the first "TCP INET: 12345" of a port file; 0 if there is none.
func parsePort(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "TCP INET"); ok {
			port, _ := strconv.Atoi(strings.TrimSpace(rest[strings.IndexByte(rest, ':')+1:]))
			return port
		}
	}
	return 0
}
