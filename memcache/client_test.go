package memcache_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/ring"
)

func TestConfig(t *testing.T) {
	one, err := ring.New(ring.XXHash, ring.Node{Addr: "127.0.0.1:1"})
	must(t, err)
	tests := []struct {
		name string
		cfg  memcache.Config
		want []string // parts of the error; none: no error
	}{
		{"nodes", memcache.Config{Nodes: "n1:127.0.0.1:1"}, nil},
		{"ring", memcache.Config{Ring: one}, nil},
		{"nothing", memcache.Config{}, []string{"set Nodes"}},
		{"both", memcache.Config{Nodes: "127.0.0.1:1", Ring: one}, []string{"Nodes and Ring"}},
		{"bad nodes", memcache.Config{Nodes: "n1:n2"}, []string{"Config.Nodes", "n1:n2"}},
		{"password alone", memcache.Config{Ring: one, Password: "x"}, []string{"Username", "1 to 250 bytes"}},
		{"password with a line end", memcache.Config{Ring: one, Username: "a\r\nflush_all"}, []string{"Username", "control characters"}},
		{"too many connections", memcache.Config{Ring: one, Conns: 1025}, []string{"Conns is 1025", "up to 1024"}},
		{"too large items", memcache.Config{Ring: one, MaxItemSize: 1<<30 + 1}, []string{"MaxItemSize is 1073741825"}},
		{"every problem", memcache.Config{Protocol: 9, Failover: 9, Conns: -1}, []string{"set Nodes", "Protocol is 9", "Failover is 9", "negative"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := memcache.New(tt.cfg)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want an error with %q", err, part)
				}
			}
			if err == nil {
				must(t, c.Close())
			}
		})
	}
}

func TestClose(t *testing.T) {
	leaktest.Check(t)
	s := newServer(t)
	c := newClient(t, memcache.Config{Nodes: nodes(s.Addr())})
	view := c.On("n1")
	must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}))
	s.SetFault(memcachetest.Fault{Delay: 100 * time.Millisecond})
	underWay := make(chan error)
	go func() { _, err := c.Get(ctx, "key"); underWay <- err }() // ends with its answer
	eventually(t, "a call is in flight", func() bool { return c.Stats().Nodes[0].InFlight == 1 })
	closed := make(chan error)
	go func() { closed <- c.Close() }() // ends when the call has its answer
	if err := <-underWay; err != nil {
		t.Errorf("what is under way may end: got %v", err)
	}
	must(t, <-closed)
	must(t, c.Close())
	for name, err := range map[string]error{
		"Get": getError(c, "key"), "a view": getError(view, "key"), "Set": c.Set(ctx, &memcache.Item{Key: "key"}), "SetRing": c.SetRing(c.Ring()),
		"SetMulti": c.SetMulti(ctx, []*memcache.Item{{Key: "key"}}), "Ping": c.Ping(ctx),
	} {
		if !errors.Is(err, memcache.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	if n := s.Traffic().Open; n != 0 {
		eventually(t, "the server sees no connection", func() bool { return s.Traffic().Open == 0 })
	}
}

// TestCloseBounded: a server that does not answer holds Close up for Timeout.
func TestCloseBounded(t *testing.T) {
	leaktest.Check(t)
	s := newServer(t)
	c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Timeout: 100 * time.Millisecond})
	must(t, c.Ping(ctx))
	s.SetFault(memcachetest.Fault{Hang: true})
	underWay := make(chan error)
	go func() { _, err := c.Get(ctx, "key"); underWay <- err }() // ends with the connection
	eventually(t, "a call is in flight", func() bool { return c.Stats().Nodes[0].InFlight == 1 })
	begin := time.Now()
	must(t, c.Close())
	if d := time.Since(begin); d > 100*time.Millisecond+soon {
		t.Errorf("took %v, want 100 ms", d)
	}
	if err := <-underWay; err == nil {
		t.Error("the call has an answer that nobody gave")
	}
}

func TestOn(t *testing.T) {
	a, b := newServer(t), newServer(t)
	c := newClient(t, memcache.Config{Nodes: nodes(a.Addr(), b.Addr())})
	items, keys := batchOf(20, 10)
	must(t, c.On("n2").SetMulti(ctx, items))
	found, err := c.On("n2").GetMulti(ctx, keys)
	must(t, err)
	checkFound(t, found, items)
	if n := a.Traffic().Total(); n != 0 {
		t.Errorf("n1 got %d commands, want none", n)
	}
	versions, err := c.On("n2").Version(ctx)
	if err != nil || len(versions) != 1 || versions["n2"] == "" {
		t.Errorf("Version: got %v, %v, want that of n2", versions, err)
	}
	if s := c.On("n2").Stats().Nodes; len(s) != 1 || s[0].ID != "n2" {
		t.Errorf("Stats: got %v, want those of n2", s)
	}
	none := c.On("n3")
	for name, err := range map[string]error{
		"Get": getError(none, "key"), "Set": none.Set(ctx, items[0]), "Ping": none.Ping(ctx), "DeleteMulti": none.DeleteMulti(ctx, keys),
	} {
		if !errors.Is(err, memcache.ErrNoNodes) {
			t.Errorf("%s at an unknown node: got %v, want ErrNoNodes", name, err)
		}
	}
	three, err := c.Ring().With(ring.Node{ID: "n3", Addr: newServer(t).Addr()})
	must(t, err)
	must(t, c.SetRing(three))
	must(t, none.Set(ctx, items[0])) // not unknown any more
}

// TestSetRing swaps topologies while operations run: none of them fails.
func TestSetRing(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			var all []ring.Node
			for _, id := range []string{"n1", "n2", "n3"} {
				all = append(all, ring.Node{ID: id, Addr: newServer(t).Addr()})
			}
			whole, err := ring.New(ring.XXHash, all...)
			must(t, err)
			c := newClient(t, memcache.Config{Ring: whole, Protocol: p, Timeout: 10 * time.Second})
			items, keys := batchOf(50, 100)
			var stop atomic.Bool
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for n := i; !stop.Load(); n++ {
						item := *items[n%len(items)]
						if err := c.Set(ctx, &item); err != nil {
							t.Errorf("Set: %v", err)
							return
						}
						if err := getError(c, item.Key); err != nil && err != memcache.ErrMiss {
							t.Errorf("Get: %v", err)
							return
						}
						if _, err := c.GetMulti(ctx, keys); err != nil {
							t.Errorf("GetMulti: %v", err)
							return
						}
					}
				})
			}
			for i := range 60 {
				next := whole
				if i%2 == 0 {
					next, err = whole.Without(all[i/2%3].ID)
					must(t, err)
				}
				must(t, c.SetRing(next))
			}
			stop.Store(true)
			wg.Wait()
			if c.SetRing(nil) == nil {
				t.Error("a nil ring is accepted")
			}
		})
	}
}

// TestSetRingKeeps: nodes that stay keep their connections.
func TestSetRingKeeps(t *testing.T) {
	a, b := newServer(t), newServer(t)
	c := newClient(t, memcache.Config{Nodes: nodes(a.Addr(), b.Addr())})
	must(t, c.Ping(ctx))
	smaller, err := c.Ring().Without("n2")
	must(t, err)
	must(t, c.SetRing(smaller))
	must(t, c.Ping(ctx))
	if s := c.Stats().Nodes; len(s) != 1 || s[0].ID != "n1" || s[0].Dials != 1 {
		t.Errorf("got %+v, want n1 with its one connection", s)
	}
	eventually(t, "the connection to n2 is closed", func() bool { return b.Traffic().Open == 0 })
}

// TestCancel: a caller that gives up returns at once and disturbs nobody.
func TestCancel(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			s := newServer(t)
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, Timeout: 10 * time.Second})
			must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one")}))
			s.SetFault(memcachetest.Fault{Hang: true})
			hasty, cancel := context.WithCancel(ctx)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if item, err := c.Get(ctx, "key"); err != nil || string(item.Value) != "one" {
						t.Errorf("a patient caller got %q, %v, want one", item.Value, err)
					}
				})
			}
			left := make(chan error)
			for range 10 {
				go func() { _, err := c.Get(hasty, "key"); left <- err }() // ends with hasty
			}
			eventually(t, "all calls are in flight", func() bool { return c.Stats().Nodes[0].InFlight == 20 })
			begin := time.Now()
			cancel()
			for range 10 {
				if err := <-left; !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want Canceled", err)
				}
			}
			if d := time.Since(begin); d > 50*time.Millisecond {
				t.Errorf("the hasty ones took %v to leave", d)
			}
			s.SetFault(memcachetest.Fault{})
			wg.Wait()
			if n := c.Stats().Nodes[0]; n.Dials != 1 || n.Cancelled != 10 {
				t.Errorf("got %+v, want 1 connection and 10 cancelled", n)
			}
		})
	}
}

func TestAdmin(t *testing.T) {
	onServers(t, func(t *testing.T, start func(testing.TB) string, p memcache.Protocol) {
		c := newClient(t, memcache.Config{Nodes: nodes(start(t), start(t)), Protocol: p, Timeout: 10 * time.Second})
		must(t, c.Ping(ctx))
		versions, err := c.Version(ctx)
		if err != nil || len(versions) != 2 || !strings.Contains(versions["n1"], ".") {
			t.Errorf("Version: got %v, %v, want two", versions, err)
		}
		items, keys := batchOf(50, 10)
		must(t, c.SetMulti(ctx, items))
		stats, err := c.ServerStats(ctx, "")
		if err != nil || len(stats) != 2 || stats["n1"]["pid"] == "" || stats["n2"]["curr_items"] == "0" {
			t.Errorf("ServerStats: got %v, %v", stats, err)
		}
		stats, err = c.ServerStats(ctx, "settings")
		if err != nil || stats["n1"]["maxbytes"] == "" {
			t.Errorf("ServerStats settings: got %v, %v", stats, err)
		}
		if _, err := c.ServerStats(ctx, "a\r\nflush_all"); !errors.Is(err, memcache.ErrKey) {
			t.Errorf("ServerStats of something else: got %v, want ErrKey", err)
		}
		must(t, c.FlushAll(ctx))
		found, err := c.GetMulti(ctx, keys)
		if err != nil || len(found) != 0 {
			t.Errorf("after FlushAll: got %d items, %v", len(found), err)
		}
	})
}

func TestAdminPartial(t *testing.T) {
	s, gone := newServer(t), newServer(t)
	c := newClient(t, memcache.Config{Nodes: nodes(s.Addr(), gone.Addr())})
	gone.Close()
	err := c.Ping(ctx)
	var multi *memcache.MultiError
	if !errors.As(err, &multi) || len(multi.Errs) != 1 || !errors.Is(multi.Errs["n2"], memcache.ErrNodeDown) {
		t.Errorf("Ping: got %v, want an error of n2 only", err)
	}
	versions, err := c.Version(ctx)
	if err == nil || len(versions) != 1 || versions["n1"] == "" {
		t.Errorf("Version: got %v, %v, want that of n1", versions, err)
	}
}

// TestRefusals: the server's own words come through, and are no node failure.
func TestRefusals(t *testing.T) {
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			s := newServer(t)
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, MaxItemSize: 4 << 20})
			must(t, c.Ping(ctx))
			err := c.Set(ctx, &memcache.Item{Key: "secret", Value: make([]byte, 2<<20)})
			var where *memcache.OpError
			if !errors.Is(err, memcache.ErrTooLarge) || !errors.As(err, &where) || where.Node != "n1" {
				t.Errorf("got %v, want ErrTooLarge at n1", err)
			}
			s.SetFault(memcachetest.Fault{Fail: "SERVER_ERROR out of memory for secret"})
			_, err = c.Get(ctx, "secret")
			var said *memcache.ServerError
			if !errors.As(err, &said) || !strings.Contains(said.Line, "out of memory") {
				t.Errorf("got %v, want the server's words", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the key: %v", err)
			}
			if err := c.DeleteMulti(ctx, []string{"a", "b"}); !errors.As(err, &said) {
				t.Errorf("DeleteMulti: got %v, want the server's words", err)
			}
			for _, n := range []int{2, 100} { // Text asks for many keys in another way
				_, keys := batchOf(n, 1)
				var multi *memcache.MultiError
				if _, err := c.GetMulti(ctx, keys); !errors.As(err, &multi) || !errors.As(err, &said) || len(multi.Errs) != n {
					t.Errorf("GetMulti of %d: got %v, want the server's words for each", n, err)
				}
			}
			s.SetFault(memcachetest.Fault{})
			if n := c.Stats().Nodes[0]; !n.Up || n.Lost+n.Protocol != 0 || n.Refused != 6 {
				t.Errorf("got %+v, want a node that is up, 6 refusals, no lost connection", n)
			}
			must(t, c.Ping(ctx))
		})
	}
}

func TestObserve(t *testing.T) {
	s := newServer(t)
	var mu sync.Mutex
	var seen []memcache.Operation
	type mark struct{}
	c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Observe: func(ctx context.Context, op memcache.Operation) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Value(mark{}) == nil {
			t.Error("not the caller's ctx")
		}
		seen = append(seen, op)
	}})
	ctx := context.WithValue(ctx, mark{}, true)
	items, keys := batchOf(250, 10)
	c.SetMulti(ctx, items)
	c.Get(ctx, "absent")
	c.GetMulti(ctx, keys)
	c.Ping(ctx)
	c.Get(ctx, "bad key")
	want := []memcache.Operation{
		{Name: "SetMulti", Node: "n1", Keys: 250},
		{Name: "Get", Node: "n1", Keys: 1, Err: memcache.ErrMiss},
		{Name: "GetMulti", Node: "n1", Keys: 250},
		{Name: "Ping", Node: "n1"},
		{Name: "Get", Node: "n1", Keys: 1, Err: memcache.ErrKey},
	}
	same := func(got, want memcache.Operation) bool {
		return got.Name == want.Name && got.Node == want.Node && got.Keys == want.Keys && got.Err == want.Err && got.Duration > 0 && !got.Start.IsZero()
	}
	if !slices.EqualFunc(seen, want, same) {
		t.Errorf("got %+v, want %+v", seen, want)
	}
}

func TestStats(t *testing.T) {
	s := newServer(t)
	c := newClient(t, memcache.Config{Nodes: nodes(s.Addr())})
	must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: make([]byte, 100)}))
	getError(c, "key")
	getError(c, "absent")
	c.GetMulti(ctx, []string{"key", "absent", "none"})
	c.Delete(ctx, "absent")
	c.Add(ctx, &memcache.Item{Key: "key", Value: make([]byte, 50)})
	getError(c, "bad key")
	got := c.Stats().Nodes[0]
	want := memcache.NodeStats{
		ID: "n1", Addr: s.Addr(), Up: true, Conns: 1, Dials: 1,
		Hits: 2, Misses: 3, Done: 2, Refused: 1, Invalid: 1, BytesRead: 200, BytesWritten: 100,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Ops() != 9 || got.Errors() != 1 {
		t.Errorf("got %d operations, %d errors, want 9 and 1", got.Ops(), got.Errors())
	}
}
