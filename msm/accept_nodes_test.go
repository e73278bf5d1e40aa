package msm

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// ID-10, NODE-08: the second copy lies on the next node of the walk that is up;
// with none there is one copy.
func TestID10_SecondCopy(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		for range 10 {
			b := new(browser)
			b.set(t, m, "who", "me")
			var walk []string
			for n := range cfg.Client.Ring().Walk(b.id(t).base) {
				walk = append(walk, n.ID)
			}
			want := func(what string, places ...string) {
				t.Helper()
				b.count(t, m)
				got := ns.newest(b.id(t).base)
				if slices.Sort(places[1:]); !slices.Equal(got, slices.Sorted(slices.Values(places))) || b.id(t).node != places[0] {
					t.Errorf("%s: copies on %v, with the session on %s; want them on %v", what, got, b.id(t).node, places)
				}
			}
			want("all up", walk[0], walk[1])
			ns.refuse(walk[1])
			want("the second down", walk[0], walk[2])
			ns.refuse(walk[2])
			want("only one left", walk[0])
			ns.comeBack(t, cfg, walk[1:]...)
			want("all back", walk[0], walk[1])
		}
	})
}

// AV-01, AV-02: nothing asks a node how it is: what operations meet tells. A
// node that refused is not asked again at once, and one that is back is used
// soon.
func TestAV01_HealthCostsNoCommands(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		if ns.traffic() != 0 {
			t.Errorf("New sent %d commands, want none", ns.traffic())
		}
		b := new(browser)
		b.set(t, m, "who", "me")
		home := b.id(t).node
		ns.node(home).SetFault(memcachetest.Fault{Refuse: true})
		b.count(t, m)
		if got := b.id(t).node; got == home {
			t.Errorf("still on %s", got)
		}
		ns.node(home).SetFault(memcachetest.Fault{})
		for end := time.Now().Add(10 * time.Second); b.id(t).node != home; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("on %s 10 s after %s came back", b.id(t).node, home)
			}
			b.count(t, m)
		}
		before := ns.traffic()
		time.Sleep(time.Hour)
		if got := ns.traffic() - before; got != 0 {
			t.Errorf("%d commands while nobody came, want none", got)
		}
	})
}

// AV-03: a node that hangs costs the first request one time-out, and the ones
// after it nothing.
func TestAV03_HangingNode(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		home := b.id(t).node
		ns.node(home).SetFault(memcachetest.Fault{Hang: true})
		for i := range 50 {
			begin := time.Now()
			if got := b.count(t, m); got != i+1 {
				t.Errorf("request %d: count = %d", i+1, got)
			}
			limit := time.Duration(0)
			if i == 0 {
				limit = cfg.OperationTimeout + 100*time.Millisecond
			}
			if took := time.Since(begin); took > limit {
				t.Errorf("request %d took %v, want %v at most", i+1, took, limit)
			}
			if got := b.id(t).node; got == home {
				t.Errorf("request %d: the session is still on %s", i+1, home)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// AV-05: a session that is too large is that session's trouble: the node stays
// up, and others are stored.
func TestAV05_OversizeIsNoOutage(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b, other := new(browser), new(browser)
		b.set(t, m, "who", "me")
		other.set(t, m, "who", "else")
		before := ns.stores()
		if w := b.visit(m, func(s *Session) { s.Set("huge", strings.Repeat("x", 1<<20)) }); w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", w.Code)
		}
		if got := ns.stores() - before; got != 0 {
			t.Errorf("%d stores of it, want none: what a server refuses it deletes", got)
		}
		if !m.core.Load().store.client.Up() {
			t.Error("a node is taken for down")
		}
		other.set(t, m, "who", "else again")
		if got := b.get(t, m, "who"); got != "me" {
			t.Errorf("the session it happened to: who = %q, want me", got)
		}
	})
}

// AV-06: an operation of a node that is down fails at once; nothing of it goes
// to a node where the session has no place.
func TestAV06_NothingIsRedistributed(t *testing.T) {
	ns := startNodes(t, 6)
	w := newWire(t, ns, memcache.Config{Failover: memcache.NextNode})
	for mode, cfg := range both(w.config()) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		v := m.core.Load().store.newVersion(b.id(t).base)
		places := make(map[string]bool)
		for i := range v.n {
			places[v.places[i].server.id] = true
		}
		for id := range places {
			ns.node(id).SetFault(memcachetest.Fault{Refuse: true})
		}
		begin := time.Now()
		b.visit(m, func(s *Session) { s.Set("who", "you") })
		if took := time.Since(begin); took > w.config().OperationTimeout {
			t.Errorf("%s: took %v with every place refusing", mode, took)
		}
		if len(places) != maxPlaces {
			t.Errorf("%s: %d places, want %d", mode, len(places), maxPlaces)
		}
		for id := range ns.copies(b.id(t).base) {
			if !places[id] {
				t.Errorf("%s: %s has a copy and is none of the session's places", mode, id)
			}
		}
		ns.sicken(memcachetest.Fault{})
		must(t, w.client.Reach(t.Context()))
	}
}

// AV-04: however many requests meet a node that is down when a probe is due, one
// of them probes, and once more for those that came while it did, if the node
// lets them wait. One that refuses at once costs less than it does to be wrong
// about it: there every request tries before it does without.
func TestAV04_Probes(t *testing.T) {
	const requests = 50
	for name, tc := range map[string]struct {
		fault memcachetest.Fault
		most  int
	}{
		"hangs":   {memcachetest.Fault{Hang: true}, 2},
		"refuses": {memcachetest.Fault{Refuse: true}, requests + 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				w := newWire(t, ns, memcache.Config{})
				cfg = w.config()
				cfg.NonSticky = true
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				synctest.Wait() // the second copy
				ill := b.id(t).node
				ns.node(ill).SetFault(tc.fault)
				b.get(t, m, "who")
				time.Sleep(10 * time.Second) // a probe is due
				w.dials()
				var group sync.WaitGroup
				for range requests {
					group.Go(func() {
						if got := b.clone().get(t, m, "who"); got != "me" {
							t.Errorf("who = %q, want me", got)
						}
					})
				}
				group.Wait()
				synctest.Wait()
				// Of the other node's, a crowd may want a second one.
				tried := slices.DeleteFunc(w.dials(), func(id string) bool { return id != ill })
				if len(tried) == 0 || len(tried) > tc.most {
					t.Errorf("%d connections were tried, want 1 to %d", len(tried), tc.most)
				}
			})
		})
	}
}
