package fuzz

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// link is a client of one protocol and the server that it is connected to.
type link struct {
	protocol memcache.Protocol
	client   *memcache.Client
	server   *memcachetest.Server
}

// FuzzRequestRoundTrip stores, extends, reads and deletes any key and value over
// every protocol. Each operation arrives as one command with the same bytes, or
// is refused before anything is sent.
func FuzzRequestRoundTrip(f *testing.F) {
	for _, key := range []string{"a", "", "a b", "a\r\nflush_all", "a\x00", "\x7f", "schlüssel", "\xff\xfe", strings.Repeat("k", 250), strings.Repeat("k", 251), "a\tb"} {
		for _, value := range []string{"", "v", "\r\n", "END\r\n", "a\r\nset b 0 0 1\r\nx\r\n", "\x80\x01" + strings.Repeat("\x00", 22), strings.Repeat("v", 3000)} {
			f.Add(key, []byte(value), uint32(len(key)))
		}
	}
	var links []link
	for _, p := range []memcache.Protocol{memcache.Text, memcache.Classic, memcache.Meta, memcache.Binary} {
		links = append(links, connect(f, p))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte, flags uint32) {
		for _, l := range links {
			l.roundTrip(t, key, value, flags)
		}
	})
}

// connect starts a server and a client of it, whose one connection is made.
func connect(f *testing.F, p memcache.Protocol) link {
	s := memcachetest.NewMemServer()
	f.Cleanup(s.Close)
	c, err := memcache.New(memcache.Config{Nodes: s.Addr(), DialContext: s.DialContext, Protocol: p, Conns: 1, Timeout: patience})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	if err := c.Ping(context.Background()); err != nil {
		f.Fatal(err)
	}
	return link{p, c, s}
}

func (l link) roundTrip(t *testing.T, key string, value []byte, flags uint32) {
	ctx := context.Background()
	item := memcache.Item{Key: key, Value: value, Flags: flags}
	sent := l.once(t, key, "Set", func() error { return l.client.Set(ctx, &item) })
	if !sent {
		return
	}
	if got, ok := l.server.Get(key); !ok || !bytes.Equal(got.Value, value) || got.Flags != flags {
		t.Errorf("%v: Set of %q: %q with flags %d arrived as %q with flags %d", l.protocol, key, value, flags, got.Value, got.Flags)
	}
	l.once(t, key, "Append", func() error { return l.client.Append(ctx, &item) })
	l.once(t, key, "Get", func() error {
		got, err := l.client.Get(ctx, key)
		if want := append(value[:len(value):len(value)], value...); err == nil && (!bytes.Equal(got.Value, want) || got.Flags != flags) {
			t.Errorf("%v: Get of %q: got %q with flags %d, want %q with flags %d", l.protocol, key, got.Value, got.Flags, want, flags)
		}
		return err
	})
	l.once(t, key, "Delete", func() error { return l.client.Delete(ctx, key) })
	if n := l.server.Len(); n != 0 {
		t.Errorf("%v: %d items are left after the delete of %q, want none", l.protocol, n, key)
	}
}

// once does an operation and counts what arrived: one command for a good key,
// for a bad one not a byte. It tells which it was.
func (l link) once(t *testing.T, key, name string, do func() error) (sent bool) {
	before := l.server.Traffic()
	err := do()
	after := l.server.Traffic()
	commands, received := after.Total()-before.Total(), after.Received-before.Received
	if !goodKey(key) {
		if !errors.Is(err, memcache.ErrKey) || received != 0 {
			t.Errorf("%v: %s of %q: error %v and %d bytes sent, want ErrKey and none", l.protocol, name, key, err, received)
		}
		return false
	}
	if err != nil || commands != 1 {
		t.Fatalf("%v: %s of %q: error %v and %d commands, want none and 1", l.protocol, name, key, err, commands)
	}
	return true
}

// goodKey is the rule for keys in words of its own.
func goodKey(key string) bool {
	return key != "" && len(key) <= 250 && !strings.ContainsFunc(strings.ToValidUTF8(key, "ü"), func(c rune) bool {
		return c <= 0x20 || c == 0x7f
	})
}
