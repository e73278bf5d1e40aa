package memcache_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// bench is what a case works on: a client and the protocol that it speaks.
type bench struct {
	*testing.T
	*memcache.Client
	protocol memcache.Protocol
	prefix   string // of the case's keys
}

func (b *bench) key(s string) string { return b.prefix + s }

// must stops the case if err is not want.
func (b *bench) must(what string, err, want error) {
	b.Helper()
	if err != want && (want == nil || !errors.Is(err, want)) {
		b.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

// set stores a value.
func (b *bench) set(key, value string) {
	b.Helper()
	b.must("Set "+key, b.Set(ctx, &memcache.Item{Key: b.key(key), Value: []byte(value)}), nil)
}

// wants reads a key and compares its value.
func (b *bench) wants(key, value string) memcache.Item {
	b.Helper()
	item, err := b.Get(ctx, b.key(key))
	b.must("Get "+key, err, nil)
	if string(item.Value) != value {
		b.Fatalf("Get %s: got %q, want %q", key, item.Value, value)
	}
	return item
}

// lacks wants a key to be absent.
func (b *bench) lacks(key string) {
	b.Helper()
	_, err := b.Get(ctx, b.key(key))
	b.must("Get "+key, err, memcache.ErrMiss)
}

func (b *bench) storesTellCAS() bool { return b.protocol != memcache.Classic }

// TestOperations runs every case over every protocol and server.
func TestOperations(t *testing.T) {
	onServers(t, func(t *testing.T, start func(testing.TB) string, p memcache.Protocol) {
		c := newClient(t, memcache.Config{Nodes: nodes(start(t)), Protocol: p, Timeout: 10 * time.Second})
		for i, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				tt.run(&bench{t, c, p, fmt.Sprintf("case%d-", i)})
			})
		}
	})
}

var cases = []struct {
	name, reason string
	run          func(b *bench)
}{
	{"get", "a value comes back with flags and CAS", func(b *bench) {
		b.lacks("a")
		b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("one"), Flags: 1<<32 - 1}), nil)
		item := b.wants("a", "one")
		if item.Flags != 1<<32-1 || item.CAS == 0 || item.Key != b.key("a") || item.TTL != 0 {
			b.Errorf("got %+v, want flags 2^32-1, a CAS, the key and no TTL", item)
		}
	}},
	{"empty value", "is no miss", func(b *bench) {
		b.set("a", "")
		b.wants("a", "")
	}},
	{"any bytes", "nothing in a value ends it", func(b *bench) {
		value := "\r\nEND\r\nVALUE a 0 1\r\n\x00\x80\xff"
		b.set("a", value)
		b.wants("a", value)
	}},
	{"any key", "as long as none of its bytes is a blank or a control character", func(b *bench) {
		for _, key := range []string{"x", "schlüssel-✓", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", strings.Repeat("k", 250-len(b.prefix))} {
			b.set(key, key)
			b.wants(key, key)
		}
	}},
	{"bad keys", "never reach a server", func(b *bench) {
		for _, key := range []string{"", "a b", "a\tb", "a\nb", "a\r\nflush_all\r\n", "a\x00", "a\x7f", strings.Repeat("k", 251)} {
			_, err := b.Get(ctx, key)
			b.must(fmt.Sprintf("Get %q", key), err, memcache.ErrKey)
			b.must("Set", b.Set(ctx, &memcache.Item{Key: key}), memcache.ErrKey)
			b.must("Delete", b.Delete(ctx, key), memcache.ErrKey)
			b.must("Touch", b.Touch(ctx, key, time.Hour), memcache.ErrKey)
			_, err = b.Increment(ctx, key, 1)
			b.must("Increment", err, memcache.ErrKey)
		}
	}},
	{"sizes", "values of all lengths around the sizes of buffers", func(b *bench) {
		for _, size := range []int{1, 100, 4095, 4096, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64 << 10, 128<<10 + 3, 1 << 19} {
			value := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			b.set("a", value)
			item, err := b.Get(ctx, b.key("a"))
			b.must("Get", err, nil)
			if string(item.Value) != value {
				b.Errorf("size %d: got %d other bytes", size, len(item.Value))
			}
		}
	}},
	{"too large", "is refused before a byte is sent, and leaves the item alone", func(b *bench) {
		b.set("a", "one")
		large := make([]byte, memcache.DefaultMaxItemSize-len(b.key("a"))+1)
		b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), Value: large}), memcache.ErrTooLarge)
		b.wants("a", "one")
		b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), Value: large[1:]}), nil)
	}},
	{"add", "stores only what is absent", func(b *bench) {
		item := &memcache.Item{Key: b.key("a"), Value: []byte("one")}
		b.must("Add", b.Add(ctx, item), nil)
		b.must("Add", b.Add(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("two")}), memcache.ErrNotStored)
		if got := b.wants("a", "one"); b.storesTellCAS() && got.CAS != item.CAS {
			b.Errorf("CAS after Add: got %d, want %d", item.CAS, got.CAS)
		}
	}},
	{"replace", "stores only what is there", func(b *bench) {
		b.must("Replace", b.Replace(ctx, &memcache.Item{Key: b.key("a")}), memcache.ErrNotStored)
		b.set("a", "one")
		b.must("Replace", b.Replace(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("two")}), nil)
		b.wants("a", "two")
	}},
	{"append and prepend", "change only what is there, and keep flags", func(b *bench) {
		b.must("Append", b.Append(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("x")}), memcache.ErrNotStored)
		b.must("Prepend", b.Prepend(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("x")}), memcache.ErrNotStored)
		b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("b"), Flags: 7}), nil)
		b.must("Append", b.Append(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("c"), Flags: 8}), nil)
		b.must("Prepend", b.Prepend(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("a"), Flags: 9}), nil)
		if item := b.wants("a", "abc"); item.Flags != 7 {
			b.Errorf("flags: got %d, want 7", item.Flags)
		}
	}},
	{"compare and swap", "three outcomes", func(b *bench) {
		b.set("a", "one")
		item := b.wants("a", "one")
		other := item
		item.Value = []byte("two")
		b.must("CompareAndSwap", b.CompareAndSwap(ctx, &item), nil)
		b.must("CompareAndSwap of an old version", b.CompareAndSwap(ctx, &other), memcache.ErrCASConflict)
		got := b.wants("a", "two")
		if b.storesTellCAS() && got.CAS != item.CAS || !b.storesTellCAS() && item.CAS != 0 {
			b.Errorf("CAS after the store: got %d, the server has %d", item.CAS, got.CAS)
		}
		b.must("Delete", b.Delete(ctx, b.key("a")), nil)
		b.must("CompareAndSwap of what is gone", b.CompareAndSwap(ctx, &got), memcache.ErrMiss)
	}},
	{"compare and swap, CAS 0", "must not become an unconditional set", func(b *bench) {
		b.set("a", "one")
		b.must("CompareAndSwap", b.CompareAndSwap(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("two")}), memcache.ErrCASConflict)
		b.must("DeleteCAS", b.DeleteCAS(ctx, b.key("a"), 0), memcache.ErrCASConflict)
		b.wants("a", "one")
	}},
	{"compare and swap, user's number", "is sent unchecked", func(b *bench) {
		b.set("a", "one")
		cas := b.wants("a", "one").CAS
		b.must("CompareAndSwap", b.CompareAndSwap(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("two"), CAS: cas}), nil)
		b.wants("a", "two")
	}},
	{"swap after store", "where stores tell the CAS no read is needed", func(b *bench) {
		item := &memcache.Item{Key: b.key("a"), Value: []byte("one")}
		b.must("Set", b.Set(ctx, item), nil)
		want := error(nil)
		if !b.storesTellCAS() {
			want = memcache.ErrCASConflict
		}
		b.must("CompareAndSwap", b.CompareAndSwap(ctx, item), want)
		b.must("CompareAndSwap again", b.CompareAndSwap(ctx, item), want)
	}},
	{"delete", "an absent item is a miss", func(b *bench) {
		b.must("Delete", b.Delete(ctx, b.key("a")), memcache.ErrMiss)
		b.set("a", "one")
		b.must("Delete", b.Delete(ctx, b.key("a")), nil)
		b.lacks("a")
	}},
	{"delete by CAS", "only that version", func(b *bench) {
		b.set("a", "one")
		old := b.wants("a", "one")
		b.set("a", "two")
		item := b.wants("a", "two")
		if b.protocol == memcache.Classic {
			b.must("DeleteCAS", b.DeleteCAS(ctx, b.key("a"), item.CAS), memcache.ErrUnsupported)
			b.must("CompareAndDelete", b.CompareAndDelete(ctx, &item), memcache.ErrUnsupported)
			return
		}
		b.must("DeleteCAS, old", b.DeleteCAS(ctx, b.key("a"), old.CAS), memcache.ErrCASConflict)
		b.must("CompareAndDelete, old", b.CompareAndDelete(ctx, &old), memcache.ErrCASConflict)
		b.must("CompareAndDelete", b.CompareAndDelete(ctx, &item), nil)
		b.must("CompareAndDelete, gone", b.CompareAndDelete(ctx, &item), memcache.ErrMiss)
		b.must("DeleteCAS, gone", b.DeleteCAS(ctx, b.key("a"), item.CAS), memcache.ErrMiss)
	}},
	{"negative TTL", "an item that is expired at once", func(b *bench) {
		b.set("a", "one")
		b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), TTL: -time.Nanosecond}), nil)
		b.lacks("a")
		b.set("b", "one")
		b.must("Touch", b.Touch(ctx, b.key("b"), -time.Hour), nil)
		b.lacks("b")
	}},
	{"TTL", "short ones are rounded up, long ones are dates, none is for ever", func(b *bench) {
		for _, tt := range []struct{ ttl, min, max time.Duration }{
			{0, -1, -1},
			{100 * time.Second, 98 * time.Second, 101 * time.Second},
			{99*time.Second + 1, 98 * time.Second, 101 * time.Second},
			{30 * 24 * time.Hour, 30*24*time.Hour - 2*time.Second, 30*24*time.Hour + time.Second},
			{30*24*time.Hour + 1, 30*24*time.Hour - 2*time.Second, 30*24*time.Hour + 2*time.Second},
			{365 * 24 * time.Hour, 365*24*time.Hour - 2*time.Second, 365*24*time.Hour + 2*time.Second},
			{1<<63 - 1, 365 * 24 * time.Hour, 1<<63 - 1},
		} {
			b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("one"), TTL: tt.ttl}), nil)
			item, err := b.GetAndTouch(ctx, b.key("a"), tt.ttl)
			b.must("GetAndTouch", err, nil)
			again, err := b.HeadAndTouch(ctx, b.key("a"), tt.ttl)
			b.must("HeadAndTouch", err, nil)
			for _, left := range []time.Duration{item.Left, again.Left} {
				if b.protocol == memcache.Classic || b.protocol == memcache.Binary {
					tt.min, tt.max = 0, 0
				}
				if left < tt.min || left > tt.max {
					b.Errorf("TTL %v: got %v left, want %v to %v", tt.ttl, left, tt.min, tt.max)
				}
			}
		}
	}},
	{"get and touch", "value, CAS and the time that was left, and a new TTL", func(b *bench) {
		_, err := b.GetAndTouch(ctx, b.key("a"), time.Hour)
		b.must("GetAndTouch", err, memcache.ErrMiss)
		b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("one"), Flags: 5}), nil)
		want := b.wants("a", "one")
		item, err := b.GetAndTouch(ctx, b.key("a"), -1)
		b.must("GetAndTouch", err, nil)
		if string(item.Value) != "one" || item.Flags != 5 || item.CAS != want.CAS {
			b.Errorf("got %+v, want one, 5, %d", item, want.CAS)
		}
		b.lacks("a")
	}},
	{"head and touch", "all but the value", func(b *bench) {
		_, err := b.HeadAndTouch(ctx, b.key("a"), time.Hour)
		b.must("HeadAndTouch", err, memcache.ErrMiss)
		b.must("Set", b.Set(ctx, &memcache.Item{Key: b.key("a"), Value: []byte("one"), Flags: 5}), nil)
		want := b.wants("a", "one")
		item, err := b.HeadAndTouch(ctx, b.key("a"), -1)
		b.must("HeadAndTouch", err, nil)
		if item.Value != nil || item.Flags != 5 || item.CAS != want.CAS {
			b.Errorf("got %+v, want no value, 5, %d", item, want.CAS)
		}
		b.lacks("a")
	}},
	{"touch", "an absent item is a miss", func(b *bench) {
		b.must("Touch", b.Touch(ctx, b.key("a"), time.Hour), memcache.ErrMiss)
		b.set("a", "one")
		b.must("Touch", b.Touch(ctx, b.key("a"), time.Hour), nil)
		b.wants("a", "one")
	}},
	{"get into", "the caller's memory, if the value fits", func(b *bench) {
		b.set("a", "one")
		buf := make([]byte, 0, 100)
		item, err := b.GetInto(ctx, b.key("a"), buf)
		b.must("GetInto", err, nil)
		if string(item.Value) != "one" || &item.Value[0] != &buf[:1][0] {
			b.Errorf("got %q, want one, in buf", item.Value)
		}
		item, err = b.GetInto(ctx, b.key("a"), make([]byte, 2))
		b.must("GetInto", err, nil)
		if string(item.Value) != "one" {
			b.Errorf("got %q, want one", item.Value)
		}
		large := bytes.Repeat([]byte("x"), 100<<10)
		b.set("b", string(large))
		buf = make([]byte, 200<<10)
		item, err = b.GetInto(ctx, b.key("b"), buf)
		b.must("GetInto", err, nil)
		if !bytes.Equal(item.Value, large) || &item.Value[0] != &buf[0] {
			b.Errorf("got %d bytes, want 100 KiB, in buf", len(item.Value))
		}
	}},
	{"increment and decrement", "modulo 2^64, and down to 0", func(b *bench) {
		_, err := b.Increment(ctx, b.key("a"), 1)
		b.must("Increment", err, memcache.ErrMiss)
		_, err = b.Decrement(ctx, b.key("a"), 1)
		b.must("Decrement", err, memcache.ErrMiss)
		b.set("a", "10")
		for _, tt := range []struct {
			f     func(n uint64) (uint64, error)
			delta uint64
			want  uint64
		}{
			{func(n uint64) (uint64, error) { return b.Increment(ctx, b.key("a"), n) }, 5, 15},
			{func(n uint64) (uint64, error) { return b.Decrement(ctx, b.key("a"), n) }, 7, 8},
			{func(n uint64) (uint64, error) { return b.Decrement(ctx, b.key("a"), n) }, 9, 0},
			{func(n uint64) (uint64, error) { return b.Increment(ctx, b.key("a"), n) }, 1<<64 - 1, 1<<64 - 1},
			{func(n uint64) (uint64, error) { return b.Increment(ctx, b.key("a"), n) }, 2, 1},
		} {
			got, err := tt.f(tt.delta)
			b.must("by "+fmt.Sprint(tt.delta), err, nil)
			if got != tt.want {
				b.Errorf("by %d: got %d, want %d", tt.delta, got, tt.want)
			}
		}
		b.set("b", "no number")
		_, err = b.Increment(ctx, b.key("b"), 1)
		b.must("Increment of a text", err, memcache.ErrNotNumber)
		_, err = b.Decrement(ctx, b.key("b"), 1)
		b.must("Decrement of a text", err, memcache.ErrNotNumber)
	}},
	{"increment or", "creates with the initial value", func(b *bench) {
		for i, want := range []uint64{40, 42, 44} {
			got, err := b.IncrementOr(ctx, b.key("a"), 2, 40, time.Hour)
			b.must("IncrementOr", err, nil)
			if got != want {
				b.Errorf("call %d: got %d, want %d", i, got, want)
			}
		}
		b.set("b", "no number")
		_, err := b.IncrementOr(ctx, b.key("b"), 1, 1, 0)
		b.must("IncrementOr of a text", err, memcache.ErrNotNumber)
		got, err := b.IncrementOr(ctx, b.key("c"), 1, 5, -1)
		b.must("IncrementOr, expired", err, nil)
		if got != 5 {
			b.Errorf("expired: got %d, want 5", got)
		}
		b.lacks("c")
	}},
	{"nil item", "is an error, no crash", func(b *bench) {
		for what, err := range map[string]error{
			"Set": b.Set(ctx, nil), "CompareAndSwap": b.CompareAndSwap(ctx, nil), "CompareAndDelete": b.CompareAndDelete(ctx, nil),
			"SetMulti": b.SetMulti(ctx, []*memcache.Item{nil}),
		} {
			if err == nil {
				b.Errorf("%s: got no error", what)
			}
		}
	}},
}
