package msm

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// NST-01, NST-34: when a synchronous response leaves, the session's node and
// another one have the session, for as long as it may be idle; an asynchronous
// one waits for the session's node.
func TestNST01_CopiesWhenTheResponseLeaves(t *testing.T) {
	for _, sync := range []bool{true, false} {
		t.Run(fmt.Sprint("sync=", sync), func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.NonSticky, cfg.SessionBackupSync = true, sync
				m := instance(t, cfg)
				b := new(browser)
				for i := range 20 {
					b.count(t, m)
					now := ns.records(b.id(t).base)
					if home := now[b.id(t).node]; home == nil || len(home.attrs) != 1 || string(home.attrs[0].data) != fmt.Sprint(i+1) {
						t.Fatalf("visit %d: its node %s has %v", i+1, b.id(t).node, home)
					}
					if sync {
						lives(t, ns, b, DefaultMaxInactiveInterval)
					}
					synctest.Wait()
					lives(t, ns, b, DefaultMaxInactiveInterval)
				}
			})
		})
	}
}

// NST-02, NODE-07: with one node there is one copy and nothing else.
func TestNST02_OneNode(t *testing.T) {
	ns := startNodes(t, 1)
	m := instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m, "who", "me")
	if ns.items() != 1 || ns.stores() != 1 {
		t.Errorf("%d items by %d stores, want 1 by 1", ns.items(), ns.stores())
	}
	b.set(t, m, "who", "you")
	if ns.items() != 1 || ns.stores() != 2 {
		t.Errorf("changed: %d items by %d stores, want 1 by 2", ns.items(), ns.stores())
	}
}

// NST-03: what one instance has answered, every other one knows.
func TestNST03_NoStaleSessions(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := nonStickyConfig(ns)
	cfg.SessionBackupSync = false
	m1, m2 := instance(t, cfg), instance(t, cfg)
	b := new(browser)
	for i := range 100 {
		want := fmt.Sprint(i)
		b.set(t, m1, "who", want)
		b.set(t, m2, "cart", want)
		if who, cart := b.get(t, m2, "who"), b.get(t, m1, "cart"); who != want || cart != want {
			t.Fatalf("round %d: who = %q, cart = %q", i, who, cart)
		}
	}
}

// NST-06: of two requests at a time the first to end is stored when it ends: it
// does not wait for the other one.
func TestNST06_FirstRequestIsStoredAtItsEnd(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m, "who", "me")
	b.visit(m, func(s *Session) {
		must(t, s.Set("slow", "x"))
		b.clone().set(t, m, "fast", "x")
		for id, rec := range ns.records(b.id(t).base) {
			if got := rec.attrNames(); got != "fast who" {
				t.Errorf("the first has ended, %s has %q, want fast and who", id, got)
			}
		}
	})
	for id, rec := range ns.records(b.id(t).base) {
		if got := rec.attrNames(); got != "fast slow who" {
			t.Errorf("both have ended, %s has %q, want all three", id, got)
		}
	}
}

// NST-16, REQ-02: a request that does not use its session costs nothing.
func TestNST16_UnusedSessionCostsNothing(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		before := ns.traffic()
		for _, b := range []*browser{b, new(browser)} {
			if w := b.visit(m, func(*Session) {}); w.Header().Get("Set-Cookie") != "" || w.Header().Get("Vary") != "" {
				t.Errorf("headers %v, want none of ours", w.Header())
			}
		}
		if got := ns.traffic() - before; got != 0 {
			t.Errorf("%d commands, want none", got)
		}
	})
}

// NST-17, NST-24, NST-21: a copy that was lost, either one, is found wanting by
// a request that only reads, which is served by the other, and made again.
func TestNST17_LostCopies(t *testing.T) {
	ns := startNodes(t, 3)
	m := instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m, "who", "me")
	for range 2 {
		for id := range ns.copies(b.id(t).base) {
			ns.node(id).Flush()
			if got := b.get(t, m, "who"); got != "me" {
				t.Fatalf("%s lost its copy: who = %q, want me", id, got)
			}
			if n := len(ns.copies(b.id(t).base)); n != 2 {
				t.Fatalf("%s lost its copy, and now there are %d, want 2", id, n)
			}
		}
	}
}

// NST-18, STK-13: an unknown id is looked up once; nothing follows at the end of
// the request.
func TestNST18_UnknownIDIsLookedUpOnce(t *testing.T) {
	inBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		must(t, m.core.Load().store.client.Ping(t.Context()))
		b := &browser{testBase + "-n1.tc1"}
		before, looked := ns.traffic(), 0
		b.visit(m, func(s *Session) {
			for range 10 {
				_, err := s.Get("who", new(string))
				must(t, err)
			}
			looked = ns.traffic()
		})
		if got := looked - before; got > 3 {
			t.Errorf("%d commands, want one for each of 3 places", got)
		}
		if got := ns.traffic() - looked; got != 0 {
			t.Errorf("%d commands at the end of the request, want none", got)
		}
	})
}

// NST-19, NST-20: the session's node is down, known or not known to be: the
// request has its session from the other node, its cookie says so, and it is
// stored there.
func TestNST19_NodeDown(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint("known to be down: ", known), func(t *testing.T) {
			ns := startNodes(t, 2)
			m := instance(t, nonStickyConfig(ns))
			b, other := new(browser), new(browser)
			b.count(t, m)
			other.set(t, m, "who", "else")
			old := b.id(t)
			ns.kill(old.node)
			if known {
				other.set(t, m, "who", "else again")
			}
			w := b.visit(m, func(s *Session) {
				if n, _, err := visits.Get(s); err != nil || n != 1 {
					t.Errorf("visits = %d, %v; want 1", n, err)
				}
				must(t, s.Set("who", "still me"))
			})
			now := b.id(t)
			if now.base != old.base || now.node == old.node || len(w.Header()["Set-Cookie"]) != 1 {
				t.Errorf("cookies %v, want one with the same id elsewhere than %s", w.Header()["Set-Cookie"], old.node)
			}
			if got := b.get(t, m, "who"); got != "still me" {
				t.Errorf("who = %q, want still me", got)
			}
		})
	}
}

// NST-21: with three nodes there are two copies also while one of them is down:
// the next one takes the copy, whether the session is changed or only read.
func TestNST21_ThirdNodeStandsIn(t *testing.T) {
	for _, change := range []bool{true, false} {
		t.Run(fmt.Sprint("changed: ", change), func(t *testing.T) {
			ns := startNodes(t, 3)
			m := instance(t, nonStickyConfig(ns))
			b := new(browser)
			b.set(t, m, "who", "me")
			home := b.id(t).node
			for id := range ns.copies(b.id(t).base) {
				if id != home {
					ns.kill(id)
				}
			}
			if change {
				b.set(t, m, "cart", "full")
			}
			if got := b.get(t, m, "who"); got != "me" {
				t.Fatalf("who = %q, want me", got)
			}
			ns.kill(home)
			if got := b.get(t, m, "who"); got != "me" {
				t.Errorf("the first node died after the second: who = %q, want me", got)
			}
		})
	}
}

// NST-22: while only one node is left there is one copy; when another comes
// back, a request that only reads makes the second copy there, which survives the
// first.
func TestNST22_SecondCopyWhenANodeReturns(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m, "who", "me")
	first := b.id(t).node
	ns.kill(first)
	b.set(t, m, "cart", "full")
	left := b.id(t).node
	ns.restart(first)
	poll(t, "there are two copies again", func() bool {
		if got := b.get(t, m, "who"); got != "me" {
			t.Fatalf("who = %q, want me", got)
		}
		return len(ns.copies(b.id(t).base)) == 2
	})
	ns.kill(left)
	if who, cart := b.get(t, m, "who"), b.get(t, m, "cart"); who != "me" || cart != "full" {
		t.Errorf("who = %q, cart = %q; want me and full", who, cart)
	}
}

// NST-23: a made-up id whose node hangs costs one time-out at most, and a
// bounded number of commands.
func TestNST23_MadeUpIDOfAHangingNode(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		ns.node("n1").SetFault(memcachetest.Fault{Hang: true})
		for range 5 {
			begin, commands := time.Now(), ns.traffic()
			b := &browser{newBase() + "-n1.tc1"}
			b.visit(m, func(s *Session) { s.Get("who", new(string)) })
			if took := time.Since(begin); took > 2*cfg.OperationTimeout {
				t.Errorf("took %v, want less than two time-outs of %v", took, cfg.OperationTimeout)
			}
			if n := ns.traffic() - commands; n > 2*3+2 { // the handshakes of two connections
				t.Errorf("%d commands, want 6 at most", n)
			}
		}
	})
}

// NST-26: with one node that has no id everything works.
func TestNST26_OneNodeWithoutID(t *testing.T) {
	ns := startNodes(t, 1)
	m := instance(t, Config{MemcachedNodes: ns.servers[0].Addr(), NonSticky: true})
	b := new(browser)
	for want := 1; want < 5; want++ {
		if got := b.count(t, m); got != want {
			t.Errorf("count = %d, want %d", got, want)
		}
	}
	if id := b.id(t); id.node != "" {
		t.Errorf("id %v has a node", id)
	}
}

// NST-30: a request that only reads, one that joins it and changes, and one on
// another instance that changes at the same time: nothing is lost.
func TestNST30_NoAttributeIsLost(t *testing.T) {
	ns := startNodes(t, 2)
	m1, m2 := instance(t, nonStickyConfig(ns)), instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m1, "who", "me")
	var loaded, done sync.WaitGroup
	loaded.Add(3)
	for i, m := range []*Manager{m1, m1, m2} {
		done.Go(func() {
			b.clone().visit(m, func(s *Session) {
				_, err := s.Get("who", new(string))
				if err != nil {
					t.Error(err)
				}
				loaded.Done()
				loaded.Wait()
				if i > 0 {
					err = s.Set(fmt.Sprint("a", i), "x")
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
	done.Wait()
	for id, rec := range ns.records(b.id(t).base) {
		if got := rec.attrNames(); got != "a1 a2 who" {
			t.Errorf("%s has %q, want a1, a2 and who", id, got)
		}
	}
}

// NST-32: where the protocol does not tell when a session was used last, the
// time of its last store stands in, and the session works.
func TestNST32_ProtocolsWithoutTimes(t *testing.T) {
	for name, protocol := range map[string]memcache.Protocol{"classic": memcache.Classic, "binary": memcache.Binary} {
		t.Run(name, func(t *testing.T) {
			ns := startNodes(t, 2)
			cfg := ns.config()
			client, err := memcache.New(memcache.Config{Nodes: cfg.MemcachedNodes, Protocol: protocol})
			must(t, err)
			defer client.Close()
			for mode, cfg := range both(Config{Client: client}) {
				m := instance(t, cfg)
				b := new(browser)
				for want := 1; want < 5; want++ {
					if got := b.count(t, m); got != want {
						t.Errorf("%s: count = %d, want %d", mode, got, want)
					}
				}
				b.visit(m, func(s *Session) {
					info, err := s.Info()
					if err != nil || time.Since(info.LastAccessed) > time.Minute {
						t.Errorf("%s: Info = %+v, %v; want an access just now", mode, info, err)
					}
				})
				shutdown(t, m)
			}
		})
	}
}
