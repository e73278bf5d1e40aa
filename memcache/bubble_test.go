package memcache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// inBubbles runs a test over each protocol, with a server without sockets.
func inBubbles(t *testing.T, test func(t *testing.T, s *memcachetest.Server, c *memcache.Client)) {
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memcachetest.NewMemServer()
				defer s.Close()
				c, err := memcache.New(memcache.Config{Nodes: "n1:cache:11211", Protocol: p, DialContext: s.DialContext})
				must(t, err)
				defer c.Close()
				test(t, s, c)
			})
		})
	}
}

// TestBubble: a Client and a server without sockets live in a synctest bubble,
// where hours cost nothing. Users test their own expiry so.
func TestBubble(t *testing.T) {
	inBubbles(t, func(t *testing.T, s *memcachetest.Server, c *memcache.Client) {
		must(t, c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("one"), TTL: time.Hour}))
		time.Sleep(59 * time.Minute)
		must(t, c.Touch(ctx, "key", time.Hour))
		time.Sleep(59 * time.Minute)
		if item, err := c.Get(ctx, "key"); err != nil || string(item.Value) != "one" {
			t.Errorf("after 118 minutes: got %q, %v, want one", item.Value, err)
		}
		time.Sleep(2 * time.Minute)
		if err := getError(c, "key"); err != memcache.ErrMiss {
			t.Errorf("after 120 minutes: got %v, want ErrMiss", err)
		}

		s.SetFault(memcachetest.Fault{Hang: true})
		begin := time.Now()
		if err := getError(c, "key"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if d := time.Since(begin); d != memcache.DefaultTimeout {
			t.Errorf("took %v, want %v", d, memcache.DefaultTimeout)
		}
		synctest.Wait()
		if err := getError(c, "key"); !errors.Is(err, memcache.ErrNodeDown) || time.Since(begin) > memcache.DefaultTimeout {
			t.Errorf("got %v after %v, want ErrNodeDown at once", err, time.Since(begin))
		}
		s.SetFault(memcachetest.Fault{})
		for getError(c, "key") != memcache.ErrMiss {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(begin) - memcache.DefaultTimeout; d > 50*time.Millisecond {
			t.Errorf("used again after %v, want at most 30 ms and a little", d)
		}
	})
}

// TestBubbleDelay: a slow server is as slow for many keys as for one, in every
// protocol, however many commands they go out as.
func TestBubbleDelay(t *testing.T) {
	const delay = 100 * time.Millisecond
	inBubbles(t, func(t *testing.T, s *memcachetest.Server, c *memcache.Client) {
		items, keys := batchOf(100, 10)
		must(t, c.SetMulti(ctx, items))
		s.SetFault(memcachetest.Fault{Delay: delay})
		for _, n := range []int{1, 20, 100} {
			begin := time.Now()
			found, err := c.GetMulti(ctx, keys[:n])
			if d := time.Since(begin); err != nil || len(found) != n || d != delay {
				t.Errorf("%d keys: got %d, %v after %v, want all after %v", n, len(found), err, d, delay)
			}
		}
	})
}
