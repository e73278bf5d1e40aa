package msm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// lockProtocols are those in which leases differ.
var lockProtocols = map[string]memcache.Protocol{"meta": memcache.Meta, "classic": memcache.Classic, "binary": memcache.Binary}

// onLockServers runs test on one node, in every protocol, over memcachetest and
// over real memcached.
func onLockServers(t *testing.T, test func(t *testing.T, client *memcache.Client)) {
	starts := map[string]func(t *testing.T) string{
		"fake": func(t *testing.T) string { return startNodes(t, 1).servers[0].Addr() },
		"real": func(t *testing.T) string { return memcached.Start(t).Addr() },
	}
	for kind, start := range starts {
		for name, p := range lockProtocols {
			t.Run(kind+"/"+name, func(t *testing.T) {
				test(t, lockClient(t, memcache.Config{Nodes: "n1:" + start(t), Protocol: p}))
			})
		}
	}
}

func lockClient(t *testing.T, cfg memcache.Config) *memcache.Client {
	t.Helper()
	client, err := memcache.New(cfg)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// inBubble runs test in a bubble, where time passes when everybody waits, with a
// server that is reached by dial.
func inBubble(t *testing.T, test func(t *testing.T, s *memcachetest.Server)) {
	synctest.Test(t, func(t *testing.T) {
		s := memcachetest.NewMemServer()
		defer s.Close()
		test(t, s)
	})
}

func bubbleClient(t *testing.T, s *memcachetest.Server, p memcache.Protocol) *memcache.Client {
	return lockClient(t, memcache.Config{Nodes: "n1:node:11211", Protocol: p, DialContext: s.DialContext})
}

const leaseKey = "lock:x"

func testLease(client *memcache.Client) *lease {
	return newLease(client, leaseKey, 5*time.Second, time.Second)
}

// awaitOrLeave is await for one that leaves its place to nobody.
func (l *lease) awaitOrLeave(ctx context.Context) error {
	err := l.await(ctx)
	if err != nil && l.withdraw() {
		return nil
	}
	return err
}

func TestLeaseIsOnes(t *testing.T) {
	ctx := context.Background()
	onLockServers(t, func(t *testing.T, client *memcache.Client) {
		first, second := testLease(client), testLease(client)
		must(t, first.take(ctx))
		if err := second.take(ctx); err != memcache.ErrNotStored {
			t.Fatalf("taking what is taken: got %v, want ErrNotStored", err)
		}
		first.end()
		must(t, second.take(ctx))
		first.end() // once more: it is not its any more
		if item, err := client.Get(ctx, leaseKey); err != nil || string(item.Value) != second.token {
			t.Errorf("after a late end of the first: got %q, %v, want the token of the second", item.Value, err)
		}
		second.end()
		if _, err := client.Get(ctx, leaseKey); err != memcache.ErrMiss {
			t.Errorf("after the end: got %v, want ErrMiss", err)
		}
	})
}

// inQueue waits until a lease is in the queue of leaseKey.
func inQueue(t *testing.T, client *memcache.Client, l *lease) {
	t.Helper()
	poll(t, "the lease is in the queue", func() bool {
		item, err := client.Get(t.Context(), leaseKey)
		must(t, err)
		return strings.HasSuffix(string(item.Value), "+"+l.token)
	})
}

// Whoever ends a lease, renewed or not, leaves it to the first who still waits.
func TestLeaseGoesToTheFirst(t *testing.T) {
	onLockServers(t, func(t *testing.T, client *memcache.Client) {
		first, second, third, fourth := testLease(client), testLease(client), testLease(client), testLease(client)
		must(t, first.take(t.Context()))
		done := make(map[*lease]chan error)
		impatient, cancel := context.WithCancel(t.Context())
		for _, l := range []*lease{second, third, fourth} {
			ctx := t.Context()
			if l == second {
				ctx = impatient
			}
			done[l] = make(chan error, 1)
			go func() { done[l] <- l.awaitOrLeave(ctx) }() // ends when its turn comes, or by cancel
			inQueue(t, client, l)
		}
		first.renew()
		cancel()
		if err := <-done[second]; !errors.Is(err, context.Canceled) {
			t.Errorf("the second, which did not wait for its turn: got %v, want Canceled", err)
		}
		first.end()
		must(t, <-done[third])
		first.end() // once more: it is not its any more
		if item, err := client.Get(t.Context(), leaseKey); err != nil || !strings.HasPrefix(string(item.Value), third.token) {
			t.Errorf("got %q, %v, want the token of the third", item.Value, err)
		}
		select {
		case err := <-done[fourth]:
			item, _ := client.Get(t.Context(), leaseKey)
			t.Fatalf("the fourth does not wait for the third: %v; item %q, third %s, fourth %s", err, item.Value, third.token, fourth.token)
		default:
		}
		third.end()
		must(t, <-done[fourth])
		fourth.end()
		if _, err := client.Get(t.Context(), leaseKey); err != memcache.ErrMiss {
			t.Errorf("after the last: got %v, want ErrMiss", err)
		}
	})
}

func TestLeaseQueue(t *testing.T) {
	a, b, c := strings.Repeat("A", tokenLen), strings.Repeat("B", tokenLen), strings.Repeat("C", tokenLen)
	tests := []struct{ reason, queue, want, rest, waiting string }{
		{"nobody", "", "", "", ""},
		{"one", "+" + a, a, "", "+" + a},
		{"the first of two", "+" + a + "+" + b, a, "+" + b, "+" + a + "+" + b},
		{"the first has left", "+" + a + "+" + b + "-" + a, b, "-" + a, "+" + b},
		{"all have left", "+" + a + "+" + b + "-" + b + "-" + a, "", "", ""},
		{"who has left before is passed over", "-" + a + "+" + b + "+" + c, b, "+" + c, "+" + b + "+" + c},
		{"the second has left", "+" + a + "+" + b + "-" + b + "+" + c, a, "+" + b + "-" + b + "+" + c, "+" + a + "+" + c},
		{"not ours", "?", "", "", ""},
		{"cut short", "+" + a + "+" + b[1:], a, "+" + b[1:], "+" + a},
	}
	for _, tc := range tests {
		if token, rest := heir(tc.queue); token != tc.want || rest != tc.rest {
			t.Errorf("%s: heir(%q) = %q, %q, want %q, %q", tc.reason, tc.queue, token, rest, tc.want, tc.rest)
		}
		for _, token := range []string{a, b, c} {
			want := strings.Index(tc.waiting, token) / (1 + tokenLen)
			switch got := ahead(tc.queue, token); {
			case strings.Contains(tc.waiting, token) && (got < 0 || got > want),
				!strings.Contains(tc.queue, "+"+token) && got != -1:
				t.Errorf("%s: %d ahead of %.1s, want %d at most", tc.reason, got, token, want)
			}
		}
		if got := waiting(tc.queue); got != tc.waiting {
			t.Errorf("%s: waiting(%q) = %q, want %q", tc.reason, tc.queue, got, tc.waiting)
		}
	}
	if got := ahead("?+"+a+"+"+b+"+"+c+"-"+a, c); got != 1 {
		t.Errorf("%d ahead of the third, of which one has left, want 1", got)
	}
	if l := testLease(nil); len(l.token) != tokenLen {
		t.Errorf("a token has %d bytes, want %d", len(l.token), tokenLen)
	}
}

// An heir that has died while it waited keeps others waiting for 1 to 2 s; one
// that has not renews the lease at once.
func TestLeaseOfTheDeadHeir(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		client := bubbleClient(t, s, memcache.Text)
		first, dead, third := testLease(client), testLease(client), testLease(client)
		must(t, first.take(t.Context()))
		must(t, dead.say(t.Context(), "+"))
		got := make(chan error)
		go func() { got <- third.await(t.Context()) }() // ends when the dead one's time is over
		inQueue(t, client, third)
		begin := time.Now()
		first.end()
		must(t, <-got)
		if d := time.Since(begin); d < time.Second || d > 2010*time.Millisecond {
			t.Errorf("the third waited for %v, want 1 to 2 s", d)
		}
		go func() { got <- dead.await(t.Context()) }() // ends when the third one does
		inQueue(t, client, dead)
		third.end()
		must(t, <-got)
		time.Sleep(20 * time.Second)
		if item, _ := s.Get(leaseKey); string(item.Value) != dead.token {
			t.Errorf("after 20 s: got %q, want the token of the heir", item.Value)
		}
		dead.end()
	})
}

// A CAS whose connection has died vouches for nothing: the token does.
func TestLeaseOverDeadConnections(t *testing.T) {
	for name, p := range lockProtocols {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *memcachetest.Server) {
				l := testLease(bubbleClient(t, s, p))
				must(t, l.take(t.Context()))
				for _, step := range []func(){l.renew, func() { l.end() }} {
					s.SetFault(memcachetest.Fault{Refuse: true})
					s.SetFault(memcachetest.Fault{})
					time.Sleep(time.Second) // until the node is tried again
					step()
				}
				if l.renewals != 1 || s.Len() != 0 {
					t.Errorf("%d renewals, %d items, want 1 and none", l.renewals, s.Len())
				}
			})
		})
	}
}

// Nobody waits for a lock that nobody has, because an answer came too late: that
// it was given, or that somebody has joined its queue.
func TestLeaseInDoubt(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprint("somebody has it: ", held), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *memcachetest.Server) {
				client := bubbleClient(t, s, memcache.Text)
				holder, l := testLease(client), testLease(client)
				if held {
					must(t, holder.take(t.Context()))
				}
				must(t, client.Ping(t.Context()))
				s.SetFault(memcachetest.Fault{Delay: 600 * time.Millisecond}) // of 1 s for each command
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if !held {
					s.SetFault(memcachetest.Fault{Delay: 2 * time.Second})
				}
				if err := l.awaitOrLeave(ctx); err == nil || !l.open {
					t.Fatalf("await: got %v, open: %v, want an error and doubt", err, l.open)
				}
				s.SetFault(memcachetest.Fault{})
				poll(t, "the node is up", func() bool { return client.Ping(t.Context()) == nil })
				if item, _ := s.Get(leaseKey); !strings.Contains(string(item.Value), l.token) {
					t.Fatal("the node has not done what was asked: this test shows nothing")
				}
				l.drop()
				if held {
					holder.end()
				}
				if item, ok := s.Get(leaseKey); ok {
					t.Errorf("the lock is still there: %q", item.Value)
				}
			})
		})
	}
}

// Whatever becomes of the item, those who wait for the lock get it, one after
// the other.
func TestLeaseIsHadByAll(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(t *testing.T, s *memcachetest.Server, first *lease)
		within  time.Duration // until both had it
	}{
		"it is given back": {func(_ *testing.T, _ *memcachetest.Server, first *lease) { first.end() }, 30 * time.Millisecond},
		"it is evicted":    {func(_ *testing.T, s *memcachetest.Server, _ *lease) { s.Delete(leaseKey) }, 30 * time.Millisecond},
		"the node comes back empty": {func(t *testing.T, s *memcachetest.Server, _ *lease) {
			s.SetFault(memcachetest.Fault{Reset: true})
			time.Sleep(time.Millisecond)
			s.Flush()
			s.SetFault(memcachetest.Fault{})
		}, 30 * time.Millisecond},
		"its holder dies": {func(_ *testing.T, _ *memcachetest.Server, first *lease) { first.timer.Stop() }, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range lockProtocols {
				inBubble(t, func(t *testing.T, s *memcachetest.Server) {
					client := bubbleClient(t, s, p)
					first := testLease(client)
					must(t, first.take(t.Context()))
					var inside atomic.Int64
					var group sync.WaitGroup
					for range 2 {
						group.Go(func() {
							l := testLease(client)
							defer l.drop()
							if err := l.await(t.Context()); err != nil {
								t.Logf("goes on without: %v", err)
								return
							}
							if inside.Add(1) > 1 {
								t.Error("two have it")
							}
							time.Sleep(5 * time.Millisecond)
							inside.Add(-1)
							l.end()
						})
					}
					time.Sleep(20 * time.Millisecond) // they wait
					begin := time.Now()
					tc.happens(t, s, first)
					group.Wait()
					if took := time.Since(begin); took > tc.within {
						t.Errorf("it took %v, want %v at most", took, tc.within)
					}
					first.end()
					if s.Len() != 0 {
						t.Errorf("left: %v", s.Items())
					}
				})
			}
		})
	}
}

// A lease lives as long as it is renewed, which is not for ever. SR-58
func TestLeaseRenews(t *testing.T) {
	for name, p := range lockProtocols {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *memcachetest.Server) {
				l := testLease(bubbleClient(t, s, p))
				must(t, l.take(t.Context()))
				begin := time.Now()
				const lives = maxRenewals/2*5*time.Second + 5*time.Second
				time.Sleep(lives)
				if _, ok := s.Get(leaseKey); !ok {
					t.Errorf("the lock is gone after %v", lives)
				}
				for s.Len() > 0 {
					time.Sleep(100 * time.Millisecond)
				}
				if d := time.Since(begin); d > lives+2*time.Second {
					t.Errorf("the lock lived for %v, want %v and 2 s at most", d, lives)
				}
				l.end()
			})
		})
	}
}

// A lease that was lost, to an eviction, is not another's to renew or end.
func TestLeaseIsLost(t *testing.T) {
	for name, p := range lockProtocols {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *memcachetest.Server) {
				client := bubbleClient(t, s, p)
				first, second := testLease(client), testLease(client)
				must(t, first.take(t.Context()))
				s.Delete(leaseKey)
				must(t, second.take(t.Context()))
				time.Sleep(20 * time.Second)
				first.end()
				if item, _ := s.Get(leaseKey); string(item.Value) != second.token {
					t.Errorf("got %q, want the token of the second", item.Value)
				}
				if first.renewals != 1 {
					t.Errorf("%d tries to renew what is lost, want 1", first.renewals)
				}
				second.end()
			})
		})
	}
}

// Those who come and go leave a few words each, and do not look too often.
func TestLeaseStaysSmall(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		client := bubbleClient(t, s, memcache.Text)
		first := testLease(client)
		must(t, first.take(t.Context()))
		const rounds, n = 2, 4
		for range rounds {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			failed := make(chan error)
			for range n {
				go func() { failed <- testLease(client).awaitOrLeave(ctx) }() // ends with ctx
			}
			for range n {
				if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("waiting for what is taken: got %v, want DeadlineExceeded", err)
				}
			}
			cancel()
		}
		item, _ := s.Get(leaseKey)
		if got, want := len(item.Value), tokenLen+rounds*n*2*(1+tokenLen); got > want {
			t.Errorf("the item has %d bytes, want %d at most", got, want)
		}
		if looks := s.Traffic().Total(); looks > rounds*n*1100 {
			t.Errorf("%d commands in %d s, want %d for each that waits", looks, rounds, 1100)
		}
		time.Sleep(5 * time.Second) // it is renewed
		if item, _ := s.Get(leaseKey); string(item.Value) != first.token {
			t.Errorf("when all have gone, the item is %q, want the token alone", item.Value)
		}
		first.end()
		if s.Len() != 0 {
			t.Errorf("left: %v", s.Items())
		}
	})
}
