package memcache_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
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
	s := start(t, memcachetest.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, TLS: &tls.Config{RootCAs: pool}, Timeout: 10 * time.Second})
			items, keys := batchOf(200, 20_000)
			must(t, c.SetMulti(ctx, items))
			found, err := c.GetMulti(ctx, keys)
			must(t, err)
			checkFound(t, found, items)

			strict := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, TLS: &tls.Config{}, Timeout: 10 * time.Second})
			var unknown x509.UnknownAuthorityError
			if _, err := strict.Get(ctx, "key"); !errors.As(err, &unknown) || !errors.Is(err, memcache.ErrNodeDown) {
				t.Errorf("a certificate that nobody vouches for: got %v, want an UnknownAuthorityError", err)
			}
			other := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, TLS: &tls.Config{RootCAs: pool, ServerName: "cache.example"}, Timeout: 10 * time.Second})
			var name x509.HostnameError
			if _, err := other.Get(ctx, "key"); !errors.As(err, &name) {
				t.Errorf("the certificate of another host: got %v, want a HostnameError", err)
			}
		})
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
