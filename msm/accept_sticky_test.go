package msm

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// STK-01: a session that a request has created is stored when the request ends,
// without attributes too. A request that only looks creates none: there Java
// differs.
func TestSTK01_NewSessionIsStored(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, stickyConfig(ns, "tc1"))
	b := new(browser)
	if _, cookie := b.look(t, m); cookie != "" || ns.traffic() != 0 {
		t.Errorf("a look: cookie %q and %d commands, want neither", cookie, ns.traffic())
	}
	b.visit(m, func(s *Session) { _, err := s.ID(); must(t, err) })
	rest(t, m)
	if n := len(ns.copies(b.id(t).base)); n != 2 || ns.stores() != 2 {
		t.Errorf("%d copies by %d stores, want 2 by 2", n, ns.stores())
	}
}

// STK-02: only a session that has changed is stored.
func TestSTK02_OnlyChangesAreStored(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, stickyConfig(ns, "tc1"))
	b := new(browser)
	b.set(t, m, "who", "me")
	for _, tt := range []struct {
		name string
		do   func(s *Session) error
		want int
	}{
		{"obtained", func(s *Session) error { _, err := s.ID(); return err }, 0},
		{"read", func(s *Session) error { _, err := s.Get("who", new(string)); return err }, 0},
		{"listed", func(s *Session) error { _, err := s.Names(); return err }, 0},
		{"set to what it was", func(s *Session) error { return s.Set("who", "me") }, 0},
		{"nothing removed", func(s *Session) error { return s.Delete("nothing") }, 0},
		{"changed", func(s *Session) error { return s.Set("who", "you") }, 2},
	} {
		rest(t, m)
		before := ns.stores()
		b.visit(m, func(s *Session) { must(t, tt.do(s)) })
		rest(t, m)
		if got := ns.stores() - before; got != tt.want {
			t.Errorf("%s: %d stores, want %d", tt.name, got, tt.want)
		}
	}
}

// STK-03: attributes that the filter keeps out stay here: they cause no store,
// and no copy has them.
func TestSTK03_FilteredAttributesAreNotStored(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := stickyConfig(ns, "tc1")
	cfg.SessionAttributeFilter = "who|cart"
	m := instance(t, cfg)
	b := new(browser)
	b.set(t, m, "who", "me")
	rest(t, m)
	before := ns.stores()
	b.set(t, m, "scratch", "here")
	rest(t, m)
	if got := ns.stores() - before; got != 0 {
		t.Errorf("only a filtered attribute was set: %d stores, want 0", got)
	}
	b.visit(m, func(s *Session) {
		must(t, s.Set("scratch", "still here"))
		must(t, s.Set("cart", "full"))
	})
	rest(t, m)
	for id, rec := range ns.records(b.id(t).base) {
		if got := rec.attrNames(); got != "cart who" {
			t.Errorf("%s has %q, want cart and who", id, got)
		}
	}
	if got := b.get(t, m, "scratch"); got != "still here" {
		t.Errorf("on this instance: scratch = %q", got)
	}
	cfg.Route = "tc2"
	if got := b.get(t, instance(t, cfg), "scratch"); got != "" {
		t.Errorf("on another instance: scratch = %q, want none", got)
	}
}

// STK-04: removing an attribute is a change, too.
func TestSTK04_RemovalIsStored(t *testing.T) {
	ns := startNodes(t, 2)
	for mode, cfg := range modes(ns) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		b.set(t, m, "cart", "full")
		b.visit(m, func(s *Session) { must(t, s.Delete("who")) })
		for id, rec := range ns.records(b.id(t).base) {
			if got := rec.attrNames(); got != "cart" {
				t.Errorf("%s: %s has %q, want cart alone", mode, id, got)
			}
		}
	}
}

// STK-07, STK-12: another instance gets the session: its attributes are there,
// the cookie has the new route, once, and what that request changes is kept.
// The storage key does not hold the id's suffix: it stays.
func TestSTK07_TakeOver(t *testing.T) {
	ns := startNodes(t, 1)
	m1, m2 := instance(t, stickyConfig(ns, "tc1")), instance(t, stickyConfig(ns, "tc2"))
	b := new(browser)
	b.set(t, m1, "who", "me")
	base := b.id(t).base
	var who string
	b.visit(m2, func(s *Session) {
		_, err := s.Get("who", &who)
		must(t, err)
		must(t, s.Set("cart", "full"))
	})
	if got := b.id(t); who != "me" || got.route != "tc2" || got.base != base {
		t.Errorf("taken over: who = %q with cookie %v, want me in the same session with route tc2", who, got)
	}
	who, cookie := b.look(t, m2)
	if cookie != "" || who != "me" || b.get(t, m2, "cart") != "full" {
		t.Errorf("the next request: who = %q, cookie %q; want me and none", who, cookie)
	}
	if n := ns.items(); n != 1 {
		t.Errorf("%d items, want the one under its key", n)
	}
}

// STK-08: takeover with a single node that has no id.
func TestSTK08_TakeOverWithOneNodeWithoutID(t *testing.T) {
	ns := startNodes(t, 1)
	cfg := Config{MemcachedNodes: ns.servers[0].Addr(), Route: "tc1"}
	m1 := instance(t, cfg)
	cfg.Route = "tc2"
	m2 := instance(t, cfg)
	b := new(browser)
	b.set(t, m1, "who", "me")
	if got := b.get(t, m2, "who"); got != "me" || b.id(t).node != "" || b.id(t).route != "tc2" {
		t.Errorf("who = %q with cookie %v, want me with route tc2 and no node", got, b.id(t))
	}
}

// STK-09, STK-13: taking a session over costs one read of either copy and no
// store, unless it is changed.
func TestSTK09_TakeOverReadsOnce(t *testing.T) {
	ns := startNodes(t, 2)
	m1, m2 := instance(t, stickyConfig(ns, "tc1")), instance(t, stickyConfig(ns, "tc2"))
	b := new(browser)
	b.set(t, m1, "who", "me")
	rest(t, m1)
	m2.core.Load().store.client.Ping(t.Context()) // asks for the servers' versions
	before := ns.traffic()
	b.set(t, m2, "who", "me")
	rest(t, m2)
	if got := ns.traffic() - before; got != 2 {
		t.Errorf("taken over, set to what it was: %d commands, want one for either copy", got)
	}
	before = ns.stores()
	b.set(t, m2, "who", "you")
	rest(t, m2)
	if got := ns.stores() - before; got != 2 {
		t.Errorf("set to something else: %d stores, want 2", got)
	}
}

// STK-10, ID-02: the instance that takes a session over moves it off the node
// that is for failover there.
func TestSTK10_TakeOverLeavesTheFailoverNode(t *testing.T) {
	ns := startNodes(t, 2)
	cfg1, cfg2 := stickyConfig(ns, "tc1"), stickyConfig(ns, "tc2")
	cfg1.FailoverNodes, cfg2.FailoverNodes = "n1", "n2"
	m1, m2 := instance(t, cfg1), instance(t, cfg2)
	for range 8 { // wherever the ring would have it
		b := new(browser)
		b.set(t, m1, "who", "me")
		if got := b.id(t); got.node != "n2" || got.route != "tc1" {
			t.Fatalf("at tc1: %v, want n2", got)
		}
		rest(t, m1)
		if who := b.get(t, m2, "who"); who != "me" || b.id(t).node != "n1" || b.id(t).route != "tc2" {
			t.Fatalf("at tc2: who = %q with cookie %v, want me on n1", who, b.id(t))
		}
	}
}

// STK-11, ID-02: without routes the id stays what it was.
func TestSTK11_TakeOverWithoutRoutes(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := stickyConfig(ns, "tc1")
	m1 := instance(t, cfg)
	cfg.Route = ""
	m2, m3 := instance(t, cfg), instance(t, cfg)
	b := new(browser)
	b.set(t, m1, "who", "me")
	id := b.id(t)
	for _, m := range []*Manager{m2, m3} {
		if who := b.get(t, m, "who"); who != "me" || b.id(t).base != id.base || b.id(t).route != "" {
			t.Errorf("who = %q with cookie %v, want me in %v without route", who, b.id(t), id)
		}
	}
}

// STK-15: an instance that dies in the middle of the request that took the
// session over takes nothing with it.
func TestSTK15_CrashDuringTakeOver(t *testing.T) {
	ns := startNodes(t, 2)
	m1, m2, m3 := instance(t, stickyConfig(ns, "tc1")), instance(t, stickyConfig(ns, "tc2")), instance(t, stickyConfig(ns, "tc3"))
	b := new(browser)
	b.set(t, m1, "who", "me")
	rest(t, m1)
	crash(func() {
		b.clone().visit(m2, func(s *Session) {
			must(t, s.Set("who", "lost with tc2"))
			if got := b.get(t, m3, "who"); got != "me" { // tc2 has not answered, and is as good as dead
				t.Errorf("in the middle: who = %q, want me", got)
			}
			panic(http.ErrAbortHandler)
		})
	})
	if got := b.get(t, m3, "who"); got != "me" {
		t.Errorf("after the crash: who = %q, want me", got)
	}
}

// STK-16: when the session's node dies, the session goes to another one, under
// the same id, with one new cookie.
func TestSTK16_Relocation(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		old := b.id(t)
		ns.kill(old.node)
		time.Sleep(confirmInterval) // until then a sticky session that is only read needs no node
		who, cookie := b.look(t, m)
		now := b.id(t)
		if who != "me" || cookie == "" || now.base != old.base || now.node == old.node || now.node == "" {
			t.Fatalf("who = %q with cookie %v, want me in %s elsewhere than %s", who, now, old.base, old.node)
		}
		synctest.Wait()
		if _, ok := ns.copies(now.base)[now.node]; !ok {
			t.Errorf("not stored on %s", now.node)
		}
		if who, cookie := b.look(t, m); who != "me" || cookie != "" {
			t.Errorf("the request after: who = %q and cookie %q, want me and none", who, cookie)
		}
	})
}

// STK-19: while only failover nodes are up, sessions begin there; the cookie is
// sent once.
func TestSTK19_FailoverNodeOnly(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := stickyConfig(ns, "tc1")
	cfg.FailoverNodes = "n2"
	m := instance(t, cfg)
	ns.kill("n1")
	b := new(browser)
	b.set(t, m, "who", "me")
	if got := b.id(t).node; got != "n2" {
		t.Errorf("a new session is on %q, want n2", got)
	}
	if who, cookie := b.look(t, m); who != "me" || cookie != "" {
		t.Errorf("the second request: who = %q, cookie %q; want me and none", who, cookie)
	}
}

// STK-21: with synchronous backup a node that refuses the session costs nothing
// but its copy: the session stays in use, and its other copy is right.
func TestSTK21_RefusedStore(t *testing.T) {
	ns := startNodes(t, 3)
	m := instance(t, modes(ns)["sticky"])
	b := new(browser)
	b.set(t, m, "who", "me")
	sick := b.id(t).node
	ns.node(sick).SetFault(memcachetest.Fault{Fail: "SERVER_ERROR out of memory storing object"})
	b.set(t, m, "who", "you")
	if got := b.get(t, m, "who"); got != "you" || b.id(t).node == sick {
		t.Errorf("who = %q on %s, want you on another node", got, b.id(t).node)
	}
	other := stickyConfig(ns, "tc2")
	if got := b.get(t, instance(t, other), "who"); got != "you" {
		t.Errorf("at another instance: who = %q, want you", got)
	}
}

// STK-22: what could not be stored in the background is stored when the nodes
// are back, without another change, or any request at all.
func TestSTK22_FailedBackupIsRepeated(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.Route = "tc1"
		m := instance(t, cfg)
		b := new(browser)
		stored := func(want string) {
			t.Helper()
			for _, id := range []string{"n1", "n2"} {
				a, _ := find(ns.records(b.id(t).base)[id].attrs, "who")
				if got := string(a.data); got != want {
					t.Errorf("%s has who = %s, want %s", id, got, want)
				}
			}
		}
		b.set(t, m, "who", "me")
		b.set(t, m, "who", "you")
		synctest.Wait() // the backup is under way when the response leaves
		stored(`"you"`)
		ns.sicken(memcachetest.Fault{Fail: "SERVER_ERROR out of memory storing object"})
		b.set(t, m, "who", "them")
		if got := b.get(t, m, "who"); got != "them" {
			t.Errorf("while no node takes it: who = %q, want them", got)
		}
		time.Sleep(250 * time.Millisecond) // between two tries
		ns.sicken(memcachetest.Fault{})
		time.Sleep(sweepInterval - 500*time.Millisecond)
		stored(`"them"`)
	})
}

// STK-17: both nodes that have the session go at once: it is stored on the third,
// and what they bring back with them is old.
func TestSTK17_TwoOfThreeNodesDie(t *testing.T) {
	for _, empty := range []bool{true, false} {
		t.Run(fmt.Sprint("they come back empty: ", empty), func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.SessionBackupSync, cfg.Route = true, "tc1"
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				base, dead := b.id(t).base, ns.copies(b.id(t).base)
				for id := range dead {
					ns.refuse(id)
				}
				if got := b.get(t, m, "who"); got != "me" {
					t.Fatalf("who = %q, want me", got)
				}
				b.set(t, m, "who", "me again")
				newest := ns.newest(base)
				if _, gone := dead[newest[0]]; gone || len(newest) != 1 {
					t.Errorf("the newest copies are on %v, want one on the node that is left", newest)
				}
				cfg.Route = "tc2"
				other := instance(t, cfg)
				if got := b.get(t, other, "who"); got != "me again" {
					t.Errorf("at another instance: who = %q, want me again", got)
				}
				for id := range dead {
					if empty {
						ns.node(id).Flush()
					}
					ns.node(id).SetFault(memcachetest.Fault{})
					must(t, cfg.Client.On(id).Reach(t.Context()))
				}
				for _, m := range []*Manager{other, m} {
					time.Sleep(2 * confirmInterval)
					if got := b.get(t, m, "who"); got != "me again" {
						t.Errorf("when all nodes are back: who = %q, want me again", got)
					}
				}
				b.set(t, m, "who", "the same")
				if newest := ns.newest(base); len(newest) != 2 {
					t.Errorf("the newest copies are on %v, want two nodes", newest)
				}
			})
		})
	}
}
