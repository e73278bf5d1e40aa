package msm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// The rules about the two copies of a session, each in its simplest form. Which
// test shows which rule, copyRules says.

// walk returns the nodes in the order of the session's walk.
func walk(cfg Config, base string) (ids []string) {
	for n := range cfg.Client.Ring().Walk(base) {
		ids = append(ids, n.ID)
	}
	return ids
}

// stored returns a new session as its copies are looked at: an instance and a
// browser that have it, its base, and the nodes in the order of its walk.
func stored(t *testing.T, cfg Config) (m *Manager, b *browser, base string, places []string) {
	t.Helper()
	m, b = instance(t, cfg), new(browser)
	b.set(t, m, "who", "me")
	base = b.id(t).base
	return m, b, base, walk(cfg, base)
}

// stampOn is the stamp of a session's copy on a node.
func (ns *nodes) stampOn(id, base string) stamp {
	ns.t.Helper()
	item, ok := ns.copies(base)[id]
	if !ok {
		ns.t.Fatalf("%s has no copy", id)
	}
	return stamp(item.Flags)
}

// plant makes the copies on those nodes what another instance has stored there:
// one attribute more, on that pair of nodes.
func (ns *nodes) plant(base string, at stamp, node, second string, ids ...string) {
	ns.t.Helper()
	items := ns.copies(base)
	for _, item := range items {
		rec, err := parseRecord(item.Value)
		must(ns.t, err)
		ch := new(changes)
		ch.set(attr{"elsewhere", codecJSON, []byte(`"yes"`)})
		rec, err = rec.with(ch)
		must(ns.t, err)
		rec.node, rec.second = node, second
		rec.nonces = rec.nonces.with(author(77).newNonce(), 0)
		item.Value, item.Flags = rec.appendTo(nil), uint32(at)
		for _, id := range ids {
			ns.node(id).SetItem(item)
		}
		return
	}
	ns.t.Fatal("no session")
}

// heal lets a node come back with what it had, and the client of cfg notice.
func (ns *nodes) heal(cfg Config, id string) {
	ns.t.Helper()
	ns.node(id).SetFault(memcachetest.Fault{})
	must(ns.t, cfg.Client.On(id).Reach(ns.t.Context()))
	time.Sleep(2 * time.Second) // for what instances remember of it, and of the session
}

// refused checks that an instance that has no copy of its own sees neither an
// old state of the session nor none.
func (b *browser) refused(t *testing.T, cfg Config) {
	t.Helper()
	cfg.Route = "tc9"
	b.clone().visit(instance(t, cfg), func(s *Session) {
		var who string
		if ok, err := s.Get("who", &who); ok || !errors.Is(err, ErrUnavailable) {
			t.Errorf("from the copy that was left behind: who = %q, %v, %v; want ErrUnavailable", who, ok, err)
		}
	})
}

func TestCopiesStamp_CommitAddsOne(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		for want := stamp(1); want < 5; want++ {
			b.count(t, m)
			for id, item := range ns.copies(b.id(t).base) {
				if got := stamp(item.Flags); got != want {
					t.Errorf("commit %d: the flags on %s are %#x", want, id, got)
				}
			}
		}
	})
}

// What is decided at the second node is of an epoch that no fence starts, and the
// way back to the first node is a fence.
func TestCopiesStamp_RelocationFences(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		home := b.id(t).node
		ns.refuse(home)
		b.set(t, m, "who", "you")
		if away := b.id(t); away.node == home || away.epoch != takeoverEpochs {
			t.Errorf("without %s the cookie is %v, want another node and epoch %d", home, away, takeoverEpochs)
		}
		ns.heal(cfg, home)
		b.set(t, m, "who", "them")
		if back := b.id(t); back.node != home || back.epoch != takeoverEpochs+1 {
			t.Errorf("%s is back, and the cookie is %v; want that node and epoch %d", home, back, takeoverEpochs+1)
		}
	})
}

// The second copy moves to the third node: the one that it leaves is refused by
// the cookie of that very response.
func TestCopiesStamp_SecondCopyThatMovesFences(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		places := walk(cfg, b.id(t).base)
		ns.refuse(places[1])
		b.set(t, m, "who", "you")
		if got := b.id(t).epoch; got != 1 {
			t.Errorf("epoch %d, want 1", got)
		}
		ns.refuse(places[0])
		ns.refuse(places[2])
		ns.heal(cfg, places[1])
		b.refused(t, cfg)
	})
}

func TestCopiesStamp_EndFences(t *testing.T) {
	for how, end := range map[string]func(*Session) error{"Invalidate": (*Session).Invalidate, "Renew": (*Session).Renew} {
		t.Run(how, func(t *testing.T) {
			bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				base := b.id(t).base
				b.visit(m, func(s *Session) { must(t, end(s)) })
				for id := range ns.copies(base) {
					if got := ns.stampOn(id, base); got.epoch() != 1 {
						t.Errorf("the tombstone on %s has stamp %#x, want the next epoch", id, got)
					}
				}
			})
		})
	}
}

// The walk is the same whatever nodes are up, and an id is searched on its first
// 4 nodes and no other.
func TestCopiesPlaces_FirstFourOfTheWalk(t *testing.T) {
	bubbleInBothModes(t, 6, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		want := walk(cfg, testBase)[:4]
		places := func() (ids []string) {
			v := m.core.Load().store.newVersion(testBase)
			for i := range v.n {
				ids = append(ids, v.places[i].server.id)
			}
			return ids
		}
		if got := places(); !slices.Equal(got, want) {
			t.Errorf("places %v, want %v", got, want)
		}
		must(t, cfg.Client.Ping(t.Context()))
		before := make(map[string]int)
		for i, s := range ns.servers {
			before[nodeID(i)] = s.Traffic().Total()
		}
		(&browser{testBase + "-" + want[0]}).look(t, m)
		for i, s := range ns.servers {
			asked := s.Traffic().Total() - before[nodeID(i)]
			if slices.Contains(want, nodeID(i)) != (asked == 1) || asked > 1 {
				t.Errorf("%s got %d commands; the places are %v", nodeID(i), asked, want)
			}
		}
		ns.refuse(want[1])
		cfg.Client.Ping(t.Context()) // it learns that
		if got := places(); !slices.Equal(got, want) {
			t.Errorf("with %s down: places %v, want %v", want[1], got, want)
		}
	})
}

func TestCopiesPlaces_FailoverNodesTakeSecondCopies(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.FailoverNodes = "n2"
		m := instance(t, cfg)
		for range 5 {
			b := new(browser)
			b.set(t, m, "who", "me")
			if copies := ns.copies(b.id(t).base); b.id(t).node != "n1" || len(copies) != 2 {
				t.Errorf("on %s with %d copies, want n1 with 2", b.id(t).node, len(copies))
			}
		}
	})
}

// A load is one round trip to both nodes at once; the second one does not send
// the value.
func TestCopiesLoad_OneRound(t *testing.T) {
	const delay = 10 * time.Millisecond
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		b := new(browser)
		b.set(t, instance(t, cfg), "who", strings.Repeat("x", 10_000))
		ns.sicken(memcachetest.Fault{Delay: delay})
		cfg.Route = "tc2"
		m := instance(t, cfg)
		var before []memcachetest.Traffic
		for _, s := range ns.servers {
			before = append(before, s.Traffic())
		}
		begin := time.Now()
		b.clone().look(t, m)
		if took := time.Since(begin); took != delay {
			t.Errorf("took %v, want %v", took, delay)
		}
		places := walk(cfg, b.id(t).base)
		for i, want := range []struct {
			commands    int
			least, most int64 // bytes
		}{{1, 10_000, 11_000}, {1, 1, 200}, {0, 0, 0}} {
			was, now := before[ns.index(places[i])], ns.node(places[i]).Traffic()
			if commands, sent := now.Total()-was.Total(), now.Sent-was.Sent; commands != want.commands || sent < want.least || sent > want.most {
				t.Errorf("place %d answered %d commands by %d bytes, want %d by %d to %d", i+1, commands, sent, want.commands, want.least, want.most)
			}
		}
	})
}

// A copy that was lost is made again by add, which refuses what was stored there
// since: a session that ends while it is being repaired has ended. Sticky,
// both copies were lost.
func TestCopiesLoad_RepairAddsOnly(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		for at := time.Duration(1); at < 40*time.Millisecond; at += time.Millisecond {
			m := instance(t, cfg)
			b := new(browser)
			b.set(t, m, "who", "me")
			base := b.id(t).base
			rec := *ns.records(base)[b.id(t).node]
			rec.dead, rec.attrs = invalidated, nil
			lost := walk(cfg, base)[1]
			item := ns.copies(base)[lost]
			item.Value, item.Flags = rec.appendTo(nil), uint32(stamp(item.Flags).fence())
			ns.node(lost).Flush()
			if !cfg.NonSticky {
				lost = b.id(t).node
				ns.node(lost).Flush()
			}
			ns.sicken(memcachetest.Fault{Delay: 5 * time.Millisecond})
			time.Sleep(confirmInterval)
			end := time.AfterFunc(at, func() { ns.node(lost).SetItem(item) })
			b.clone().visit(m, func(s *Session) { s.Get("who", new(string)) })
			time.Sleep(confirmInterval) // it has ended by now
			end.Stop()
			ns.sicken(memcachetest.Fault{})
			if got := b.get(t, m, "who"); got != "" {
				t.Errorf("ended after %v: who = %q", at, got)
			}
		}
	})
}

// A node that has come back unnoticed is asked before an older copy is believed
// that names it.
func TestCopiesLoad_NodeIsBackUnnoticed(t *testing.T) {
	type learn struct{ mode, by string }
	for _, l := range []learn{{"sticky", "a request"}, {"non-sticky", "a request"}, {"sticky", "a ping"}, {"non-sticky", "a ping"}} {
		bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
			w1, w2 := newWire(t, ns, memcache.Config{}), newWire(t, ns, memcache.Config{})
			cfg1, cfg2 := both(w1.config())[l.mode], both(w2.config())[l.mode]
			cfg2.Route = "tc2"
			b := new(browser)
			b.set(t, instance(t, cfg2), "who", "me")
			places := walk(cfg, b.id(t).base)
			m1 := instance(t, cfg1)
			w1.separate(places[0])
			if l.by == "a request" {
				(&browser{testBase}).visit(m1, func(s *Session) { s.Get("who", new(string)) })
			} else { // and nobody has tried to reach it
				w1.client.Ping(t.Context())
			}
			synctest.Wait()
			w2.separate(places[1])
			b.clone().set(t, instance(t, cfg2), "who", "you")
			w1.separate()
			if got := b.get(t, m1, "who"); got != "you" {
				t.Errorf("%s, learned by %s: who = %q, want you", l.mode, l.by, got)
			}
			w2.separate()
		})
	}
}

// The last access is told by what is left to an item; a protocol that does not
// tell that has the time of the last store.
func TestCopiesLoad_LastAccess(t *testing.T) {
	const pause = 10 * time.Minute
	for protocol, want := range map[memcache.Protocol]time.Duration{memcache.Text: pause, memcache.Classic: 2 * pause, memcache.Binary: 2 * pause} {
		bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
			cfg.Client, cfg.NonSticky = newWire(t, ns, memcache.Config{Protocol: protocol}).client, true
			m := instance(t, cfg)
			b := new(browser)
			b.set(t, m, "who", "me")
			for read := range 2 {
				time.Sleep(pause)
				b.visit(m, func(s *Session) {
					info, err := s.Info()
					must(t, err)
					if idle := time.Since(info.LastAccessed); read == 1 && (idle-want).Abs() > time.Second {
						t.Errorf("%v: used last %v ago, want %v", protocol, idle, want)
					}
				})
			}
		})
	}
}

// deafConn loses the reply to the next store once deaf is set, and breaks.
type deafConn struct {
	net.Conn
	deaf *atomic.Bool
	lost atomic.Bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("ms ")) && c.deaf.CompareAndSwap(true, false) {
		c.lost.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p) // until it was executed
	if c.lost.Load() {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// A commit that was executed and whose reply was lost is found by its nonce, and
// not made again.
func TestCopiesUnknownOutcome_NonceIsFound(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		var deaf atomic.Bool
		dial := newWire(t, ns, memcache.Config{}).dial
		client, err := memcache.New(memcache.Config{
			Nodes: ns.config().MemcachedNodes, Timeout: cfg.OperationTimeout,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				return &deafConn{Conn: conn, deaf: &deaf}, err
			},
		})
		must(t, err)
		defer client.Close()
		cfg.Client = client
		m := instance(t, cfg)
		b := new(browser)
		b.count(t, m)
		home := b.id(t).node
		for want := 2; want < 10; want++ {
			deaf.Store(true)
			if got := b.count(t, m); got != want {
				t.Fatalf("count = %d, want %d", got, want)
			}
			synctest.Wait()
			if deaf.Load() {
				t.Fatal("no store was sent")
			}
			if id := b.id(t); id.node != home || id.epoch != 0 {
				t.Fatalf("cookie %v, want it unchanged: the commit was done", id)
			}
		}
		shutdown(t, m)
	})
}
