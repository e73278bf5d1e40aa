package msm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/seed99545744/msm/memcache"
)

// attacker can read and write memcached.
type attacker struct {
	t      *testing.T
	client *memcache.Client
	ids    []string
}

func newAttacker(t *testing.T, ns *nodes) *attacker {
	t.Helper()
	client, err := memcache.New(memcache.Config{Nodes: ns.config().MemcachedNodes})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	a := &attacker{t: t, client: client}
	for _, n := range client.Ring().Nodes() {
		a.ids = append(a.ids, n.ID)
	}
	return a
}

// copies returns a session as it is stored, by node.
func (a *attacker) copies(base string) map[string]memcache.Item {
	a.t.Helper()
	found := make(map[string]memcache.Item)
	for _, id := range a.ids {
		if item, err := a.client.On(id).Get(context.Background(), keyspace{}.session(base)); err == nil {
			found[id] = item
		}
	}
	if len(found) == 0 {
		a.t.Fatal("the session is not stored")
	}
	return found
}

// replace puts value in the place of all these copies.
func (a *attacker) replace(copies map[string]memcache.Item, value []byte) {
	a.t.Helper()
	for id, item := range copies {
		item.Value, item.CAS = value, 0
		must(a.t, a.client.On(id).Set(context.Background(), &item))
	}
}

// value returns a session's value, wherever it is.
func value(copies map[string]memcache.Item) []byte {
	for _, item := range copies {
		return item.Value
	}
	return nil
}

// countingJSON counts how often it is given something to decode.
type countingJSON struct{ decoded *atomic.Int64 }

func (c countingJSON) Encode(v any) ([]byte, error) { return json.Marshal(v) }
func (c countingJSON) Decode(data []byte, into any) error {
	c.decoded.Add(1)
	return json.Unmarshal(data, into)
}

// SR-36, Row 26: a value that fails authentication never reaches a decoder, wherever
// it was touched.
func TestSR36_DecodersSeeAuthenticBytesOnly(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	cfg.NonSticky = true
	cfg.ValueKeys = [][]byte{randomKey()}
	var decoded atomic.Int64
	cfg.Transcoder = countingJSON{&decoded}
	m, a, b := instance(t, cfg), newAttacker(t, ns), new(browser)
	b.set(t, m, "user", "jo")
	base := b.id(t).base
	rest(t, m)
	if got := b.get(t, m, "user"); got != "jo" || decoded.Load() != 1 {
		t.Fatalf("untouched: user = %q after %d decodings, want jo after 1", got, decoded.Load())
	}
	copies := a.copies(base)
	for i := range value(copies) {
		bad := bytes.Clone(value(copies))
		bad[i] ^= 0x20
		a.replace(copies, bad)
		b.clone().visit(m, func(s *Session) {
			var user string
			if ok, err := s.Get("user", &user); ok {
				t.Errorf("byte %d changed: user = %q, %v; want none", i, user, err)
			}
		})
	}
	if got := decoded.Load(); got != 1 {
		t.Errorf("%d decodings, want 1: a decoder saw bytes that nobody had vouched for", got)
	}
	a.replace(copies, value(copies))
	if got := b.get(t, m, "user"); got != "jo" {
		t.Errorf("restored: user = %q, want jo: the test itself is wrong", got)
	}
}

// SR-34: under another session's key a value is worthless, with ValueKeys and,
// because it names its session, without.
func TestSR34_SwappedSessions(t *testing.T) {
	for name, keys := range map[string][][]byte{"sealed": {randomKey()}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			ns := startNodes(t, 2)
			cfg := ns.config()
			cfg.NonSticky = true
			cfg.ValueKeys = keys
			m, a, jo, mallory := instance(t, cfg), newAttacker(t, ns), new(browser), new(browser)
			jo.set(t, m, "user", "jo")
			mallory.set(t, m, "user", "mallory")
			rest(t, m)
			a.replace(a.copies(mallory.id(t).base), value(a.copies(jo.id(t).base)))
			mallory.visit(m, func(s *Session) {
				var user string
				if ok, _ := s.Get("user", &user); ok {
					t.Errorf("mallory is %q now, want nobody", user)
				}
			})
			if got := jo.get(t, m, "user"); got != "jo" {
				t.Errorf("jo is %q now, want jo", got)
			}
		})
	}
}

// SR-45, SR-37: garbage under our key costs one session, not one request after
// the other; a plain value where sealed ones are demanded is garbage too.
func TestSR45_GarbageEndsInANewSession(t *testing.T) {
	for _, tc := range []struct {
		name    string
		garbage []byte
		keys    [][]byte
	}{
		{"empty", []byte{}, nil},
		{"one byte", []byte{1}, nil},
		{"text", []byte("locked"), nil},
		{"cut short", plainRecord[:len(plainRecord)-3], nil},
		{"another session", plainRecord, nil},
		{"sealed, without keys", []byte{formatMark, formatSealed, 1, 2, 3, 4, 5, 6, 7, 8}, nil},
		{"plain, with keys", plainRecord, [][]byte{randomKey()}},
		{"garbage, with keys", []byte("x"), [][]byte{randomKey()}},
	} {
		for mode, nonSticky := range map[string]bool{"sticky": false, "non-sticky": true} {
			t.Run(tc.name+", "+mode, func(t *testing.T) {
				ns := startNodes(t, 2)
				cfg := ns.config()
				cfg.NonSticky, cfg.ValueKeys = nonSticky, tc.keys
				m, a, b := instance(t, cfg), newAttacker(t, ns), new(browser)
				b.set(t, m, "user", "jo")
				rest(t, m)
				a.replace(a.copies(b.id(t).base), tc.garbage)

				other := instance(t, cfg) // has no copy of its own
				failed := 0
				for range 4 {
					if w := b.visit(other, func(s *Session) { s.Set("user", "new") }); w.Code != 200 {
						failed++
					}
				}
				if failed > 1 {
					t.Errorf("%d requests of 4 failed, want at most one", failed)
				}
				if got := b.get(t, other, "user"); got != "new" {
					t.Errorf("after the garbage user = %q, want new", got)
				}
			})
		}
	}
}

// Row 21: a session that a newer release has written is not destroyed by an older one:
// going back and forth between releases logs nobody out.
func TestNewerFormatIsLeftAlone(t *testing.T) {
	for mode, nonSticky := range map[string]bool{"sticky": false, "non-sticky": true} {
		t.Run(mode, func(t *testing.T) {
			ns := startNodes(t, 2)
			cfg := ns.config()
			cfg.NonSticky = nonSticky
			m, a, b := instance(t, cfg), newAttacker(t, ns), new(browser)
			b.set(t, m, "user", "jo")
			rest(t, m)
			base := b.id(t).base
			newer := []byte{formatMark, formatSealed + 1, 'n', 'e', 'w'}
			a.replace(a.copies(base), newer)
			older := instance(t, cfg)
			for range 3 {
				window := b.clone()
				window.visit(older, func(s *Session) {
					if _, err := s.Get("user", new(string)); !errors.Is(err, errNewerFormat) {
						t.Errorf("Get = %v, want errNewerFormat", err)
					}
					s.Set("user", "overwritten")
				})
				if window.cookie != b.cookie {
					t.Error("the browser got another session: the newer one is lost to it")
				}
			}
			rest(t, older)
			for id, item := range a.copies(base) {
				if !bytes.Equal(item.Value, newer) {
					t.Errorf("on %s the newer release's value is %q now, want %q", id, item.Value, newer)
				}
			}
		})
	}
}
