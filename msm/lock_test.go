package msm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// testLocks returns the locks of one instance, and a session that has none yet.
func testLocks(client *memcache.Client, patience time.Duration) (*locks, *version) {
	k := newLocks(policy{all: true}, keyspace{}, 5*time.Second, patience, nil)
	s := &store{client: client, outreach: new(outreach)}
	v := s.newVersion("session")
	v.home = 0
	return k, v
}

// waiters is how many requests wait in the lane of a session.
func (k *locks) waiters(base string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ln := k.lanes[base]; ln != nil {
		return len(ln.waiting)
	}
	return 0
}

// size is the number of lanes.
func (k *locks) size() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.lanes)
}

// Within a process the lock goes from one to the next in the order in which they
// came, without a word to the node.
func TestLockOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		k, v := testLocks(bubbleClient(t, s, memcache.Text), time.Second)
		release, err := k.take(t.Context(), v)
		must(t, err)
		var (
			mu    sync.Mutex // guards order
			order []int
			group sync.WaitGroup
		)
		for i := range maxWaiters {
			group.Go(func() {
				release, err := k.take(t.Context(), v)
				must(t, err)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				release()
			})
			for k.waiters(v.base) <= i {
				time.Sleep(time.Millisecond) // the others come later
			}
		}
		before := s.Traffic().Total()
		release()
		group.Wait()
		if !slices.IsSorted(order) || len(order) != maxWaiters {
			t.Errorf("got the lock in the order %v", order)
		}
		if n := s.Traffic().Total() - before; n != 1 {
			t.Errorf("%d commands for %d requests, want 1: the last one gives it back", n, maxWaiters)
		}
		if k.size() != 0 || s.Len() != 0 {
			t.Errorf("left: %d lanes, items %v", k.size(), s.Items())
		}
	})
}

// Who gives up leaves the lane as it was; who is given the lock at that moment
// has it.
func TestLockWithdrawal(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		k, v := testLocks(bubbleClient(t, s, memcache.Text), time.Hour)
		release, err := k.take(t.Context(), v)
		must(t, err)
		var group sync.WaitGroup
		got := make([]time.Duration, 3)
		begin := time.Now()
		for i, patience := range []time.Duration{2 * time.Second, time.Second, 4 * time.Second} {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				release, err := k.take(ctx, v)
				got[i] = time.Since(begin)
				must(t, err)
				release()
			})
		}
		time.Sleep(3 * time.Second)
		if n := k.waiters(v.base); n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
		release()
		group.Wait()
		if want := []time.Duration{2 * time.Second, time.Second, 3 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("the requests went on after %v, want %v", got, want)
		}
		if k.size() != 0 || s.Len() != 0 {
			t.Errorf("left: %d lanes, items %v", k.size(), s.Items())
		}
	})
}

// Who gives up leaves its place in the queue on the node to the next one of its
// process, not to those of others who came later.
func TestLockPlaceIsPassedOn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		var ks [3]*locks
		var v *version
		for i := range ks {
			ks[i], v = testLocks(bubbleClient(t, s, memcache.Text), time.Minute)
		}
		release, err := ks[0].take(t.Context(), v)
		must(t, err)
		var (
			mu    sync.Mutex // guards order
			order []string
			group sync.WaitGroup
		)
		wait := func(name string, k *locks, patience time.Duration) {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				l, err := k.acquire(ctx, v)
				if err != nil {
					return
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				k.release(v.base, l)
			})
			time.Sleep(10 * time.Millisecond) // the others come later
		}
		wait("gives up", ks[1], 100*time.Millisecond)
		wait("gives up at the same time", ks[1], 90*time.Millisecond)
		wait("next", ks[1], time.Minute)
		wait("later, elsewhere", ks[2], time.Minute)
		time.Sleep(time.Second)
		before := s.Traffic().Total()
		release()
		group.Wait()
		if want := []string{"next", "later, elsewhere"}; !slices.Equal(order, want) {
			t.Errorf("got the lock in the order %q, want %q", order, want)
		}
		if n := s.Traffic().Total() - before; n > 20 {
			t.Errorf("%d commands until all had the lock, want 20 at most", n)
		}
		for i, k := range ks {
			if k.size() != 0 || s.Len() != 0 {
				t.Errorf("left: %d lanes of process %d, items %v", k.size(), i, s.Items())
			}
		}
	})
}

// Who has no time left when its turn comes asks the node for nothing.
func TestLockWithoutTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		k, v := testLocks(bubbleClient(t, s, memcache.Text), time.Minute)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := k.acquire(over, v); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		if n := s.Traffic().Total(); n != 0 || k.size() != 0 {
			t.Errorf("%d commands, %d lanes, want none", n, k.size())
		}
	})
}

// SR-57: a bounded number waits, and the next one is told at once.
func TestLockWaitersAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		k, v := testLocks(bubbleClient(t, s, memcache.Text), time.Minute)
		release, err := k.take(t.Context(), v)
		must(t, err)
		var group sync.WaitGroup
		for range maxWaiters {
			group.Go(func() {
				release, err := k.take(t.Context(), v)
				must(t, err)
				release()
			})
		}
		time.Sleep(time.Second)
		begin := time.Now()
		if _, err := k.take(t.Context(), v); err != ErrBusy || !errors.Is(err, ErrUnavailable) || time.Since(begin) > 0 {
			t.Errorf("got %v after %v, want ErrBusy at once", err, time.Since(begin))
		}
		release()
		group.Wait()
		release, err = k.take(t.Context(), v)
		must(t, err)
		release()
	})
}

// Instances take turns: none keeps the lock to itself because it is faster to
// take it again than the other one is to notice. Within a process and between
// two, nobody waits for more than five times what those before it need.
func TestLockIsFair(t *testing.T) {
	tests := []struct {
		name               string
		instances, clients int // clients of each instance
		work               time.Duration
		requests           int           // of all together
		took, waited       time.Duration // at most
		commands           int           // for one request, at most
	}{
		{"two instances", 2, 4, 5 * time.Millisecond, 200, 1100 * time.Millisecond, 45 * time.Millisecond, 8},
		{"two instances, one client each", 2, 1, 5 * time.Millisecond, 200, 1400 * time.Millisecond, 15 * time.Millisecond, 20},
		{"many instances", 20, 1, 5 * time.Millisecond, 400, 2300 * time.Millisecond, 120 * time.Millisecond, 30},
		{"a client alone", 1, 1, 5 * time.Millisecond, 200, time.Second, 0, 2},
		{"one instance", 1, 8, 5 * time.Millisecond, 200, time.Second, 40 * time.Millisecond, 1},
		{"short work", 2, 8, 100 * time.Microsecond, 2000, 400 * time.Millisecond, 40 * time.Millisecond, 1},
		{"long work", 2, 2, 50 * time.Millisecond, 200, 10500 * time.Millisecond, 170 * time.Millisecond, 60},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *memcachetest.Server) {
				var (
					group  sync.WaitGroup
					inside atomic.Int64
					waits  []time.Duration
				)
				begin := time.Now()
				total := tc.instances * tc.clients
				for i := range tc.instances {
					k, v := testLocks(bubbleClient(t, s, memcache.Text), time.Minute)
					for c := range tc.clients {
						group.Go(func() {
							time.Sleep(time.Duration(c*tc.instances+i) * tc.work / 10)
							for range tc.requests / total {
								start := time.Now()
								release, err := k.take(t.Context(), v)
								must(t, err)
								if inside.Add(1) > 1 {
									t.Error("two have the lock")
								}
								waits = append(waits, time.Since(start)) // with the lock
								time.Sleep(tc.work)
								inside.Add(-1)
								release()
							}
						})
					}
				}
				group.Wait()
				slices.Sort(waits)
				took, waited, commands := time.Since(begin), waits[len(waits)-1], s.Traffic().Total()
				t.Logf("%v; waited: half for %v, longest %v; %d commands", took, waits[len(waits)/2], waited, commands)
				if took > tc.took || waited > tc.waited || commands > tc.requests*tc.commands+10 {
					t.Errorf("want at most %v, longest %v, %d commands for a request", tc.took, tc.waited, tc.commands)
				}
			})
		})
	}
}

// A process hands the lock on to all that had come when its turn began, for
// however long that takes, and to others for a moment; then it is another
// process's turn.
func TestLockTurns(t *testing.T) {
	for _, tc := range []struct {
		work time.Duration
		want string // who has the lock, in this order: a1 and a2 had come when a's turn began
	}{
		{50 * time.Millisecond, "a1 a2 b a3 a4"},
		{time.Millisecond, "a1 a2 a3 a4 b"},
	} {
		inBubble(t, func(t *testing.T, s *memcachetest.Server) {
			var mu sync.Mutex // guards order
			var order []string
			var group sync.WaitGroup
			has := make(chan struct{}, 5)
			instances := map[string]*locks{}
			var v *version
			for _, name := range []string{"a", "b"} {
				instances[name], v = testLocks(bubbleClient(t, s, memcache.Text), time.Minute)
			}
			come := func(name string) {
				group.Go(func() {
					release, err := instances[name[:1]].take(t.Context(), v)
					must(t, err)
					mu.Lock()
					order = append(order, name)
					mu.Unlock()
					has <- struct{}{}
					time.Sleep(tc.work)
					release()
				})
				synctest.Wait()
			}
			stranger := testLease(bubbleClient(t, s, memcache.Text)) // on a third instance
			stranger.key = keyspace{}.lock(v.base)
			must(t, stranger.take(t.Context()))
			come("a1")
			come("a2")
			time.Sleep(10 * time.Millisecond)
			come("b")
			time.Sleep(10 * time.Millisecond)
			stranger.end()
			<-has // a's turn has begun
			come("a3")
			come("a4")
			group.Wait()
			if got := strings.Join(order, " "); got != tc.want {
				t.Errorf("work of %v: %s, want %s", tc.work, got, tc.want)
			}
		})
	}
}

// lockBubble is two instances over one node in a bubble.
func lockBubble(t *testing.T, s *memcachetest.Server, expiration, patience time.Duration) (ms [2]*Manager) {
	for i := range ms {
		client := lockClient(t, memcache.Config{Nodes: "node:11211", DialContext: s.DialContext})
		ms[i] = instance(t, Config{
			Client: client, NonSticky: true, SessionBackupSync: true,
			LockingMode: "all", LockExpiration: expiration, OperationTimeout: patience,
		})
	}
	return ms
}

// NST-08: who has waited for OperationTimeout goes on, stores what it changed,
// and leaves the lock alone. So does the next one: the time-out is one's own.
func TestLockTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		ms := lockBubble(t, s, 5*time.Second, time.Second)
		b := new(browser)
		b.set(t, ms[0], "name", "x")
		key := ms[0].core.Load().store.keys.lock(b.id(t).base)
		s.SetItem(memcachetest.Item{Key: key, Value: []byte("somebody"), Expires: time.Now().Add(time.Hour)})
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				begin := time.Now()
				b.clone().set(t, ms[i%2], fmt.Sprint("a", i), "x")
				if d := time.Since(begin); d < time.Second || d > 1010*time.Millisecond {
					t.Errorf("request %d took %v, want 1 s", i, d)
				}
			})
		}
		group.Wait()
		item, _ := s.Get(key)
		if !strings.HasPrefix(string(item.Value), "somebody") || time.Until(item.Expires) < 59*time.Minute {
			t.Errorf("the other one's lock is %q and expires in %v", item.Value, time.Until(item.Expires))
		}
		s.Delete(key)
		for i := range 4 {
			if got := b.get(t, ms[0], fmt.Sprint("a", i)); got != "x" {
				t.Errorf("a%d = %q, want x", i, got)
			}
		}
	})
}

// SR-58: an instance that dies keeps others waiting for LockExpiration, and up to
// 2 s more.
func TestLockOfTheDead(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		ms := lockBubble(t, s, 3*time.Second, time.Minute)
		b := new(browser)
		b.set(t, ms[0], "name", "x")
		key := ms[0].core.Load().store.keys.lock(b.id(t).base)
		dead := newLease(bubbleClient(t, s, memcache.Text), key, 3*time.Second, time.Second)
		must(t, dead.take(t.Context()))
		dead.timer.Stop() // it died
		begin := time.Now()
		b.set(t, ms[0], "a", "x")
		if d := time.Since(begin); d < 3*time.Second || d > 5*time.Second {
			t.Errorf("the request took %v, want 3 to 5 s", d)
		}
	})
}

// NST-31, SR-58: a handler that takes longer than LockExpiration keeps the lock;
// one that takes very much longer loses it, without harm.
func TestLongHandler(t *testing.T) {
	tests := []struct {
		takes, want time.Duration // want: until the second request has the lock, at least
	}{
		{4 * time.Second, 4 * time.Second},
		{20 * time.Second, 10 * time.Second},
	}
	for _, tc := range tests {
		t.Run(tc.takes.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *memcachetest.Server) {
				ms := lockBubble(t, s, time.Second, time.Minute)
				b := new(browser)
				b.count(t, ms[0])
				begin := time.Now()
				raise := func(takes time.Duration) func(s *Session) {
					return func(s *Session) {
						n, _, err := visits.Get(s)
						must(t, err)
						time.Sleep(takes)
						must(t, s.Set(fmt.Sprint("after ", takes), "x"))
						must(t, visits.Set(s, n+1))
					}
				}
				var group sync.WaitGroup
				group.Go(func() { b.clone().request(ms[0], "POST", "/", raise(tc.takes)) })
				synctest.Wait()
				var had time.Duration
				b.clone().request(ms[1], "POST", "/", func(s *Session) {
					read(s)
					had = time.Since(begin)
					raise(time.Minute)(s) // the first one ends meanwhile
				})
				group.Wait()
				if had < tc.want || had > tc.want+2*time.Second {
					t.Errorf("the second request had the lock after %v, want %v to %v", had, tc.want, tc.want+2*time.Second)
				}
				want := 3
				if tc.takes > tc.want {
					want = 2 // both have set it, to the same
				}
				b.request(ms[0], "GET", "/", func(s *Session) {
					n, _, err := visits.Get(s)
					must(t, err)
					names, err := s.Names()
					must(t, err)
					if n != want || len(names) != 3 {
						t.Errorf("visits = %d, attributes %q; want %d, and one of both requests", n, names, want)
					}
				})
			})
		})
	}
}

// A node that does not do locks, or is down, keeps nobody from the session.
func TestLockWithoutNode(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		client := bubbleClient(t, s, memcache.Text)
		k, v := testLocks(client, time.Second)
		for name, fault := range map[string]memcachetest.Fault{
			"refuses": {Refuse: true}, "hangs": {Hang: true}, "fails": {Fail: "SERVER_ERROR out of memory"}, "resets": {Reset: true},
		} {
			s.SetFault(fault)
			for range 2 {
				begin := time.Now()
				release, err := k.take(t.Context(), v)
				if err != nil {
					t.Errorf("%s: got %v, want to go on without", name, err)
				}
				release()
				if d := time.Since(begin); d > 2*time.Second {
					t.Errorf("%s: took %v", name, d)
				}
			}
			s.SetFault(memcachetest.Fault{})
			for client.Ping(t.Context()) != nil {
				time.Sleep(time.Millisecond)
			}
			s.Flush() // what the node has executed late
			release, err := k.take(t.Context(), v)
			must(t, err)
			if s.Len() != 1 {
				t.Errorf("after it %s: there is no lock", name)
			}
			release()
		}
		v.home = -1
		release, err := k.take(t.Context(), v)
		must(t, err)
		release()
		if k.size() != 0 || s.Len() != 0 {
			t.Errorf("left: %d lanes, items %v", k.size(), s.Items())
		}
	})
}
