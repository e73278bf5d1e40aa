package msm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// list is the Config's node list with just these nodes.
func (ns *nodes) list(numbers ...int) string {
	var all []string
	for _, n := range numbers {
		all = append(all, fmt.Sprintf("n%d:%s", n, ns.servers[n-1].Addr()))
	}
	return strings.Join(all, ",")
}

// departed waits until every request has left the cores that were replaced.
func departed(t *testing.T, m *Manager) {
	t.Helper()
	poll(t, "what was replaced has ended", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.leaving) == 0
	})
}

// What may change while requests run.
var changesUnderLoad = []struct {
	name    string
	begin   func(*Config)
	changes []func(*Config, *nodes)
}{
	{"sticky", func(*Config) {}, []func(*Config, *nodes){
		func(c *Config, ns *nodes) { c.MemcachedNodes = ns.list(1, 2, 3) },
		func(c *Config, ns *nodes) { c.SessionBackupSync, c.FailoverNodes = true, "n3" },
		func(c *Config, ns *nodes) {
			c.MemcachedNodes, c.OperationTimeout, c.FailoverNodes = ns.list(2, 3), time.Second, ""
		},
		func(c *Config, ns *nodes) { c.SessionBackupSync, c.BackupThreadCount = false, 1 },
		func(c *Config, ns *nodes) { c.MemcachedNodes, c.ValueKeys = ns.list(1, 2), testKeys(2) },
	}},
	{"other nodes, and another route", func(c *Config) { c.LockingMode, c.Route = "all", "a" }, []func(*Config, *nodes){
		func(c *Config, ns *nodes) { c.MemcachedNodes, c.Route = ns.list(3, 4), "b" },
		func(c *Config, ns *nodes) { c.MemcachedNodes, c.Route = ns.list(1, 2), "a" },
	}},
	{"disabled now and then", func(c *Config) { c.Route = "a" }, []func(*Config, *nodes){
		func(c *Config, ns *nodes) { c.Disabled = true },
		func(c *Config, ns *nodes) { c.Disabled = false },
	}},
	{"non-sticky, nodes", func(c *Config) { c.NonSticky = true }, []func(*Config, *nodes){
		func(c *Config, ns *nodes) { c.MemcachedNodes, c.LockingMode = ns.list(1, 2, 3), "all" },
		func(c *Config, ns *nodes) { c.LockingMode, c.BackupThreadCount = "auto", 1 },
		func(c *Config, ns *nodes) { c.MemcachedNodes, c.LockExpiration = ns.list(2, 3), 2*time.Second },
		func(c *Config, ns *nodes) { c.MemcachedNodes, c.LockingMode = ns.list(1, 2), "none" },
	}},
	{"non-sticky, all but nodes", func(c *Config) { c.NonSticky = true }, []func(*Config, *nodes){
		func(c *Config, ns *nodes) { c.LockingMode, c.OperationTimeout = "all", time.Second },
		func(c *Config, ns *nodes) { c.LockingMode, c.SessionBackupTimeout = "uriPattern:/.*", time.Second },
		func(c *Config, ns *nodes) { c.LockingMode, c.OperationTimeout = "", 2*time.Second },
	}},
	{"one mode and the other", func(c *Config) { c.SessionBackupSync, c.Route = true, "a" }, []func(*Config, *nodes){
		func(c *Config, ns *nodes) { c.NonSticky = true },
		func(c *Config, ns *nodes) { c.NonSticky = false },
	}},
}

// counting is visitors whose sessions count their requests.
type counting struct {
	t        *testing.T
	m        *Manager
	browsers []*browser
	counted  []atomic.Int64
}

func newCounting(t *testing.T, m *Manager, sessions int) *counting {
	c := &counting{t: t, m: m, counted: make([]atomic.Int64, sessions)}
	for i := range c.counted {
		b := new(browser)
		b.count(t, m)
		c.counted[i].Add(1)
		c.browsers = append(c.browsers, b)
	}
	return c
}

// request counts in one of the sessions.
func (c *counting) request(i int) {
	i %= len(c.browsers)
	w := c.browsers[i].clone().visit(c.m, func(s *Session) {
		if err := increment(s); err != nil {
			c.t.Error(err)
		}
	})
	if w.Code != http.StatusOK {
		c.t.Errorf("status %d: %s", w.Code, w.Body)
	}
	c.counted[i].Add(1)
}

// used waits until every session has counted again: between two changes of nodes
// it must be, or both its copies could be on nodes that have left.
func (c *counting) used() {
	c.t.Helper()
	for i := range c.counted {
		now := c.counted[i].Load()
		poll(c.t, "the session is used", func() bool { return c.counted[i].Load() > now+1 || c.t.Failed() })
	}
}

// check compares what the sessions have counted with what was acknowledged.
func (c *counting) check() {
	c.t.Helper()
	for i, b := range c.browsers {
		if got, want := b.count(c.t, c.m), int(c.counted[i].Load())+1; got != want {
			c.t.Errorf("session %d counts %d, want %d", i, got, want)
		}
	}
}

// Parallel requests count, and the Config changes under them again and again: no
// increment is lost, no request fails, and nothing is left running.
func TestReconfigureUnderLoad(t *testing.T) {
	for _, tt := range changesUnderLoad {
		t.Run(tt.name, func(t *testing.T) {
			leaktest.Check(t)
			ns := startNodes(t, 4)
			cfg := ns.config()
			cfg.MemcachedNodes = ns.list(1, 2)
			cfg.OperationTimeout, cfg.SessionBackupTimeout = 2*time.Second, 2*time.Second
			tt.begin(&cfg)
			m := instance(t, cfg)
			const sessions, windows, changes = 3, 2, 12
			c := newCounting(t, m, sessions)
			var over atomic.Bool
			var visitors sync.WaitGroup
			for i := range sessions * windows {
				visitors.Go(func() {
					for !over.Load() {
						c.request(i)
						<-time.After(time.Millisecond) // or the background would have a day's work
					}
				})
			}
			for i := range changes {
				tt.changes[i%len(tt.changes)](&cfg, ns)
				if err := m.Reconfigure(cfg); err != nil {
					t.Error(err)
				}
				c.used()
			}
			over.Store(true)
			visitors.Wait()
			departed(t, m)
			c.check()
		})
	}
}

func testKeys(n int) [][]byte {
	var keys [][]byte
	for i := range n {
		keys = append(keys, []byte(strings.Repeat(string(rune('a'+i)), 32)))
	}
	return keys
}

// A Config with problems changes nothing, and all of them are told.
func TestReconfigureRefuses(t *testing.T) {
	m := instance(t, startNodes(t, 2).config())
	before := m.core.Load()
	err := m.Reconfigure(Config{MemcachedNodes: "n1", LockingMode: "foo", SessionAttributeFilter: "(", OperationTimeout: -1, Cookie: Cookie{Name: " "}})
	if err == nil || m.core.Load() != before {
		t.Fatalf("%v, changed %v", err, m.core.Load() != before)
	}
	for _, field := range []string{"MemcachedNodes", "LockingMode", "SessionAttributeFilter", "OperationTimeout", "Cookie"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("nothing about %s in %q", field, err)
		}
	}
}

func TestReconfigureAfterShutdown(t *testing.T) {
	cfg := startNodes(t, 2).config()
	m := instance(t, cfg)
	shutdown(t, m)
	if err := m.Reconfigure(cfg); !errors.Is(err, errOver) {
		t.Errorf("got %v, want %v", err, errOver)
	}
}

// A request that is under way ends with the client that it began with, and
// what it stores is found by the next one. Nobody closes that client before.
func TestReconfigureUnderARequest(t *testing.T) {
	for _, nonSticky := range []bool{false, true} {
		t.Run(modeName(nonSticky), func(t *testing.T) {
			leaktest.Check(t)
			ns := startNodes(t, 3)
			cfg := ns.config()
			cfg.MemcachedNodes, cfg.NonSticky = ns.list(1, 2), nonSticky
			m := instance(t, cfg)
			b := ann(t, m)
			old := m.core.Load().store.client
			b.visit(m, func(s *Session) {
				must(t, s.Set("before", "yes"))
				cfg.MemcachedNodes, cfg.OperationTimeout = ns.list(2, 3), 400*time.Millisecond
				must(t, m.Reconfigure(cfg))
				must(t, s.Set("after", "yes"))
				if err := old.Ping(context.Background()); err != nil {
					t.Errorf("the request's client: %v", err)
				}
			})
			departed(t, m)
			if err := old.Ping(context.Background()); !errors.Is(err, memcache.ErrClosed) {
				t.Errorf("with the request over, its client says %v, want %v", err, memcache.ErrClosed)
			}
			for _, name := range []string{"before", "after"} {
				if got := b.get(t, m, name); got != "yes" {
					t.Errorf("%s is %q, want yes", name, got)
				}
			}
		})
	}
}

// What does not concern the nodes goes on with the same connections, and a
// client of the caller's is never closed.
func TestReconfigureKeepsClient(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	m := instance(t, cfg)
	own := m.core.Load().store.client
	cfg.SessionBackupSync, cfg.SessionAttributeFilter = true, "user"
	must(t, m.Reconfigure(cfg))
	departed(t, m)
	if now := m.core.Load().store.client; now != own || now.Ping(context.Background()) != nil {
		t.Errorf("another client %v, which says %v", now != own, now.Ping(context.Background()))
	}
	theirs, err := memcache.New(memcache.Config{Nodes: ns.list(1, 2)})
	must(t, err)
	defer theirs.Close()
	cfg.MemcachedNodes, cfg.Client = "", theirs
	must(t, m.Reconfigure(cfg))
	departed(t, m)
	if err := own.Ping(context.Background()); !errors.Is(err, memcache.ErrClosed) {
		t.Errorf("the own client that nobody uses says %v, want %v", err, memcache.ErrClosed)
	}
	cfg.MemcachedNodes, cfg.Client = ns.list(1, 2), nil
	must(t, m.Reconfigure(cfg))
	departed(t, m)
	if err := theirs.Ping(context.Background()); err != nil {
		t.Errorf("the caller's client says %v", err)
	}
}

// Shutdown does not wait for a request of a core that was replaced longer than
// its ctx says.
func TestShutdownWithDepartures(t *testing.T) {
	leaktest.Check(t)
	ns := startNodes(t, 2)
	cfg := ns.config()
	m, err := New(cfg)
	must(t, err)
	inside, leave := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		new(browser).visit(m, func(*Session) {
			close(inside)
			<-leave
		})
	})
	<-inside
	cfg.OperationTimeout *= 2
	must(t, m.Reconfigure(cfg))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := m.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	close(leave)
	group.Wait()
}

// Second copies that wait are stored before the nodes change: here the node that
// stays has nothing else.
func TestReconfigureStoresFirst(t *testing.T) {
	ns := startNodes(t, 3)
	cfg := ns.config()
	cfg.NonSticky = true
	for range 20 {
		cfg.MemcachedNodes = ns.list(1, 2)
		m, err := New(cfg)
		must(t, err)
		b := ann(t, m)
		stays := map[string]int{"n1": 2, "n2": 1}[b.id(t).node]
		b.set(t, m, "user", "bob")
		cfg.MemcachedNodes = ns.list(stays, 3)
		must(t, m.Reconfigure(cfg))
		if got := b.get(t, m, "user"); got != "bob" {
			t.Fatalf("the session says %q, want bob", got)
		}
		shutdown(t, m)
	}
}

// Other nodes for failover are other places for sessions, and instances get to
// know of them one after another: commits wait for both copies for a while.
func TestReconfigureOfFailoverNodes(t *testing.T) {
	const delay = 40 * time.Millisecond
	ns := startNodes(t, 3)
	cfg := ns.config()
	cfg.NonSticky = true
	m := instance(t, cfg)
	cfg.FailoverNodes = "n3"
	must(t, m.Reconfigure(cfg))
	b := ann(t, m)
	b.visit(m, func(s *Session) {
		copies, err := s.Copies()
		must(t, err)
		ns.node(copies[1]).SetFault(memcachetest.Fault{Delay: delay})
		must(t, s.Set("user", "bob"))
		begin := time.Now()
		must(t, s.Save(context.Background()))
		if took := time.Since(begin); took < delay {
			t.Errorf("Save took %v, want %v at least: it is to wait for the second copy", took, delay)
		}
	})
}

// Sticky sessions that nobody asks for move to nodes that are all others, too.
func TestReconfigureMovesTable(t *testing.T) {
	ns := startNodes(t, 4)
	cfg := ns.config()
	cfg.MemcachedNodes, cfg.Route = ns.list(1, 2), "a"
	m := instance(t, cfg)
	b := ann(t, m)
	cfg.MemcachedNodes = ns.list(3, 4)
	must(t, m.Reconfigure(cfg))
	m.core.Load().local.sweep(m.table.get(b.id(t).base)) // its turn comes within seconds
	rest(t, m)
	cfg.Route = "b"
	other := instance(t, cfg)
	if got := b.get(t, other, "user"); got != "ann" {
		t.Errorf("on another instance the session says %q, want ann", got)
	}
}

// The caller's client changes its nodes by itself, also in the middle of a
// request: what that stores is where the next one looks.
func TestSetRingOfTheCallersClient(t *testing.T) {
	for _, nonSticky := range []bool{false, true} {
		t.Run(modeName(nonSticky), func(t *testing.T) {
			ns := startNodes(t, 4)
			client, err := memcache.New(memcache.Config{Nodes: ns.list(1, 2)})
			must(t, err)
			defer client.Close()
			cfg := Config{Client: client, NonSticky: nonSticky, SessionBackupSync: true, Route: "a"}
			m := instance(t, cfg)
			b, idle := ann(t, m), ann(t, m)
			to := func(numbers ...int) {
				nodes, err := ring.ParseNodes(ns.list(numbers...))
				must(t, err)
				r, err := ring.New(ring.XXHash, nodes...)
				must(t, err)
				must(t, client.SetRing(r))
			}
			b.visit(m, func(s *Session) {
				must(t, s.Set("before", "yes"))
				to(2, 3)
				must(t, s.Set("after", "yes"))
			})
			if !nonSticky {
				to(3, 4) // none of those that idle was on
				m.core.Load().local.sweep(m.table.get(idle.id(t).base))
				rest(t, m)
			}
			cfg.Route = "b"
			other := instance(t, cfg)
			for _, name := range []string{"before", "after", "user"} {
				if got := b.clone().get(t, other, name); got == "" {
					t.Errorf("%s is lost", name)
				}
			}
			if got := idle.get(t, other, "user"); got != "ann" {
				t.Errorf("the other session says %q, want ann", got)
			}
		})
	}
}

// A request that is looking for its session when the nodes change goes on with
// those that there are then.
func TestSetRingInTheMiddleOfALoad(t *testing.T) {
	ns := startNodes(t, 4)
	client, err := memcache.New(memcache.Config{Nodes: ns.list(1, 2)})
	must(t, err)
	defer client.Close()
	m := instance(t, Config{Client: client, NonSticky: true, SessionBackupSync: true})
	b := ann(t, m)
	was := client.Ring()
	nodes, err := ring.ParseNodes(ns.list(3, 4))
	must(t, err)
	others, err := ring.New(ring.XXHash, nodes...)
	must(t, err)
	must(t, client.SetRing(others))
	s := m.core.Load().store
	v := s.newVersion(b.id(t).base)
	must(t, client.SetRing(was))
	if err := s.search(t.Context(), v, 0); err != nil || v.rec == nil {
		t.Errorf("got the session %v and %v, want it and nil", v.rec != nil, err)
	}
}

// What it is for: a node hangs, or is dead, and another one takes its place. It
// takes no longer than it may, and sessions go on.
func TestReconfigureReplacesASickNode(t *testing.T) {
	for name, fault := range map[string]memcachetest.Fault{"hangs": {Hang: true}, "dead": {Refuse: true}} {
		for _, nonSticky := range []bool{false, true} {
			t.Run(name+", "+modeName(nonSticky), func(t *testing.T) {
				ns := startNodes(t, 3)
				cfg := ns.config()
				cfg.MemcachedNodes, cfg.NonSticky, cfg.OperationTimeout = ns.list(1, 2), nonSticky, 100*time.Millisecond
				m := instance(t, cfg)
				c := newCounting(t, m, 5)
				rest(t, m)
				ns.node("n2").SetFault(fault)
				for i := range 5 {
					c.request(i) // leaves something to the background
				}
				cfg.MemcachedNodes = ns.list(1, 3)
				start := time.Now()
				must(t, m.Reconfigure(cfg))
				if took, most := time.Since(start), 5*cfg.OperationTimeout+time.Second; took > most {
					t.Errorf("it took %v, want %v at most", took, most)
				}
				for i := range 5 {
					c.request(i)
				}
				c.check()
				if got := copiesOf(t, m, c.browsers[0]); len(got) != 2 || slices.Contains(got, "n2") {
					t.Errorf("copies are on %v, want n1 and n3", got)
				}
				ns.node("n2").SetFault(memcachetest.Fault{})
			})
		}
	}
}
