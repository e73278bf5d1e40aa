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
)

const (
	shortTimeout = 40 * time.Millisecond
	workers      = 8
	workerKeys   = 5
)

// TestFaults: whatever the network does, nobody gets what is another's: no
// value, no outcome.
func TestFaults(t *testing.T) {
	leaktest.Check(t)
	faults := []struct {
		name   string
		damage func(p memcache.Protocol) damage // of replies
		cut    func(w *wire)                    // of connections, now and then
	}{
		{name: "late", damage: func(memcache.Protocol) damage { return sometimes(50, late) }},
		{name: "duplicate", damage: func(memcache.Protocol) damage { return sometimes(5, duplicate) }},
		{name: "duplicate all", damage: func(memcache.Protocol) damage { return duplicate }},
		{name: "truncate", damage: func(memcache.Protocol) damage { return sometimes(20, truncate) }},
		{name: "reset", damage: func(memcache.Protocol) damage { return sometimes(20, reset) }},
		{name: "flip", damage: func(p memcache.Protocol) damage { return sometimes(5, flip(p)) }},
		{name: "4 GB", damage: func(p memcache.Protocol) damage { return sometimes(5, inflate(p)) }},
		{name: "RST", cut: func(w *wire) { w.cut(rst) }},
		{name: "FIN", cut: func(w *wire) { w.cut(fin) }},
		{name: "half-close", cut: (*wire).halfClose},
	}
	for _, p := range protocols {
		server := startReal(t)
		for _, f := range faults {
			t.Run(protocolName(p)+"/"+f.name, func(t *testing.T) {
				w := newWire(t, server)
				c := newClient(t, memcache.Config{Nodes: nodes(w.addr()), Protocol: p, Timeout: shortTimeout, DialTimeout: shortTimeout})
				victim := newVictim(t, c, p, server)
				if f.damage != nil {
					d := f.damage(p)
					w.damage.Store(&d)
				}
				hurt := func() bool { return victim.failed.Load() > 0 || c.Stats().Nodes[0].Dials > 1 }
				begin := time.Now() // a busy machine takes longer to draw a fault
				victim.work(func() bool {
					took := time.Since(begin)
					return took < 150*time.Millisecond || !hurt() && took < 10*time.Second
				}, func() {
					if f.cut != nil {
						f.cut(w)
					}
				})
				w.damage.Store(nil)
				if !hurt() {
					t.Error("nothing has failed: the fault is none")
				}
				t.Logf("%d operations, %d failed", victim.done.Load(), victim.failed.Load())
				eventually(t, "all is well again", func() bool { _, err := c.Get(ctx, victim.key(0, 0)); return err == nil })
			})
		}
	}
}

// TestCancellations: callers that leave at any moment, a thousand a second and
// more, take nothing from those that stay.
func TestCancellations(t *testing.T) {
	leaktest.Check(t)
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			server := startReal(t)
			c := newClient(t, memcache.Config{Nodes: nodes(server), Protocol: p, Timeout: 10 * time.Second})
			victim := newVictim(t, c, p, server)
			victim.hasty = true
			begin := time.Now()
			victim.work(func() bool { return victim.left.Load() < 3000 && time.Since(begin) < 20*time.Second }, func() {})
			if n := victim.left.Load(); n < 3000 {
				t.Errorf("%d callers have left in 20 s, want 3,000", n)
			}
			t.Logf("3,000 callers have left in %v", time.Since(begin))
			if n := c.Stats().Nodes[0]; n.Dials > memcache.DefaultConns || n.Protocol+n.Lost > 0 {
				t.Errorf("got %+v: connections have died", n)
			}
		})
	}
}

// victim is a number of callers, each with keys of its own, who check what they get.
type victim struct {
	*testing.T
	*memcache.Client
	prefix string
	keyed  bool // replies other than hits say whose they are
	absent []string
	hasty  bool // every other operation is cancelled soon

	done, failed, left atomic.Int64
}

// newVictim stores a value under every key, by a way without faults.
func newVictim(t *testing.T, c *memcache.Client, p memcache.Protocol, server string) *victim {
	t.Helper()
	sound := newClient(t, memcache.Config{Nodes: nodes(server), Timeout: 10 * time.Second})
	v := &victim{T: t, Client: c, prefix: strings.ReplaceAll(t.Name(), " ", "-"), keyed: p != memcache.Classic}
	for i := range 30 {
		v.absent = append(v.absent, v.key(workers, i))
	}
	for worker := range workers {
		for i := range workerKeys {
			key := v.key(worker, i)
			must(t, sound.Set(ctx, &memcache.Item{Key: key, Value: v.value(key, 0)}))
		}
	}
	return v
}

func (v *victim) key(worker, i int) string { return fmt.Sprintf("%s-%d-%d", v.prefix, worker, i) }

// value is what a caller stores under a key as its n-th value.
func (v *victim) value(key string, n int) []byte {
	return fmt.Appendf(nil, "%s = %d%s", key, n, strings.Repeat(".", n*997%5000))
}

// work lets all callers work while more says so, and calls disturb every now
// and then.
func (v *victim) work(more func() bool, disturb func()) {
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for n := 1; more(); n++ {
				v.step(worker, n)
			}
		})
	}
	for more() {
		disturb()
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
}

// step is one round of a caller's operations.
func (v *victim) step(worker, n int) {
	ctx := ctx
	if v.hasty && n%2 == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(n%100)*time.Microsecond)
		defer cancel()
	}
	key := v.key(worker, n%workerKeys)
	item, err := v.Get(ctx, key)
	if v.may("Get", err) {
		v.owns("Get", key, item)
	}
	var keys []string
	for i := range workerKeys {
		keys = append(keys, v.key(worker, i))
	}
	if v.keyed && n%2 == 0 { // Text asks for many keys in another way
		keys = append(keys, v.absent...)
	}
	found, err := v.GetMulti(ctx, keys)
	if v.may("GetMulti", err) && len(found) != workerKeys {
		v.Errorf("GetMulti: got %d items of %d, and no error", len(found), workerKeys)
	}
	for key, item := range found {
		v.owns("GetMulti", key, item)
	}
	clear(keys) // they are the caller's again, however it ended
	if v.keyed {
		v.change(ctx, key, item, n)
	}
}

// change is what can be verified only where all replies say whose they are.
func (v *victim) change(ctx context.Context, key string, item memcache.Item, n int) {
	if item, err := v.Get(ctx, key+"-absent"); v.may("Get of an absent key", err, memcache.ErrMiss) {
		v.Errorf("an absent key has the value %.80q", item.Value)
	}
	if err := v.Add(ctx, &memcache.Item{Key: key, Value: []byte("foreign")}); v.may("Add", err, memcache.ErrNotStored) {
		v.Error("an item was added where there is one")
	}
	if item.CAS != 0 {
		// A conflict is possible when the connection is another.
		item.Value = v.value(key, n)
		v.may("CompareAndSwap", v.CompareAndSwap(ctx, &item), memcache.ErrCASConflict)
	}
	v.may("Set", v.Set(ctx, &memcache.Item{Key: key, Value: v.value(key, n)}))
}

// may reports whether an operation has succeeded. If it has not, the error must
// be one of a failure, or among those that are right here.
func (v *victim) may(what string, err error, right ...error) bool {
	if err == nil {
		v.done.Add(1)
		return true
	}
	for _, r := range right {
		if err == r {
			return false
		}
	}
	var where *memcache.OpError
	var said *memcache.ServerError
	if !errors.As(err, &where) || errors.As(err, &said) {
		v.Errorf("%s: got %v, which is no failure of the network", what, err)
	}
	v.failed.Add(1)
	if errors.Is(err, context.DeadlineExceeded) {
		v.left.Add(1)
	}
	return false
}

// owns wants the value to be one that was stored under the key.
func (v *victim) owns(what, key string, item memcache.Item) {
	var n int
	fmt.Sscanf(strings.TrimPrefix(string(item.Value), key+" = "), "%d", &n)
	if string(item.Value) != string(v.value(key, n)) {
		v.Errorf("%s %s: got %.80q, which is not its value", what, key, item.Value)
	}
}
