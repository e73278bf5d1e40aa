package msm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// What chaos runs have found, each in its simplest form.
func TestFoundByChaos(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		nonSticky    bool
		protocol     memcache.Protocol
		test         func(t *testing.T, w *memoryWard, ms []*Manager)
	}{
		{"renewed while another instance stores", "the new id got the older copy", true, memcache.Text, renewWhileStoring},
		{"renewed while another instance stores, classic", "no CAS is known after a store there", true, memcache.Classic, renewWhileStoring},
		{"used after a failed Renew", "the version was lost", true, memcache.Text, useAfterFailedRenew},
		{"a tombstone of a lower stamp", "commits went back and forth between it and the living copy", true, memcache.Text, lowTombstone},
		{"renewed while a request waits for its turn", "what that had stored was acknowledged, and nowhere", false, memcache.Text, renewWhileWaiting},
		{"two requests meet the same tombstone", "the second one was acknowledged", false, memcache.Text, twoMeetTombstone},
		{"Save gives up waiting", "its changes were published twice", false, memcache.Text, saveGivesUp},
		{"ended while both nodes are out of reach", "the third node's tombstone was not looked for", false, memcache.Text, endedElsewhere},
		{"ended while its node was out of reach", "when the second one fell silent the first was believed", false, memcache.Text, endedBehindItsNode},
		{"renewed while another instance stores elsewhere", "the end met the newer copy, and covered it", true, memcache.Text, renewWhileStoredElsewhere},
		{"a copy that was left behind", "where the session went, one node is silent and one came back empty", true, memcache.Text, leftBehind},
		{"stored where the session was", "it had moved on from a node that did not answer", true, memcache.Text, movedOn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newMemoryWard(t)
				var ms []*Manager
				for _, route := range []string{"app1", "app2"} {
					client, err := memcache.New(memcache.Config{
						Nodes: nodeList(w), Protocol: tt.protocol, DialContext: w.dial,
						Timeout: chaosOperationTimeout, DialTimeout: chaosOperationTimeout,
					})
					must(t, err)
					t.Cleanup(func() { client.Close() })
					ms = append(ms, instance(t, Config{
						Client: client, NonSticky: tt.nonSticky, Route: route, SessionBackupSync: true,
						OperationTimeout: chaosOperationTimeout, SessionBackupTimeout: chaosBackupTimeout,
					}))
				}
				tt.test(t, w, ms)
				if t.Failed() {
					t.Log("as it was once: ", tt.reason)
				}
			})
		})
	}
}

func renewWhileStoring(t *testing.T, _ *memoryWard, ms []*Manager) {
	b := new(browser)
	b.set(t, ms[0], "who", "me")
	b.visit(ms[0], func(s *Session) {
		_, err := s.Get("who", new(string))
		must(t, err)
		b.clone().set(t, ms[1], "what", "this")
		must(t, s.Renew())
	})
	if got := b.get(t, ms[1], "what"); got != "this" {
		t.Errorf("what = %q in the renewed session, want this", got)
	}
}

// useAfterFailedRenew lets the nodes fall silent at every instant of a Renew, and
// come back before the handler goes on.
func useAfterFailedRenew(t *testing.T, w *memoryWard, ms []*Manager) {
	for at := time.Duration(0); at < 4*time.Millisecond; at += 100 * time.Microsecond {
		b := new(browser)
		b.set(t, ms[0], "who", "me")
		resp := b.visit(ms[0], func(s *Session) {
			_, err := s.Get("who", new(string))
			must(t, err)
			fault := time.AfterFunc(at, func() { w.delays(2 * chaosOperationTimeout) })
			s.Renew()
			fault.Stop()
			synctest.Wait() // it may be at work
			w.delays(w.delay(0))
			time.Sleep(time.Minute) // until all late answers have come

			// Somebody else finds that the nodes are back.
			new(browser).visit(ms[0], func(s *Session) { s.Set("who", "the first") })
			time.Sleep(time.Second)
			s.Set("who", "else")
		})
		if resp.Code != http.StatusServiceUnavailable && resp.Code != http.StatusOK {
			t.Errorf("after %v: status %d", at, resp.Code)
		}
	}
}

// lowTombstone: what happens when the CAS of an end that was given up is
// executed after others have gone on without the node.
func lowTombstone(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.set(t, ms[0], "who", "me")
	base, store := b.id(t).base, ms[0].core.Load().store
	rec := &record{base: base, created: time.Now(), accessed: time.Now(), maxInactive: time.Minute, dead: invalidated}
	key := store.keys.session(base)
	for i := range wardSize {
		s := w.servers[i].Load()
		if item, ok := s.Get(key); ok {
			item.Value, item.Flags = rec.appendTo(nil), 0
			s.SetItem(item)
			break
		}
	}
	b.visit(ms[0], func(s *Session) {
		if ok, err := s.Get("who", new(string)); ok || err != nil {
			t.Errorf("Get = %v, %v, want no session", ok, err)
		}
	})
	for i := range wardSize {
		if rec, err := parseRecord(w.look(i, key)); err == nil && rec.dead == alive {
			t.Errorf("n%d has a living copy still", i+1)
		}
	}
}

func renewWhileWaiting(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.count(t, ms[0])
	sibling := b.clone()
	var group sync.WaitGroup
	group.Go(func() { b.visit(ms[0], func(s *Session) { must(t, s.Renew()) }) })
	group.Go(func() {
		sibling.visit(ms[0], func(s *Session) {
			_, _, err := visits.Get(s)
			must(t, err)
			time.Sleep(w.delay(0)) // Renew is at work by now
			must(t, increment(s))
		})
	})
	group.Wait()
	if got := b.count(t, ms[1]); got != 3 {
		t.Errorf("count = %d at the other instance, want 3", got)
	}
}

func twoMeetTombstone(t *testing.T, _ *memoryWard, ms []*Manager) {
	b := new(browser)
	b.count(t, ms[0])
	old := b.clone()
	b.visit(ms[1], func(s *Session) { must(t, s.Invalidate()) })
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			resp := old.clone().visit(ms[0], func(s *Session) {
				must(t, increment(s))
			})
			if resp.Code == http.StatusOK {
				t.Error("a change of a session that had ended was acknowledged")
			}
		})
	}
	group.Wait()
}

func saveGivesUp(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.count(t, ms[0])
	w.delays(chaosOperationTimeout / 2)
	var group sync.WaitGroup
	group.Go(func() { b.clone().count(t, ms[0]) }) // has the turn
	time.Sleep(time.Millisecond)
	b.clone().visit(ms[0], func(s *Session) {
		must(t, increment(s))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s.Save(ctx)
	})
	group.Wait()
	w.delays(0)
	time.Sleep(confirmInterval + chaosOperationTimeout)
	if got := b.count(t, ms[0]); got != 4 {
		t.Errorf("count = %d, want 4", got)
	}
}

func endedElsewhere(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.count(t, ms[0])
	old := b.clone()
	key := ms[0].core.Load().store.keys.session(b.id(t).base)
	var pair []int
	for i := range wardSize {
		if w.look(i, key) != nil {
			pair = append(pair, i)
		}
	}
	w.afflict(pair[0], cut)
	b.count(t, ms[1]) // moves on to the third
	w.afflict(pair[1], hung)
	b.visit(ms[1], func(s *Session) { must(t, s.Invalidate()) })
	time.Sleep(confirmInterval + chaosOperationTimeout)
	old.visit(ms[0], func(s *Session) {
		if n, ok, err := visits.Get(s); ok {
			t.Errorf("count = %d, %v in a session that has ended elsewhere", n, err)
		}
	})
}

func endedBehindItsNode(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.count(t, ms[0])
	old, tr := b.clone(), newTrio(t, w, ms[0], b)
	w.afflict(tr.first, hung)
	b.visit(ms[1], func(s *Session) { must(t, s.Invalidate()) })
	w.heal(tr.first, hung)
	w.afflict(tr.second, hung)
	time.Sleep(confirmInterval + chaosOperationTimeout)
	old.visit(ms[0], func(s *Session) {
		if n, ok, err := visits.Get(s); ok {
			t.Errorf("count = %d, %v in a session that has ended elsewhere", n, err)
		}
	})
}

// trio is a session's places: its node, that of its second copy, the third one.
type trio struct {
	w                    *memoryWard
	key                  string
	first, second, third int
}

func newTrio(t *testing.T, w *memoryWard, m *Manager, b *browser) trio {
	tr := trio{w: w, key: m.core.Load().store.keys.session(b.id(t).base), third: 3}
	for i := range wardSize {
		if rec, err := parseRecord(w.look(i, tr.key)); err == nil {
			number := func(name string) int { return int(name[1] - '1') }
			tr.first, tr.second = number(rec.node), number(rec.second)
		}
	}
	tr.third -= tr.first + tr.second
	return tr
}

// put makes the session's copies at those nodes what another instance has stored
// there: one attribute more, and another pair of nodes.
func (tr trio) put(t *testing.T, at stamp, node, second int, nodes ...int) {
	t.Helper()
	item, ok := tr.w.servers[tr.first].Load().Get(tr.key)
	rec, err := parseRecord(item.Value)
	if !ok || err != nil {
		t.Fatalf("no session: %v", err)
	}
	ch := new(changes)
	ch.set(attr{"elsewhere", codecJSON, []byte(`"yes"`)})
	rec, err = rec.with(ch)
	must(t, err)
	rec.node, rec.second = fmt.Sprint("n", node+1), fmt.Sprint("n", second+1)
	rec.nonces = rec.nonces.with(author(77).newNonce(), 0)
	for _, i := range nodes {
		item.Value, item.Flags = rec.appendTo(nil), uint32(at)
		tr.w.servers[i].Load().SetItem(item)
	}
}

func renewWhileStoredElsewhere(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.set(t, ms[0], "who", "me")
	tr := newTrio(t, w, ms[0], b)
	b.visit(ms[0], func(s *Session) {
		_, err := s.Get("who", new(string))
		must(t, err)
		tr.put(t, stamp(0).takeover(), tr.second, tr.third, tr.second, tr.third)
		must(t, s.Renew())
	})
	if got := b.get(t, ms[1], "elsewhere"); got != "yes" {
		t.Errorf("elsewhere = %q in the renewed session, want yes", got)
	}
}

func leftBehind(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.set(t, ms[0], "who", "me")
	tr := newTrio(t, w, ms[0], b)
	tr.put(t, stamp(0).fence().before(), tr.second, tr.third, tr.first)
	w.afflict(tr.second, hung)
	b.visit(ms[1], func(s *Session) {
		if ok, err := s.Get("who", new(string)); ok || !errors.Is(err, ErrUnavailable) {
			t.Errorf("Get = %v, %v, want ErrUnavailable: n%d may know better", ok, err, tr.second+1)
		}
	})
}

func movedOn(t *testing.T, w *memoryWard, ms []*Manager) {
	b := new(browser)
	b.set(t, ms[0], "who", "me")
	tr := newTrio(t, w, ms[0], b)
	old := b.clone()
	old.visit(ms[0], func(s *Session) {
		_, err := s.Get("who", new(string))
		must(t, err)
		tr.put(t, stamp(0).fence(), tr.first, tr.third, tr.first, tr.third)
		w.afflict(tr.first, dead)
		ms[0].core.Load().store.client.Ping(t.Context()) // it learns that
		must(t, s.Set("here", "yes"))
	})
	for _, name := range []string{"here", "elsewhere"} {
		if got := old.get(t, ms[1], name); got != "yes" {
			t.Errorf("%s = %q, want yes", name, got)
		}
	}
}
