package memcache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// soon bounds what must not wait for anything; it is generous to a busy machine.
const soon = time.Second

// newServer starts a memcachetest server that lives as long as the test.
func newServer(t testing.TB) *memcachetest.Server {
	s := memcachetest.NewServer()
	t.Cleanup(s.Close)
	return s
}

func TestNodeRefuses(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			s := newServer(t)
			var log syncBuffer
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}))

			s.SetFault(memcachetest.Fault{Refuse: true})
			_, err := c.Get(ctx, "key")
			var where *memcache.OpError
			if !errors.Is(err, memcache.ErrNodeDown) || !errors.As(err, &where) || where.Op != "Get" || where.Node != "n1" {
				t.Fatalf("got %v, want ErrNodeDown of Get at n1", err)
			}
			start := time.Now()
			for range 1000 {
				if err := c.Set(ctx, &memcache.Item{Key: "key"}); !errors.Is(err, memcache.ErrNodeDown) {
					t.Fatalf("got %v, want ErrNodeDown", err)
				}
			}
			if d := time.Since(start); d > soon {
				t.Errorf("1,000 operations took %v: they must fail at once", d)
			}
			if n := c.Stats().Nodes[0]; n.Up || n.Cause == nil || n.DownSince.IsZero() || n.NotSent != 1001 {
				t.Errorf("got %+v, want a node that is down, and 1001 not sent", n)
			}

			s.SetFault(memcachetest.Fault{})
			eventually(t, "the node is used again", func() bool { _, err := c.Get(ctx, "key"); return err == nil })
			if n := c.Stats().Nodes[0]; !n.Up || n.Conns != 1 || n.Hits != 1 {
				t.Errorf("got %+v, want a node that is up, one connection, one hit", n)
			}
			if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "is down") || !strings.Contains(got, "is up") {
				t.Errorf("the log is to say down and up, once each:\n%s", got)
			}
		})
	}
}

func TestNodeHangs(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			const timeout = 50 * time.Millisecond
			s := memcached.Start(t)
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, Timeout: timeout, DialTimeout: timeout})
			eventually(t, "the machine is fast enough", func() bool {
				return c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}) == nil
			})

			s.Stop()
			defer s.Continue()
			var start time.Time
			var err error
			eventually(t, "the server is frozen", func() bool {
				start = time.Now()
				_, err = c.Get(ctx, "key")
				return err != nil
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want DeadlineExceeded", err)
			}
			if d := time.Since(start); d < timeout/2 || d > timeout+soon {
				t.Errorf("took %v, want %v: reads are not repeated after a timeout", d, timeout)
			}
			eventually(t, "the node is down", func() bool {
				_, err := c.Get(ctx, "key")
				return errors.Is(err, memcache.ErrNodeDown)
			})
			start = time.Now()
			for range 100 {
				if _, err := c.Get(ctx, "key"); !errors.Is(err, memcache.ErrNodeDown) {
					t.Fatalf("got %v, want ErrNodeDown", err)
				}
			}
			if d := time.Since(start); d > soon {
				t.Errorf("100 operations took %v: they must fail at once", d)
			}
			s.Continue()
			eventually(t, "the node is used again", func() bool {
				item, err := c.Get(ctx, "key")
				return err == nil && string(item.Value) == "one"
			})
		})
	}
}

// TestDialGovernor lets 5,000 callers loose on a node that is down, and then on
// one that has come back.
//
// It is in a bubble: 5,000 callers that poll leave a slow machine no time for the
// connection that they wait for.
func TestDialGovernor(t *testing.T) { synctest.Test(t, testDialGovernor) }

func testDialGovernor(t *testing.T) {
	s := memcachetest.NewMemServer()
	defer s.Close()
	var dials, open atomic.Int64
	c, err := memcache.New(memcache.Config{
		Nodes: "n1:cache:11211", Timeout: 10 * time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			nc, err := s.DialContext(ctx, network, addr)
			if err == nil {
				open.Add(1)
			}
			return nc, err
		},
	})
	must(t, err)
	defer c.Close()
	must(t, c.Ping(ctx))
	s.SetFault(memcachetest.Fault{Refuse: true})
	for c.Ping(ctx) == nil {
	}
	dials.Store(0)
	open.Store(0)

	var wg sync.WaitGroup
	var back atomic.Int64
	begin := time.Now()
	for range 5000 {
		wg.Go(func() {
			for time.Since(begin) < 30*time.Second {
				if _, err := c.Get(ctx, "key"); err == memcache.ErrMiss {
					back.Add(1)
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	eventually(t, "probes have failed", func() bool { return dials.Load() >= 4 })
	s.SetFault(memcachetest.Fault{})
	wg.Wait()
	if back.Load() != 5000 {
		t.Errorf("%d of 5000 callers were served again", back.Load())
	}
	if n := open.Load(); n > memcache.DefaultConns {
		t.Errorf("%d connections, want %d at most", n, memcache.DefaultConns)
	}
	// 20 ms, doubled: ten probes are enough for 10 s at the very least.
	if n := dials.Load(); n > 12 {
		t.Errorf("%d dials: too many probes", n)
	}
}

// TestDeadIdleConnections: what happens to connections that nobody uses is
// nobody's error, and no miss.
func TestDeadIdleConnections(t *testing.T) {
	leaktest.Check(t)
	ends := []struct {
		name, reason string
		hangUp       func(w *wire)
	}{
		{"FIN", "a server's idle_timeout, or its restart", func(w *wire) { w.cut(fin) }},
		{"RST", "a firewall that has forgotten the connection", func(w *wire) { w.cut(rst) }},
		{"half-close", "a server that says no more, but reads", (*wire).halfClose},
	}
	for _, p := range protocols {
		server := startReal(t)
		for _, end := range ends {
			t.Run(protocolName(p)+"/"+end.name, func(t *testing.T) {
				w := newWire(t, server)
				c := newClient(t, memcache.Config{Nodes: nodes(w.addr()), Protocol: p, Timeout: 10 * time.Second})
				must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}))

				end.hangUp(w)
				if item, err := c.Get(ctx, "key"); err != nil || string(item.Value) != "one" {
					t.Errorf("Get: got %q, %v, want one: %s", item.Value, err, end.reason)
				}
				end.hangUp(w)
				if found, err := c.GetMulti(ctx, []string{"key"}); err != nil || len(found) != 1 {
					t.Errorf("GetMulti: got %v, %v, want one item: %s", found, err, end.reason)
				}
				end.hangUp(w)
				idle(t)
				must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("two")}))
				end.hangUp(w)
				idle(t)
				if n, err := c.GetAndTouch(ctx, "key", time.Hour); err != nil || string(n.Value) != "two" {
					t.Errorf("GetAndTouch: got %q, %v, want two: %s", n.Value, err, end.reason)
				}
				if n := c.Stats().Nodes[0]; n.Lost+n.Misses > 0 || !n.Up {
					t.Errorf("got %+v, want nothing lost, no miss, a node that is up", n)
				}
			})
		}
	}
}

// idle lets connections be idle for so long that they are looked at before they
// carry a write.
func idle(t *testing.T) {
	begin := time.Now()
	eventually(t, "100 ms are over", func() bool { return time.Since(begin) > 110*time.Millisecond })
}

// TestCASAcrossRestart: servers count from the start again, so that a number
// from before may by chance be that of another value.
func TestCASAcrossRestart(t *testing.T) {
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			s := memcached.Start(t)
			cfg := memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, Timeout: 10 * time.Second}
			c, other := newClient(t, cfg), newClient(t, cfg)
			must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("before")}))
			old, err := c.Get(ctx, "key")
			must(t, err)
			foreign, err := other.Get(ctx, "key")
			must(t, err)
			if err := c.CompareAndSwap(ctx, &foreign); err != memcache.ErrCASConflict {
				t.Errorf("CAS of another Client: got %v, want ErrCASConflict", err)
			}

			must(t, s.Restart())
			eventually(t, "the other has noticed", func() bool {
				return other.Set(ctx, &memcache.Item{Key: "key", Value: []byte("after")}) == nil
			})
			now, err := other.Get(ctx, "key")
			must(t, err)
			if now.CAS != old.CAS {
				t.Logf("the server does not repeat itself: %d, %d", old.CAS, now.CAS)
			}
			if _, err := c.Get(ctx, "key"); err != nil {
				t.Errorf("Get after the restart: %v", err)
			}
			item := old
			item.Value = []byte("overwritten")
			if err := c.CompareAndSwap(ctx, &item); err != memcache.ErrCASConflict {
				t.Errorf("CompareAndSwap: got %v, want ErrCASConflict", err)
			}
			want := memcache.ErrCASConflict
			if p == memcache.Classic {
				want = memcache.ErrUnsupported
			}
			if err := c.CompareAndDelete(ctx, &old); err != want {
				t.Errorf("CompareAndDelete: got %v, want %v", err, want)
			}
			got, err := c.Get(ctx, "key")
			must(t, err)
			if string(got.Value) != "after" {
				t.Errorf("got %q, want the other's value", got.Value)
			}
			must(t, c.CompareAndSwap(ctx, &got))
		})
	}
}

// TestFailoverNext: operations of a node that is down go to the next one, and
// come back with it.
func TestFailoverNext(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			a, b := newServer(t), newServer(t)
			c := newClient(t, memcache.Config{Nodes: nodes(a.Addr(), b.Addr()), Protocol: p, Failover: memcache.NextNode, Timeout: 10 * time.Second})
			items, keys := batchOf(100, 10)
			a.SetFault(memcachetest.Fault{Refuse: true})
			for _, item := range items[:50] {
				must(t, c.Set(ctx, item))
			}
			must(t, c.SetMulti(ctx, items[50:]))
			found, err := c.GetMulti(ctx, keys)
			must(t, err)
			checkFound(t, found, items)
			if _, err := c.On("n1").Get(ctx, "key"); !errors.Is(err, memcache.ErrNodeDown) {
				t.Errorf("a view: got %v, want ErrNodeDown", err)
			}

			b.SetFault(memcachetest.Fault{Refuse: true})
			if _, err := c.Get(ctx, keys[0]); !errors.Is(err, memcache.ErrNodeDown) {
				t.Errorf("all nodes down: got %v, want ErrNodeDown", err)
			}
			if err := c.SetMulti(ctx, items); !errors.Is(err, memcache.ErrNodeDown) {
				t.Errorf("all nodes down: got %v, want ErrNodeDown", err)
			}
			a.SetFault(memcachetest.Fault{})
			b.SetFault(memcachetest.Fault{})
			eventually(t, "both nodes are up", func() bool { return c.Ping(ctx) == nil })
			must(t, c.SetMulti(ctx, items))
			if n := c.Stats().Nodes[0]; n.Done == 0 {
				t.Error("n1 is up and has no part in it")
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
