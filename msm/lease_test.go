package msm

import (
	"context"
	"fmt"
	"strings"
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

func TestLeaseIsOnes(t *testing.T) {
	ctx := context.Background()
	onLockServers(t, func(t *testing.T, client *memcache.Client) {
		first, second := testLease(client), testLease(client)
		must(t, first.take(ctx))
		if err := second.take(ctx); err != memcache.ErrNotStored {
			t.Fatalf("taking what is taken: got %v, want ErrNotStored", err)
		}
		if first.end() {
			t.Error("the first lease was wanted; nobody waited")
		}
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

// A lease that is wanted elsewhere is renewed and given back all the same, and
// who gives it back learns of it.
func TestLeaseIsWanted(t *testing.T) {
	ctx := context.Background()
	onLockServers(t, func(t *testing.T, client *memcache.Client) {
		first, second := testLease(client), testLease(client)
		must(t, first.take(ctx))
		got := make(chan error, 1)
		go func() { got <- second.await(ctx, time.Time{}) }() // ends when first does
		poll(t, "the second waits", func() bool {
			item, err := client.Get(ctx, leaseKey)
			must(t, err)
			return string(item.Value) == first.token+wantedMark
		})
		first.renew()
		if !first.end() {
			t.Error("the first lease was not wanted")
		}
		must(t, <-got)
		if second.end() {
			t.Error("the second lease was wanted; nobody waited")
		}
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

// Nobody waits for a lock that nobody has, because its answer came too late.
func TestLeaseInDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		client := bubbleClient(t, s, memcache.Text)
		must(t, client.Ping(t.Context()))
		l := testLease(client)
		s.SetFault(memcachetest.Fault{Delay: 2 * time.Second})
		if err := l.take(t.Context()); err == nil || !l.doubtful {
			t.Fatalf("take: got %v, doubtful: %v, want an error and doubt", err, l.doubtful)
		}
		s.SetFault(memcachetest.Fault{})
		for client.Ping(t.Context()) != nil {
			time.Sleep(10 * time.Millisecond)
		}
		if _, ok := s.Get(leaseKey); !ok {
			t.Fatal("the node has not taken the lock: this test shows nothing")
		}
		l.drop()
		if _, ok := s.Get(leaseKey); ok {
			t.Error("the lock is still there")
		}
		if l := testLease(client); l.take(t.Context()) != nil {
			t.Error("the lock cannot be taken")
		} else {
			l.end()
		}
	})
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

// Many instances that wait leave one word for the one that has the lock, not
// one each time they look.
func TestLeaseStaysSmall(t *testing.T) {
	inBubble(t, func(t *testing.T, s *memcachetest.Server) {
		client := bubbleClient(t, s, memcache.Text)
		first := testLease(client)
		must(t, first.take(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		failed := make(chan error)
		const n = 5
		for range n {
			go func() { failed <- testLease(client).await(ctx, time.Time{}) }() // ends with ctx
		}
		for range n {
			if err := <-failed; err == nil {
				t.Error("somebody has got what is taken")
			}
		}
		item, _ := s.Get(leaseKey)
		if mark, ok := strings.CutPrefix(string(item.Value), first.token); !ok || mark == "" || len(mark) > n {
			t.Errorf("after 10 s the item is %q, want the first one's token and 1 to %d marks", item.Value, n)
		}
		if looks := s.Traffic().Total(); looks > n*11_000 {
			t.Errorf("%d commands in 10 s, want at most %d", looks, n*11_000)
		}
		first.end()
		if s.Len() != 0 {
			t.Error(fmt.Sprint("left: ", s.Items()))
		}
	})
}
