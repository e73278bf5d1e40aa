package memcachetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what kind of server New starts. Its zero value is what NewServer
// starts.
type Config struct {
	// Addr is where it listens: "host:port", or the path of a unix socket, which
	// begins with a slash. "" means a free port on 127.0.0.1, or a name of its
	// own on Network.
	Addr string

	// Network is the network in memory that the server joins; nil means the
	// operating system's.
	Network *Network

	// MaxItemSize is the largest item in bytes, key, value and some 60 bytes of
	// memcached's own together, as with memcached's -I; 0 means 1 MiB.
	MaxItemSize int

	// MaxMemory bounds all items together, in bytes, as with memcached's -m;
	// beyond it those that were not used for longest go. 0 means 64 MiB.
	MaxMemory int

	// Username and Password, if set, must be told before anything else: by a
	// `set` of "username password" in ASCII, as with memcached's -Y, or by SASL
	// PLAIN in the binary protocol, as with -S.
	Username, Password string

	// TLS, if set, is spoken on every connection.
	TLS *tls.Config
}

const (
	defaultMaxItemSize = 1 << 20
	defaultMaxMemory   = 64 << 20
	rebindTimeout      = 2 * time.Second      // how long a busy address is tried
	retryInterval      = 5 * time.Millisecond // between two tries of that, and after a failed accept
)

// Server is a memcached in this process. All methods may be called at any
// time, from any goroutine.
type Server struct {
	// Immutable.
	cfg   Config
	addr  string
	store *store
	start time.Time

	health  atomic.Pointer[health]
	traffic traffic
	running sync.WaitGroup // the goroutines of listener and connections

	control sync.Mutex // held by SetFault and Close from beginning to end; before mu

	mu       sync.Mutex   // guards what follows
	closed   bool         // written with control held as well
	listener net.Listener // nil while refusing
	conns    map[*conn]struct{}
}

// NewServer starts a server on 127.0.0.1 and a free port. It panics if there is
// none, as httptest.NewServer does; New returns an error instead. The caller
// must call Close.
func NewServer() *Server {
	s, err := New(Config{})
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts a server at addr, "host:port" or the path of a unix socket: the
// address of a server that was closed, say, to come back as the same node,
// empty. An address in use is tried for two seconds.
func Start(addr string) (*Server, error) {
	return New(Config{Addr: addr})
}

// New starts a server. It fails if it cannot listen at cfg.Addr for two seconds.
func New(cfg Config) (*Server, error) {
	if cfg.MaxItemSize < 0 || cfg.MaxMemory < 0 {
		return nil, errors.New("memcachetest: MaxItemSize and MaxMemory must not be negative; 0 means the default")
	}
	if cfg.MaxItemSize == 0 {
		cfg.MaxItemSize = defaultMaxItemSize
	}
	if cfg.MaxMemory == 0 {
		cfg.MaxMemory = defaultMaxMemory
	}
	s := &Server{
		cfg:   cfg,
		addr:  cfg.Addr,
		store: newStore(cfg.MaxItemSize, cfg.MaxMemory),
		start: time.Now(),
		conns: make(map[*conn]struct{}),
	}
	s.health.Store(&health{over: make(chan struct{})})
	if err := s.listen(); err != nil {
		return nil, err
	}
	return s, nil
}

// Addr returns the address where the server listens, in the form that
// Config.Addr has. It stays the same after Close.
func (s *Server) Addr() string { return s.addr }

// DialContext connects to this server, whatever network and addr say. It fits
// memcache.Config.DialContext, and is the way to a server on a Network.
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if s.cfg.Network != nil {
		return s.cfg.Network.DialContext(ctx, "tcp", s.addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, networkOf(s.addr), s.addr)
}

func networkOf(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// Close ends the server: it closes the listener and all connections and returns
// when their goroutines are gone. Clients see what they see when a memcached is
// killed. Close may be called again.
func (s *Server) Close() {
	s.control.Lock()
	defer s.control.Unlock()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.hangUp()
	s.running.Wait()
}

// hangUp closes the listener and all connections.
func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	for c := range s.conns {
		c.hangUp()
	}
}

// listen opens the listener, and learns the address if it was left open.
func (s *Server) listen() error {
	l, err := s.bind()
	for end := time.Now().Add(rebindTimeout); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); l, err = s.bind() {
		time.Sleep(retryInterval)
	}
	if err != nil {
		return fmt.Errorf("memcachetest: %w: choose another address, or none for a free one", err)
	}
	if s.addr == "" || strings.HasSuffix(s.addr, ":0") {
		s.addr = l.Addr().String() // the system chose the port: once, for all times
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
	s.running.Add(1)
	go s.accept(l) // ends when l is closed, by hangUp
	return nil
}

func (s *Server) bind() (net.Listener, error) {
	switch {
	case s.cfg.Network != nil:
		return s.cfg.Network.listen(s.addr)
	case s.addr == "":
		return net.Listen("tcp", "127.0.0.1:0")
	}
	return net.Listen(networkOf(s.addr), s.addr)
}

// accept serves what l accepts until l is closed.
func (s *Server) accept(l net.Listener) {
	defer s.running.Done()
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(retryInterval) // out of file descriptors, say: some may come free
			continue
		}
		s.serve(nc)
	}
}

// serve starts the goroutine of a connection, unless the server is gone.
func (s *Server) serve(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		c.hangUp()
		return
	}
	s.conns[c] = struct{}{}
	s.traffic.accepted.Add(1)
	s.running.Add(1)
	// Ends when the connection fails or is closed, by the client or by hangUp.
	go func() {
		defer s.running.Done()
		c.serve()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
}
