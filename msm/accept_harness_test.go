package msm

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// bubble runs f with n nodes in memory, where hours cost nothing: cfg is a
// Config for them, whose client f's instances share.
func bubble(t *testing.T, n int, f func(t *testing.T, ns *nodes, cfg Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, ns := new(memcachetest.Network), &nodes{t: t}
		for range n {
			s, err := memcachetest.New(memcachetest.Config{Network: network})
			must(t, err)
			t.Cleanup(s.Close)
			ns.servers = append(ns.servers, s)
		}
		cfg := ns.config()
		client, err := memcache.New(memcache.Config{
			Nodes: cfg.MemcachedNodes, Timeout: cfg.OperationTimeout, DialTimeout: cfg.OperationTimeout,
			DialContext: network.DialContext,
		})
		must(t, err)
		t.Cleanup(func() { client.Close() })
		cfg.MemcachedNodes, cfg.Client = "", client
		f(t, ns, cfg)
	})
}

// both are the two modes of cfg, with synchronous backup.
func both(cfg Config) map[string]Config {
	cfg.SessionBackupSync = true
	sticky, nonSticky := cfg, cfg
	sticky.Route, nonSticky.NonSticky = "tc1", true
	return map[string]Config{"sticky": sticky, "non-sticky": nonSticky}
}

// inBothModes runs f in both modes, each with n nodes of its own.
func inBothModes(t *testing.T, n int, f func(t *testing.T, ns *nodes, cfg Config)) {
	t.Helper()
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			ns := startNodes(t, n)
			f(t, ns, both(ns.config())[mode])
		})
	}
}

// bubbleInBothModes is inBothModes with nodes in a bubble.
func bubbleInBothModes(t *testing.T, n int, f func(t *testing.T, ns *nodes, cfg Config)) {
	t.Helper()
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			bubble(t, n, func(t *testing.T, ns *nodes, cfg Config) { f(t, ns, both(cfg)[mode]) })
		})
	}
}

// copies returns the items of a session by the id of their node, of a manager
// without prefix.
func (ns *nodes) copies(base string) map[string]memcachetest.Item {
	found := make(map[string]memcachetest.Item)
	for i, s := range ns.servers {
		if item, ok := s.Get(keyspace{}.session(base)); ok {
			found[nodeID(i)] = item
		}
	}
	return found
}

func nodeID(i int) string { return fmt.Sprint("n", i+1) }

// records returns what the copies of a session say, by node.
func (ns *nodes) records(base string) map[string]*record {
	ns.t.Helper()
	found := make(map[string]*record)
	for id, item := range ns.copies(base) {
		rec, err := parseRecord(item.Value)
		if err != nil {
			ns.t.Fatalf("the copy on %s: %v", id, err)
		}
		found[id] = rec
	}
	return found
}

// attrNames returns the names of the stored attributes.
func (r *record) attrNames() string {
	var names []string
	for _, a := range r.attrs {
		names = append(names, a.name)
	}
	return strings.Join(names, " ")
}

// stores is how many commands that store something the nodes have seen.
func (ns *nodes) stores() int {
	n := 0
	for _, s := range ns.servers {
		commands := s.Traffic().Commands
		for _, name := range []string{"ms", "set", "add", "replace", "cas"} {
			n += commands[name]
		}
	}
	return n
}

// items is how many items lie on all nodes.
func (ns *nodes) items() int {
	n := 0
	for _, s := range ns.servers {
		n += s.Len()
	}
	return n
}

// sicken makes all nodes sick; the zero Fault heals them.
func (ns *nodes) sicken(f memcachetest.Fault) {
	for _, s := range ns.servers {
		s.SetFault(f)
	}
}

// look sends a request that only reads one attribute.
func (b *browser) look(t *testing.T, m *Manager) (value string, setCookie string) {
	t.Helper()
	w := b.visit(m, func(s *Session) {
		_, err := s.Get("who", &value)
		must(t, err)
	})
	if w.Code != http.StatusOK {
		t.Fatalf("reading: status %d %s", w.Code, w.Body)
	}
	return value, w.Header().Get("Set-Cookie")
}

// newest returns the nodes with the newest copy of a session.
func (ns *nodes) newest(base string) []string {
	var ids []string
	var newest stamp
	for i, s := range ns.servers {
		item, ok := s.Get(keyspace{}.session(base))
		at := stamp(item.Flags)
		if !ok || len(ids) > 0 && newest.newerThan(at) {
			continue
		}
		if at != newest {
			ids = nil
		}
		ids, newest = append(ids, nodeID(i)), at
	}
	return ids
}

// lives checks that both copies are there and have at least that long to live;
// negative: for ever.
func lives(t *testing.T, ns *nodes, b *browser, least time.Duration) {
	t.Helper()
	copies := ns.copies(b.id(t).base)
	if len(copies) != 2 {
		t.Errorf("%d copies, want 2", len(copies))
	}
	for id, item := range copies {
		if left := time.Until(item.Expires); least < 0 != item.Expires.IsZero() || least > 0 && left < least {
			t.Errorf("the copy on %s expires at %v, in %v; want %v at least", id, item.Expires, left, least)
		}
	}
}

// refuse takes a node down, with what it has: as a partition does.
func (ns *nodes) refuse(id string) { ns.node(id).SetFault(memcachetest.Fault{Refuse: true}) }

// comeBack heals nodes that come back empty, as after a restart, in a bubble, and
// lets the client of cfg notice.
func (ns *nodes) comeBack(t *testing.T, cfg Config, ids ...string) {
	t.Helper()
	for _, id := range ids {
		ns.node(id).Flush()
		ns.node(id).SetFault(memcachetest.Fault{})
		must(t, cfg.Client.On(id).Reach(t.Context()))
	}
	time.Sleep(100 * time.Millisecond) // for what instances remember of it
}

// crash runs a request that panics.
func crash(request func()) {
	defer func() { recover() }()
	request()
}
