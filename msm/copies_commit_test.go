package msm

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// The second copy is not touched before the session's node has taken the commit.
func TestCopiesCommit_NodeFirst(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m, b, base, places := stored(t, cfg)
		seen := make(chan [2]stamp, 1)
		b.visit(m, func(s *Session) {
			_, err := s.Get("who", new(string))
			must(t, err)
			ns.sicken(memcachetest.Fault{Delay: 10 * time.Millisecond})
			time.AfterFunc(5*time.Millisecond, func() {
				seen <- [2]stamp{ns.stampOn(places[0], base), ns.stampOn(places[1], base)}
			})
			must(t, s.Set("who", "you"))
		})
		if got := <-seen; got != [2]stamp{2, 1} {
			t.Errorf("while the session's node has not answered: stamps %#x, want 2 and 1", got)
		}
		if got := ns.stampOn(places[1], base); got != 2 {
			t.Errorf("acknowledged with stamp %#x on the second node, want 2", got)
		}
	})
}

// What comes late to the second node does not replace what is newer there.
func TestCopiesCommit_UpwardOnly(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.count(t, m)
		store := m.core.Load().store
		late, err := store.load(t.Context(), b.id(t).base, 0)
		must(t, err)
		b.count(t, m)
		node, second := late.roles()
		late.places[second] = replica{server: late.places[second].server} // as one that it was not told of
		store.spread(t.Context(), late, new(intent), node, second)
		for id := range ns.copies(b.id(t).base) {
			if got := ns.stampOn(id, b.id(t).base); got != 2 {
				t.Errorf("%s has stamp %#x, want 2", id, got)
			}
		}
	})
}

// The session's node takes the commit, and at the second one a higher epoch is
// found: others have gone on there. The commit is redone on what they have.
func TestCopiesCommit_HigherEpochAtTheSecond(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m, b, base, places := stored(t, cfg)
		b.visit(m, func(s *Session) {
			_, err := s.Get("who", new(string))
			must(t, err)
			ns.plant(base, stamp(0).takeover(), places[1], places[2], places[1], places[2])
			must(t, s.Set("who", "you"))
		})
		for id, rec := range ns.records(base) {
			if got := rec.attrNames(); got != "elsewhere who" {
				t.Errorf("%s has %s, want what both have stored", id, got)
			}
		}
		if got := b.id(t).epoch; got <= takeoverEpochs {
			t.Errorf("epoch %d, want one that outranks %d", got, takeoverEpochs)
		}
	})
}

// An asynchronous commit waits for the session's node, or, sticky, for none,
// unless it creates the session or takes it over. No one waits for the second
// copy.
func TestCopiesCommit_AsynchronousWaits(t *testing.T) {
	const delay = 10 * time.Millisecond
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.SessionBackupSync = false
		m := instance(t, cfg)
		cfg.Route = "tc2"
		other := instance(t, cfg)
		b := new(browser)
		must(t, cfg.Client.Ping(t.Context()))
		ns.sicken(memcachetest.Fault{Delay: delay})
		waits := func(what string, m *Manager, want time.Duration) {
			t.Helper()
			begin := time.Now()
			var before time.Duration
			b.visit(m, func(s *Session) {
				_, err := s.Get("who", new(string))
				must(t, err)
				before = time.Since(begin)
				must(t, s.Set("who", what))
			})
			if took := time.Since(begin) - before; took != want {
				t.Errorf("%s: the commit took %v, want %v", what, took, want)
			}
			time.Sleep(confirmInterval)
		}
		change := delay
		if !cfg.NonSticky {
			change = 0
		}
		waits("created", m, delay)
		waits("changed", m, change)
		waits("taken over", other, delay)
		waits("changed again", other, change)
		ns.sicken(memcachetest.Fault{})
	})
}

// The second node hangs: within SessionBackupTimeout the next one has the copy.
func TestCopiesDegraded_NextNodeInTime(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.SessionBackupTimeout = cfg.OperationTimeout / 10
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		places := walk(cfg, b.id(t).base)
		ns.node(places[1]).SetFault(memcachetest.Fault{Hang: true})
		begin := time.Now()
		b.set(t, m, "cart", "full")
		limit := 2 * cfg.SessionBackupTimeout
		if cfg.NonSticky {
			limit += cfg.OperationTimeout // of its load, which asks the second node, too
		}
		if took := time.Since(begin); took > limit {
			t.Errorf("took %v, want %v at most", took, limit)
		}
		for _, id := range []string{places[0], places[2]} {
			if rec := ns.records(b.id(t).base)[id]; rec == nil || rec.attrNames() != "cart who" {
				t.Errorf("acknowledged, and %s has %v", id, rec)
			}
		}
		ns.sicken(memcachetest.Fault{})
	})
}

// Nobody takes the second copy: the cookie of that very response refuses the one
// that was left behind.
func TestCopiesDegraded_AloneFences(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		home, second := b.id(t).node, walk(cfg, b.id(t).base)[1]
		ns.refuse(second)
		b.set(t, m, "who", "you")
		if id := b.id(t); id.node != home || id.epoch != 1 {
			t.Errorf("cookie %v, want %s and epoch 1", id, home)
		}
		ns.refuse(home)
		ns.heal(cfg, second)
		b.refused(t, cfg)
	})
}

// A node that leaves the pair keeps a copy one stamp below the session's epoch,
// which no cookie of it finds: when it held one of the two copies, and when it
// was alone, and hands the session over.
func TestCopiesDegraded_LeftOneBelow(t *testing.T) {
	for name, down := range map[string][]int{"second copy": {1}, "alone": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				m, b, base, places := stored(t, cfg)
				for _, i := range down {
					ns.goDown(t, cfg, m, b, places[i])
				}
				b.set(t, m, "who", "you")
				for _, i := range down {
					ns.heal(cfg, places[i])
				}
				b.set(t, m, "who", "them")
				if got := ns.newest(base); len(got) != 2 || slices.Contains(got, places[2]) {
					t.Errorf("the newest copies are on %v, want the first two of %v", got, places)
				}
				epoch := stamp(b.id(t).epoch) << epochBits
				if got := ns.stampOn(places[2], base); got != epoch-1 {
					t.Errorf("%s keeps stamp %#x, want %#x", places[2], got, epoch-1)
				}
				ns.refuse(places[0])
				ns.refuse(places[1])
				b.refused(t, cfg)
			})
		})
	}
}

// goDown takes a node down and lets the session notice.
func (ns *nodes) goDown(t *testing.T, cfg Config, m *Manager, b *browser, id string) {
	t.Helper()
	ns.refuse(id)
	cfg.Client.On(id).Ping(t.Context())
	b.count(t, m)
	synctest.Wait()
}

// NF for a CAS is a loss, not an end: the session is made again in the next epoch.
func TestCopiesEnd_LossIsNone(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		base := b.id(t).base
		b.visit(m, func(s *Session) {
			_, err := s.Get("who", new(string))
			must(t, err)
			for _, s := range ns.servers {
				s.Flush()
			}
			must(t, s.Set("cart", "full"))
		})
		if id := b.id(t); id.base != base || id.epoch == 0 {
			t.Errorf("cookie %v, want another epoch of %s", id, base)
		}
		lives(t, ns, b, DefaultMaxInactiveInterval)
		for id, rec := range ns.records(base) {
			if got := rec.attrNames(); got != "cart who" {
				t.Errorf("%s has %s, want all", id, got)
			}
		}
	})
}

// The second copy of an asynchronous commit is tried again after the nodes were
// out of reach.
func TestCopiesCommit_LateSecondCopyIsTriedAgain(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.NonSticky = true
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		rest(t, m)
		places := walk(cfg, b.id(t).base)
		ns.sicken(memcachetest.Fault{Delay: 10 * time.Millisecond})
		b.set(t, m, "cart", "full") // its second copy is on its way
		ns.node(places[1]).SetFault(memcachetest.Fault{Hang: true})
		ns.refuse(places[0])
		time.Sleep(time.Second)
		ns.sicken(memcachetest.Fault{})
		rest(t, m)
		time.Sleep(10 * time.Second)
		for id, rec := range ns.records(b.id(t).base) {
			if got := rec.attrNames(); got != "cart who" {
				t.Errorf("%s has %s, want all", id, got)
			}
		}
	})
}
