package msm

import (
	"context"
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
			time.Sleep(time.Minute)                                                   // until all late answers have come
			new(browser).visit(ms[0], func(s *Session) { s.Set("who", "the first") }) // finds that the nodes are back
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
			must(t, visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil }))
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
				must(t, visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil }))
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
		must(t, visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s.Save(ctx)
	})
	group.Wait()
	w.delays(0)
	time.Sleep(chaosStaleness)
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
	time.Sleep(chaosStaleness)
	old.visit(ms[0], func(s *Session) {
		if n, ok, err := visits.Get(s); ok {
			t.Errorf("count = %d, %v in a session that has ended elsewhere", n, err)
		}
	})
}
