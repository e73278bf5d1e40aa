package msm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Cases of MSM's specification (msm.md, 11) about its configuration and nodes.
// Those of the file that says it are in msm/tomcat, those of statistics beside
// them.

// refused are Configs that New does not take, and what its error says.
var refused = []struct {
	name    string
	cfg     Config
	message string
}{
	{"CFG-01 no nodes", Config{}, "Config.MemcachedNodes: is required"},
	{"CFG-01 blank nodes", Config{MemcachedNodes: " \t"}, "Config.MemcachedNodes: is required"},
	{"CFG-03 protocol", Config{MemcachedNodes: "n1:a:1", MemcachedProtocol: "foo"}, `Config.MemcachedProtocol: "foo" is unknown`},
	{"CFG-04 locking foo", Config{MemcachedNodes: "n1:a:1", NonSticky: true, LockingMode: "foo"}, "Config.LockingMode"},
	{"CFG-04 locking app", Config{MemcachedNodes: "n1:a:1", NonSticky: true, LockingMode: "app"}, "Config.LockingMode"},
	{"CFG-05 locking pattern", Config{MemcachedNodes: "n1:a:1", NonSticky: true, LockingMode: "uriPattern:["}, "Config.LockingMode"},
	{"CFG-06 disabled, non-sticky", Config{MemcachedNodes: "n1:a:1", NonSticky: true, Disabled: true}, "Config.Disabled: excludes NonSticky"},
	{"CFG-12 prefix", Config{MemcachedNodes: "n1:a:1", StorageKeyPrefix: "foo"}, "Config.StorageKeyPrefix"},
	{"CFG-12 prefix with a blank", Config{MemcachedNodes: "n1:a:1", StorageKeyPrefix: "host, context"}, "Config.StorageKeyPrefix"},

	{"NODE-05 failover of one node", Config{MemcachedNodes: "n1:a:1", FailoverNodes: "n1"}, "Config.FailoverNodes: there is one node only"},
	{"NODE-05 failover of one without id", Config{MemcachedNodes: "a:1", FailoverNodes: "n1"}, "Config.FailoverNodes"},
	{"NODE-05 unknown failover", Config{MemcachedNodes: "n1:a:1,n2:b:1", FailoverNodes: "n3"}, `Config.FailoverNodes: "n3" is the id of no node`},
	{"NODE-06 two without id", Config{MemcachedNodes: "localhost:1,localhost:2"}, "Config.MemcachedNodes"},
	{"NODE-06 one id twice", Config{MemcachedNodes: "n1:a:1,n1:b:1"}, "Config.MemcachedNodes"},
	{"NODE-06 one address twice", Config{MemcachedNodes: "n1:a:1,n2:a:1"}, "Config.MemcachedNodes"},
	{"NODE-06 all for failover", Config{MemcachedNodes: "n1:a:1,n2:b:1", FailoverNodes: "n1 n2"}, "Config.FailoverNodes: all nodes are for failover"},
	{"NODE-12 Couchbase", Config{MemcachedNodes: "http://h1:8091/pools,http://h2:8091/pools"}, "Config.MemcachedNodes"},
	{"NODE-13 Redis", Config{MemcachedNodes: "redis://h"}, "Config.MemcachedNodes"},
}

func TestCasesRefused(t *testing.T) {
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			m, err := New(tt.cfg)
			if err == nil {
				shutdown(t, m)
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.message) {
				t.Errorf("got %q, want %q in it", err, tt.message)
			}
		})
	}
}

// All problems of a Config are told at once.
func TestCasesRefusedTogether(t *testing.T) {
	_, err := New(Config{MemcachedNodes: "n1", MemcachedProtocol: "foo", StorageKeyPrefix: "foo", SessionAttributeFilter: "(", BackupThreadCount: -1, OperationTimeout: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"MemcachedNodes", "MemcachedProtocol", "StorageKeyPrefix", "SessionAttributeFilter", "BackupThreadCount", "OperationTimeout"} {
		if !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("nothing about %s in %q", field, err)
		}
	}
}

// CFG-02: what is in force with the nodes alone.
func TestCaseDefaults(t *testing.T) {
	m := instance(t, Config{MemcachedNodes: "n1:a:1,n2:b:1"})
	c := m.core.Load()
	if _, sticky := c.keeper.(*sticky); !sticky || c.cfg.SessionBackupSync || c.cfg.Disabled || c.cfg.DisableStatistics {
		t.Errorf("keeper %T, %+v; want sticky, asynchronous, enabled, with statistics", c.keeper, c.cfg)
	}
	for name, d := range map[string][2]time.Duration{
		"SessionBackupTimeout": {c.cfg.SessionBackupTimeout, 100 * time.Millisecond},
		"OperationTimeout":     {c.cfg.OperationTimeout, time.Second},
		"LockExpiration":       {c.cfg.LockExpiration, 5 * time.Second},
		"MaxInactiveInterval":  {c.cfg.MaxInactiveInterval, 30 * time.Minute},
	} {
		if d[0] != d[1] {
			t.Errorf("%s is %v, want %v", name, d[0], d[1])
		}
	}
}

// CFG-04: locking modes in any case, for sessions that are not sticky.
func TestCaseLockingModes(t *testing.T) {
	for _, mode := range []string{"", "none", "All", "AUTO", "auto", "uriPattern:.*/x"} { // CFG-05
		shutdown(t, instance(t, Config{MemcachedNodes: "n1:a:1", NonSticky: true, LockingMode: mode}))
	}
}

// NODE-01: nodes in the order of the list, whatever stands between them.
func TestCaseNodeLists(t *testing.T) {
	for _, list := range []string{"n1:localhost:11211,n2:localhost:11212", "n1:localhost:11211 n2:localhost:11212", "n1:localhost:11211\tn2:localhost:11212", "n1:localhost:11211, n2:localhost:11212"} {
		m := instance(t, Config{MemcachedNodes: list})
		var got []string
		for _, n := range m.Stats().Nodes {
			got = append(got, n.ID+" "+n.Addr)
		}
		if want := []string{"n1 localhost:11211", "n2 localhost:11212"}; !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", list, got, want)
		}
	}
}

// newSession returns the node in the id of a session that begins.
func newSessionNode(t *testing.T, m *Manager) string {
	t.Helper()
	b := &browser{}
	b.set(t, m, "user", "ann")
	return b.id(t).node
}

// NODE-02, NODE-03: a node without id is in no session id, one with an id is.
func TestCaseSingleNode(t *testing.T) {
	ns := startNodes(t, 1)
	for list, want := range map[string]string{ns.servers[0].Addr(): "", "n1:" + ns.servers[0].Addr(): "n1"} {
		if got := newSessionNode(t, instance(t, Config{MemcachedNodes: list})); got != want {
			t.Errorf("%q: the session's node is %q, want %q", list, got, want)
		}
	}
}

// NODE-04: nodes for failover take sessions when no other is up, and not before.
func TestCaseFailover(t *testing.T) {
	ns := startNodes(t, 3)
	cfg := ns.config()
	cfg.FailoverNodes = "n1,n2"
	m := instance(t, cfg)
	for range 20 {
		if got := newSessionNode(t, m); got != "n3" {
			t.Fatalf("a new session is on %s, want n3", got)
		}
	}
	rest(t, m) // second copies
	ns.kill("n3")
	poll(t, "a failover node takes over", func() bool { return newSessionNode(t, m) != "n3" })
}

// copiesOf returns where the copies of the browser's session are.
func copiesOf(t *testing.T, m *Manager, b *browser) []string {
	t.Helper()
	rest(t, m)
	var ids []string
	b.visit(m, func(s *Session) {
		var err error
		ids, err = s.Copies()
		must(t, err)
	})
	return ids
}

// NODE-07, NODE-08: the second copy is on another node that is up, if there is
// one.
func TestCaseSecondNode(t *testing.T) {
	for _, tt := range []struct {
		name        string
		nodes, down int
		copies      int
	}{
		{"NODE-07 two nodes", 2, 0, 2},
		{"NODE-07 one node", 1, 0, 1},
		{"NODE-08 three nodes, one down", 3, 1, 2},
		{"NODE-08 two nodes, one down", 2, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := startNodes(t, tt.nodes)
			cfg := ns.config()
			cfg.NonSticky = true
			m := instance(t, cfg)
			for n := range tt.down {
				ns.kill(fmt.Sprint("n", n+1))
			}
			b := &browser{}
			b.set(t, m, "user", "ann")
			got := copiesOf(t, m, b)
			slices.Sort(got)
			if len(slices.Compact(got)) != tt.copies || tt.down > 0 && slices.Contains(got, "n1") {
				t.Errorf("copies are on %v, want %d that are up", got, tt.copies)
			}
		})
	}
}

// NODE-09: which node takes over.
func TestCaseTakeover(t *testing.T) {
	ns := startNodes(t, 3)
	cfg := ns.config()
	cfg.FailoverNodes, cfg.SessionBackupSync = "n2 n3", true
	m := instance(t, cfg)
	b := &browser{}
	b.set(t, m, "user", "ann")
	if got := b.id(t).node; got != "n1" {
		t.Fatalf("the session is on %s, want n1, the only one that is not for failover", got)
	}
	ns.kill("n1")
	b.set(t, m, "user", "bob")
	second := b.id(t).node
	if second != "n2" && second != "n3" {
		t.Fatalf("without n1 the session is on %q, want n2 or n3", second)
	}
	ns.kill(second)
	poll(t, "the last node takes over", func() bool {
		b.count(t, m)
		return b.id(t).node != second && b.id(t).node != "n1"
	})
	ns.kill(b.id(t).node)
	poll(t, "new sessions have no node", func() bool { return newSessionNode(t, m) == "" })
	ns.restart("n1")
	poll(t, "new sessions are on n1 again", func() bool { return newSessionNode(t, m) == "n1" })
	if got := b.get(t, m, "user"); got != "bob" {
		t.Errorf("the session says %q in the end, want bob", got)
	}
}

// NODE-10: sessions are spread over the nodes.
func TestCaseSpread(t *testing.T) {
	m := instance(t, Config{MemcachedNodes: "n1:a:1,n2:b:1,n3:c:1"})
	const sessions = 3000
	count := map[string]int{}
	for range sessions {
		h := m.core.Load().newHold()
		count[h.node]++
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		if n := count[id]; n < sessions/3*3/4 || n > sessions/3*5/4 {
			t.Errorf("%d of %d sessions are on %s, want about a third", n, sessions, id)
		}
	}
}

// NODE-11: a node that is down takes no new session.
func TestCaseNodeDown(t *testing.T) {
	ns := startNodes(t, 3)
	m := instance(t, ns.config())
	ns.kill("n2")
	m.core.Load().store.client.Ping(context.Background()) // finds out
	for range 30 {
		if got := newSessionNode(t, m); got != "n1" && got != "n3" {
			t.Fatalf("a new session is on %q, want n1 or n3", got)
		}
	}
}
