package memcache_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// start starts a memcachetest server that lives as long as the test.
func start(t testing.TB, cfg memcachetest.Config) *memcachetest.Server {
	t.Helper()
	s, err := memcachetest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestAuth(t *testing.T) {
	leaktest.Check(t)
	users := filepath.Join(t.TempDir(), "users")
	must(t, os.WriteFile(users, []byte("alice:secret\n"), 0o600))
	servers := []struct {
		name, reason string
		start        func(t *testing.T) string
		protected    bool
		protocols    []memcache.Protocol
	}{
		{"memcachetest", "ASCII and SASL", func(t *testing.T) string {
			return start(t, memcachetest.Config{Username: "alice", Password: "secret"}).Addr()
		}, true, protocols},
		{"memcached -Y", "ASCII as it is in reality", func(t *testing.T) string {
			return memcached.Start(t, "-Y", users).Addr()
		}, true, protocols[:3]},
		{"memcached, open", "credentials must not be stored where nobody asks for them", func(t *testing.T) string {
			return memcached.Start(t).Addr()
		}, false, protocols[:3]},
	}
	credentials := []struct{ name, user, password string }{
		{"right", "alice", "secret"}, {"wrong", "alice", "guess"}, {"none", "", ""},
	}
	for _, s := range servers {
		addr := s.start(t)
		for _, p := range s.protocols {
			for _, cred := range credentials {
				t.Run(s.name+"/"+protocolName(p)+"/"+cred.name, func(t *testing.T) {
					c := newClient(t, memcache.Config{Nodes: nodes(addr), Protocol: p, Username: cred.user, Password: cred.password, Timeout: 10 * time.Second})
					err := c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")})
					if s.protected && cred.name != "right" {
						if !errors.Is(err, memcache.ErrAuth) {
							t.Errorf("got %v, want ErrAuth", err)
						}
						return
					}
					must(t, err)
					if _, err := c.Get(ctx, "key"); err != nil {
						t.Error(err)
					}
					if item, err := c.Get(ctx, "auth"); err != memcache.ErrMiss {
						t.Errorf("the credentials lie in the cache: %q, %v", item.Value, err)
					}
				})
			}
		}
	}
}

// certificate makes a certificate for 127.0.0.1 and the pool that vouches for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLS(t *testing.T) {
	leaktest.Check(t)
	cert, pool := certificate(t)
	servers := map[string]string{
		"memcachetest": start(t, memcachetest.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}).Addr(),
		"memcached":    startRealTLS(t, cert),
	}
	for name, addr := range servers {
		for _, p := range protocols {
			t.Run(name+"/"+protocolName(p), func(t *testing.T) { testTLS(t, addr, p, pool) })
		}
	}
}

func testTLS(t *testing.T, addr string, p memcache.Protocol, pool *x509.CertPool) {
	c := newClient(t, memcache.Config{Nodes: nodes(addr), Protocol: p, TLS: &tls.Config{RootCAs: pool}, Timeout: 10 * time.Second})
	items, keys := batchOf(200, 20_000)
	must(t, c.SetMulti(ctx, items))
	found, err := c.GetMulti(ctx, keys)
	must(t, err)
	checkFound(t, found, items)

	strict := newClient(t, memcache.Config{Nodes: nodes(addr), Protocol: p, TLS: &tls.Config{}, Timeout: 10 * time.Second})
	var unknown x509.UnknownAuthorityError
	if _, err := strict.Get(ctx, "key"); !errors.As(err, &unknown) || !errors.Is(err, memcache.ErrNodeDown) {
		t.Errorf("a certificate that nobody vouches for: got %v, want an UnknownAuthorityError", err)
	}
	other := newClient(t, memcache.Config{Nodes: nodes(addr), Protocol: p, TLS: &tls.Config{RootCAs: pool, ServerName: "cache.example"}, Timeout: 10 * time.Second})
	var name x509.HostnameError
	if _, err := other.Get(ctx, "key"); !errors.As(err, &name) {
		t.Errorf("the certificate of another host: got %v, want a HostnameError", err)
	}
}

// startRealTLS starts a memcached that speaks TLS, and returns its address.
func startRealTLS(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, err)
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return memcached.Start(t, "-Z", "-o", "ssl_chain_cert="+filepath.Join(dir, "cert")+",ssl_key="+filepath.Join(dir, "key")).Addr()
}

// tlsServer starts a server that shakes hands, and then does what serve says. It
// lives until the test is over.
func tlsServer(t *testing.T, serve func(r *bufio.Reader, nc net.Conn)) (addr string, pool *x509.CertPool) {
	t.Helper()
	cert, pool := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	must(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() { // ends with the listener; the others when serve does
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				r := bufio.NewReader(nc)
				r.ReadString('\n')
				io.WriteString(nc, "VERSION 1.6.18\r\n")
				serve(r, nc)
			})
		}
	})
	return l.Addr().String(), pool
}

// TestTLSGoodbye: a server that ends idle connections says goodbye first. That is
// noticed before a store is risked on them.
func TestTLSGoodbye(t *testing.T) {
	leaktest.Check(t)
	hangUp := make(chan struct{})
	addr, pool := tlsServer(t, func(r *bufio.Reader, nc net.Conn) {
		line, _ := r.ReadString('\n')
		r.ReadString('\n')
		io.WriteString(nc, "HD"+line[strings.LastIndex(line, " O"):])
		<-hangUp
	})
	c := newClient(t, memcache.Config{Nodes: nodes(addr), TLS: &tls.Config{RootCAs: pool}, Timeout: 10 * time.Second})
	for range 3 {
		must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}))
		hangUp <- struct{}{}
		idle(t)
	}
	if n := c.Stats().Nodes[0]; n.Lost != 0 || n.Dials != 3 {
		t.Errorf("got %+v, want nothing lost and three connections", n)
	}
}

// TestTLSStuck: a caller whose value the server does not read leaves at once,
// and Close does not take its leave from such a server for long.
func TestTLSStuck(t *testing.T) {
	leaktest.Check(t)
	over := make(chan struct{})
	addr, pool := tlsServer(t, func(r *bufio.Reader, nc net.Conn) {
		r.ReadByte() // the beginning of the request, and no more
		<-over
	})
	defer close(over)
	c, err := memcache.New(memcache.Config{
		Nodes: nodes(addr), TLS: &tls.Config{RootCAs: pool}, Timeout: 10 * time.Second, MaxItemSize: 64 << 20,
	})
	must(t, err)
	hasty, cancel := context.WithCancel(ctx)
	left := make(chan error)
	go func() { left <- c.Set(hasty, &memcache.Item{Key: "key", Value: make([]byte, 32<<20)}) }() // ends with hasty
	eventually(t, "the set is in flight", func() bool { return c.Stats().Nodes[0].InFlight == 1 })
	idle(t) // by then the buffers are full
	begin := time.Now()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	must(t, c.Close())
	if d := time.Since(begin); d > soon {
		t.Errorf("leaving and closing took %v", d)
	}
}

func TestAddresses(t *testing.T) {
	leaktest.Check(t)
	socket := filepath.Join(t.TempDir(), "mc.sock")
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", socket} {
		t.Run(addr, func(t *testing.T) {
			s, err := memcachetest.New(memcachetest.Config{Addr: addr})
			if err != nil && addr == "[::1]:0" {
				t.Skipf("no IPv6: %v", err)
			}
			must(t, err)
			defer s.Close()
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Timeout: 10 * time.Second})
			must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}))
			if item, err := c.Get(ctx, "key"); err != nil || string(item.Value) != "one" {
				t.Errorf("got %q, %v, want one", item.Value, err)
			}
		})
	}
}

// TestNamesAtEachDial: an address that moves is followed.
func TestNamesAtEachDial(t *testing.T) {
	leaktest.Check(t)
	first, second := newServer(t), newServer(t)
	var addr atomic.Value // what the name stands for
	addr.Store(first.Addr())
	c := newClient(t, memcache.Config{
		Nodes: "n1:cache.example:11211", Timeout: 10 * time.Second,
		DialContext: func(ctx context.Context, network, name string) (net.Conn, error) {
			if network != "tcp" || name != "cache.example:11211" {
				t.Errorf("dialled %s %s, want tcp and the name", network, name)
			}
			return new(net.Dialer).DialContext(ctx, network, addr.Load().(string))
		},
	})
	must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}))
	addr.Store(second.Addr())
	first.Close()
	eventually(t, "the second server is used", func() bool { return getError(c, "key") == memcache.ErrMiss })
}

// TestDialHonoursContext: a caller that waits for a connection leaves when its
// ctx ends, and the dial goes on for others.
func TestDialHonoursContext(t *testing.T) {
	leaktest.Check(t)
	s := newServer(t)
	var dials atomic.Int64
	proceed := make(chan struct{})
	c := newClient(t, memcache.Config{
		Nodes: nodes(s.Addr()), Timeout: 10 * time.Second, DialTimeout: 10 * time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			select {
			case <-proceed:
			case <-ctx.Done():
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	})
	cancelled, cancel := context.WithCancel(ctx)
	left := make(chan error)
	go func() { _, err := c.Get(cancelled, "key"); left <- err }() // ends with cancelled
	stayed := make(chan error)
	go func() { _, err := c.Get(ctx, "key"); stayed <- err }() // ends with the dial
	eventually(t, "a dial is under way", func() bool { return dials.Load() == 1 })
	cancel()
	begin := time.Now()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if d := time.Since(begin); d > soon {
		t.Errorf("took %v to leave", d)
	}
	close(proceed)
	if err := <-stayed; err != memcache.ErrMiss {
		t.Errorf("the one that stayed: got %v, want ErrMiss", err)
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d dials, want 1", n)
	}
}

// TestDialTimeout: the wait for a connection counts towards Timeout.
func TestDialTimeout(t *testing.T) {
	leaktest.Check(t)
	blackHole := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c := newClient(t, memcache.Config{Nodes: "127.0.0.1:11211", Timeout: 50 * time.Millisecond, DialTimeout: 5 * time.Second, DialContext: blackHole})
	begin := time.Now()
	if _, err := c.Get(ctx, "key"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if d := time.Since(begin); d > 50*time.Millisecond+soon {
		t.Errorf("took %v, want 50 ms", d)
	}
	must(t, c.Close()) // does not wait for the dial
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("Close came back after %v", d)
	}
}
