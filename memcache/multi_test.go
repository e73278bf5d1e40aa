package memcache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// batchOf makes n items with values of that size, and their keys.
func batchOf(n, size int) (items []*memcache.Item, keys []string) {
	for i := range n {
		key := fmt.Sprintf("key-%d", i)
		keys = append(keys, key)
		value := strings.Repeat(key+" ", size/len(key)+1)[:size]
		items = append(items, &memcache.Item{Key: key, Value: []byte(value), Flags: uint32(i)})
	}
	return items, keys
}

// checkFound compares what GetMulti found with items.
func checkFound(t *testing.T, found map[string]memcache.Item, items []*memcache.Item) {
	t.Helper()
	if len(found) != len(items) {
		t.Fatalf("got %d items, want %d", len(found), len(items))
	}
	for _, want := range items {
		got := found[want.Key]
		if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Flags != want.Flags || got.CAS == 0 {
			t.Fatalf("%s: got %.50v, want %.50v, with a CAS", want.Key, got, *want)
		}
	}
}

func TestMulti(t *testing.T) {
	leaktest.Check(t)
	onServers(t, func(t *testing.T, start func(testing.TB) string, p memcache.Protocol) {
		c := newClient(t, memcache.Config{Nodes: nodes(start(t), start(t), start(t)), Protocol: p, Timeout: 10 * time.Second})
		items, keys := batchOf(1000, 100)
		if err := c.SetMulti(ctx, items); err != nil {
			t.Fatal(err)
		}
		asked := append([]string{"absent"}, keys...)
		found, err := c.GetMulti(ctx, append(asked, keys[:10]...))
		if err != nil {
			t.Fatal(err)
		}
		checkFound(t, found, items)
		for _, n := range c.Stats().Nodes {
			if n.Hits < 200 {
				t.Errorf("node %s has %d hits: the keys were not spread", n.ID, n.Hits)
			}
		}
		item := found[keys[0]]
		if err := c.CompareAndSwap(ctx, &item); err != nil {
			t.Errorf("CompareAndSwap of an item from GetMulti: %v", err)
		}
		if err := c.DeleteMulti(ctx, append(keys[:500:500], "absent")); err != nil {
			t.Fatal(err)
		}
		if found, err = c.GetMulti(ctx, keys); err != nil {
			t.Fatal(err)
		}
		checkFound(t, found, items[500:])
		if found, err = c.GetMulti(ctx, nil); err != nil || len(found) != 0 {
			t.Errorf("no keys: got %v, %v", found, err)
		}
	})
}

func TestMultiPartial(t *testing.T) {
	onServers(t, func(t *testing.T, start func(testing.TB) string, p memcache.Protocol) {
		gone := memcachetest.NewServer()
		c := newClient(t, memcache.Config{Nodes: nodes(start(t), gone.Addr()), Protocol: p, Timeout: 10 * time.Second})
		gone.Close()
		items, keys := batchOf(300, 10)
		var here []*memcache.Item
		for _, item := range items {
			if c.Ring().Locate(item.Key).ID == "n1" {
				here = append(here, item)
			}
		}
		keys = append(keys, "bad key")
		large := &memcache.Item{Key: "huge", Value: make([]byte, 2<<20)}

		err := c.SetMulti(ctx, append(items, large))
		checkMultiError(t, c, err, append(keys[:300:300], "huge"))
		found, err := c.GetMulti(ctx, keys)
		checkFound(t, found, here)
		checkMultiError(t, c, err, keys)
		checkMultiError(t, c, c.DeleteMulti(ctx, keys), keys)
	})
}

// checkMultiError wants an error for the bad ones among keys and for those whose
// node is n2, which is down, and for no others.
func checkMultiError(t *testing.T, c *memcache.Client, err error, keys []string) {
	t.Helper()
	var multi *memcache.MultiError
	if !errors.As(err, &multi) {
		t.Fatalf("got %v, want a *MultiError", err)
	}
	if !errors.Is(err, memcache.ErrNodeDown) || errors.Is(err, memcache.ErrMiss) {
		t.Errorf("errors.Is looks into %v: it must see ErrNodeDown and no ErrMiss", err)
	}
	for _, key := range keys {
		var want error
		switch {
		case key == "bad key":
			want = memcache.ErrKey
		case key == "huge":
			want = memcache.ErrTooLarge
		case c.Ring().Locate(key).ID == "n2":
			want = memcache.ErrNodeDown
		}
		if got := multi.Errs[key]; !errors.Is(got, want) {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
		if strings.Contains(err.Error(), key) {
			t.Errorf("the text tells the key %q: %v", key, err)
		}
	}
}

// TestMultiHuge would hang if requests were sent without regard to the answers
// that wait: a server stops reading then.
func TestMultiHuge(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 400 MB per protocol")
	}
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			if raceEnabled && p != memcache.Text {
				t.Skip("slow, and the same code")
			}
			s := memcached.Start(t, "-m", "1024")
			c := newClient(t, memcache.Config{Nodes: nodes(s.Addr()), Protocol: p, Timeout: 20 * time.Second})
			items, keys := batchOf(20_000, 10_000)
			if err := c.SetMulti(ctx, items); err != nil {
				t.Fatal(err)
			}
			found, err := c.GetMulti(ctx, keys)
			if err != nil {
				t.Fatal(err)
			}
			checkFound(t, found, items)
		})
	}
}
