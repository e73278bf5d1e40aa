package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/ring"
)

// TestNothingIsKept: what callers pass in is theirs again when the operation is
// over, however it ended; under the race detector nobody looks at it any more,
// and no server gets what they have done to it since.
func TestNothingIsKept(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			s := newServer(t)
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, Timeout: 10 * time.Second})
			must(t, c.Ping(ctx))
			s.SetFault(memcachetest.Fault{Delay: time.Millisecond})
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					for i := range 12 {
						hasty, cancel := context.WithTimeout(ctx, time.Duration(i%5)*time.Millisecond)
						passIn(hasty, c, worker, i)
						cancel()
					}
				})
			}
			wg.Wait()
			s.SetFault(memcachetest.Fault{})
			must(t, c.Ping(ctx)) // behind all that was given up
			for _, item := range s.Items() {
				if strings.Contains(string(item.Value), "!") || strings.Contains(item.Key, "!") {
					t.Errorf("%.20q: got %.20q, which was written to what the caller had back", item.Key, item.Value)
				}
			}
		})
	}
}

// passIn carries out operations that ctx may end, and then spoils what they got.
func passIn(ctx context.Context, c *memcache.Client, worker, n int) {
	size := []int{10, 1000, 20_000, 100_000}[n%4]
	items, keys := batchOf(20, size)
	for i := range items {
		items[i].Key = fmt.Sprintf("%d-%s", worker, keys[i])
		keys[i] = items[i].Key
	}
	buf := make([]byte, 0, 200_000)
	c.SetMulti(ctx, items)
	c.Set(ctx, items[0])
	c.GetInto(ctx, keys[0], buf)
	c.GetMulti(ctx, keys)
	c.DeleteMulti(ctx, keys[:5])
	for i, item := range items {
		for j := range item.Value {
			item.Value[j] = '!'
		}
		item.Key, items[i] = "!", nil
	}
	for i := range keys {
		keys[i] = "!"
	}
	clear(buf[:cap(buf)])
}

// TestCloseRaces closes Clients while everything else is done to them: each
// operation ends, and Close returns when no connection is left.
func TestCloseRaces(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			var all []ring.Node
			var servers []*memcachetest.Server
			for _, id := range []string{"n1", "n2", "n3"} {
				s := newServer(t)
				servers = append(servers, s)
				all = append(all, ring.Node{ID: id, Addr: s.Addr()})
			}
			whole, err := ring.New(ring.XXHash, all...)
			must(t, err)
			less, err := whole.Without("n2")
			must(t, err)
			for round := range 20 {
				c, err := memcache.New(memcache.Config{Ring: whole, Protocol: p, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second, Failover: memcache.Failover(round % 2)})
				must(t, err)
				closeUnder(t, c, whole, less, round)
				for _, s := range servers {
					eventually(t, "the server sees no connection", func() bool { return s.Traffic().Open == 0 })
				}
			}
		})
	}
}

// closeUnder closes c after so many operations of several goroutines.
func closeUnder(t *testing.T, c *memcache.Client, whole, less *ring.Ring, after int) {
	var closed atomic.Bool
	var done atomic.Int64
	right := func(what string, err error) {
		done.Add(1)
		if err != nil && err != memcache.ErrMiss && !errors.Is(err, memcache.ErrClosed) {
			t.Errorf("%s: got %v, want success or ErrClosed", what, err)
		}
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			items, keys := batchOf(40, 3000)
			for i := worker; ; i++ {
				over := closed.Load()
				right("Set", c.Set(ctx, items[i%40]))
				_, err := c.GetMulti(ctx, keys)
				right("GetMulti", err)
				right("SetMulti", c.SetMulti(ctx, items))
				if over {
					return // a round after Close was as the ones before it
				}
			}
		})
	}
	wg.Go(func() {
		for i := 0; ; i++ {
			over := closed.Load()
			right("SetRing", c.SetRing([]*ring.Ring{less, whole}[i%2]))
			if over {
				return
			}
		}
	})
	eventually(t, "operations are over", func() bool { return done.Load() >= int64(after) })
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() { must(t, c.Close()) })
	}
	closers.Wait()
	closed.Store(true)
	wg.Wait()
}
