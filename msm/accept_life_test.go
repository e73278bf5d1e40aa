package msm

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// STK-05, NST-25: sessions that never expire, and those with time-outs beyond
// the 30 days that memcached takes as such, live that long on both nodes, and
// the second copy serves when the first is gone.
// ID-06, SR-32: what is more than 30 days goes to the server as a date.
func TestSTK05_LongLives(t *testing.T) {
	const day = 24 * time.Hour
	for _, life := range []time.Duration{-1, 15*day + time.Second, 30 * day, 30*day + time.Second, 31 * day, 400 * day} {
		t.Run(life.String(), func(t *testing.T) {
			bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.MaxInactiveInterval = life
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				lives(t, ns, b, life)
				idle := 4 * time.Hour // of a sticky session: a longer one costs the test real seconds
				if cfg.NonSticky {
					idle = max(life-time.Minute, 500*day)
				}
				if life > 0 {
					idle = min(idle, life-time.Minute)
				}
				for _, node := range []string{b.id(t).node, ""} {
					time.Sleep(idle)
					if got := b.get(t, m, "who"); got != "me" {
						t.Fatalf("after %v: who = %q, want me", idle, got)
					}
					if node != "" {
						ns.kill(node)
					}
				}
			})
		})
	}
}

// STK-06: however short the time-out, no copy is stored dead or immortal.
func TestSTK06_ShortTimeouts(t *testing.T) {
	for _, life := range []time.Duration{time.Millisecond, time.Second, 5 * time.Second, 6 * time.Second, 7 * time.Second} {
		bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
			cfg.MaxInactiveInterval = life
			b := new(browser)
			b.set(t, instance(t, cfg), "who", "me")
			lives(t, ns, b, max(life, time.Second))
		})
	}
}

// STK-23: disabled, it is a session manager in memory: no traffic, ids without
// node, and sessions that expire.
func TestSTK23_Disabled(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.Disabled, cfg.MaxInactiveInterval = true, time.Minute
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		if got := b.id(t); got.node != "" || got.epoch != 0 {
			t.Errorf("id %v, want no node", got)
		}
		b.visit(m, func(s *Session) { must(t, s.Renew()) })
		time.Sleep(59 * time.Second)
		if got := b.get(t, m, "who"); got != "me" {
			t.Errorf("after 59 s: who = %q, want me", got)
		}
		time.Sleep(time.Minute)
		if got := b.get(t, m, "who"); got != "" {
			t.Errorf("after a minute without use: who = %q, want none", got)
		}
		time.Sleep(time.Minute)
		if n := len(m.table.all()); n != 0 {
			t.Errorf("%d sessions are in the table, want none", n)
		}
		if n := ns.traffic(); n != 0 {
			t.Errorf("%d commands were sent, want none", n)
		}
	})
}

// STK-24: a session that nobody asks for again leaves this process, and the
// nodes.
func TestSTK24_ForgottenSessionsAreDropped(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.MaxInactiveInterval = time.Second
		m := instance(t, cfg)
		for range 10 {
			new(browser).set(t, m, "who", "me")
		}
		if n := ns.items(); n != 20 {
			t.Fatalf("%d items, want 20", n)
		}
		time.Sleep(time.Second + ttlSlack + sweepInterval)
		if n, entries := ns.items(), len(m.table.all()); n != 0 || entries != 0 {
			t.Errorf("%d items on the nodes and %d sessions here, want none", n, entries)
		}
	})
}

// STK-25, NST-33: Invalidate leaves a tombstone where each copy was, without
// attributes, and has the browser forget its cookie. It is gone when the session
// would have been.
func TestSTK25_Invalidate(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		base := b.id(t).base
		w := b.visit(m, func(s *Session) {
			must(t, s.Invalidate())
			for id, rec := range ns.records(base) { // before Invalidate returns
				if rec.dead != invalidated || len(rec.attrs) != 0 {
					t.Errorf("%s: %d attributes, tombstone %v; want a tombstone without any", id, len(rec.attrs), rec.dead)
				}
			}
		})
		if n := len(ns.copies(base)); n != 2 {
			t.Errorf("%d tombstones, want 2", n)
		}
		if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].MaxAge >= 0 {
			t.Errorf("cookies %v, want one that deletes", cookies)
		}
		time.Sleep(DefaultMaxInactiveInterval + ttlSlack)
		if n := ns.items(); n != 0 {
			t.Errorf("%d items after the session's time, want none", n)
		}
	})
}

// STK-26, NST-15, NST-29: reads keep a session alive, here and on both nodes,
// without a store, however long the last store is past; only idleness ends it.
func TestSTK26_ReadsKeepSessionsAlive(t *testing.T) {
	for _, life := range []time.Duration{4 * time.Second, time.Minute, time.Hour} {
		t.Run(life.String(), func(t *testing.T) {
			bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.MaxInactiveInterval = life
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				first, before := b.cookie, ns.stores()
				for range 20 {
					time.Sleep(life * 3 / 4)
					if got, cookie := b.look(t, m); got != "me" || cookie != "" {
						t.Fatalf("who = %q with cookie %q, want me and none", got, cookie)
					}
					lives(t, ns, b, life)
				}
				if got := ns.stores() - before; got != 0 {
					t.Errorf("%d stores, want none", got)
				}
				time.Sleep(life + ttlSlack)
				b.count(t, m)
				if got := b.get(t, m, "who"); got != "" || b.cookie == first {
					t.Errorf("after idleness: who = %q, want none in a new session", got)
				}
			})
		})
	}
}

// A session's own time-out counts like the general one.
func TestSTK26_OwnTimeout(t *testing.T) {
	for _, life := range []time.Duration{5 * time.Second, 10 * time.Hour} {
		bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
			m := instance(t, cfg)
			b := new(browser)
			b.visit(m, func(s *Session) {
				must(t, s.Set("who", "me"))
				must(t, s.SetMaxInactive(life))
			})
			for range 10 {
				time.Sleep(life * 3 / 4)
				if got := b.get(t, m, "who"); got != "me" {
					t.Fatalf("who = %q, want me", got)
				}
				lives(t, ns, b, life)
			}
			time.Sleep(life + ttlSlack)
			if got := b.get(t, m, "who"); got != "" {
				t.Errorf("after idleness: who = %q, want none", got)
			}
		})
	}
}

// STK-27, STK-28: a new id, for a session that exists and for one that begins in
// the same request: another instance finds it, and the old id has a tombstone.
func TestSTK27_Renew(t *testing.T) {
	for _, created := range []bool{false, true} {
		t.Run(fmt.Sprintf("created in the same request: %v", created), func(t *testing.T) {
			inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				m := instance(t, cfg)
				b := new(browser)
				old := ""
				if !created {
					b.set(t, m, "cart", "full")
					old = b.id(t).base
				}
				w := b.visit(m, func(s *Session) {
					must(t, s.Set("who", "me"))
					must(t, s.Renew())
				})
				if n := len(w.Header()["Set-Cookie"]); n != 1 || b.id(t).base == old {
					t.Errorf("%d cookies with %v, want one with a new id", n, b.id(t))
				}
				cfg.Route = "tc2"
				if got := b.get(t, instance(t, cfg), "who"); got != "me" {
					t.Errorf("another instance: who = %q, want me", got)
				}
				for id, rec := range ns.records(old) {
					if rec.dead != renewed || len(rec.attrs) != 0 {
						t.Errorf("%s: %d attributes and tombstone %v under the old id, want a tombstone", id, len(rec.attrs), rec.dead)
					}
				}
				if want := 2 + len(ns.records(old)); ns.items() != want || !created && want != 4 {
					t.Errorf("%d items, want two copies and two tombstones for an id that was known", ns.items())
				}
			})
		})
	}
}

// STK-29, Row 16: sessions survive the restart of their instance.
func TestSTK29_Restart(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.SessionBackupSync = false
		b := new(browser)
		for range 3 {
			m := instance(t, cfg)
			want := b.count(t, m) + 1
			b.count(t, m) // still on its way to memcached
			shutdown(t, m)
			b.visit(m, func(s *Session) {
				if err := s.Set("who", "late"); !errors.Is(err, errOver) {
					t.Errorf("after Shutdown: Set = %v, want %v", err, errOver)
				}
			})
			if got := b.count(t, instance(t, cfg)); got != want+1 {
				t.Errorf("after the restart: count = %d, want %d", got, want+1)
			}
		}
	})
}

// STK-30: an id that we never made is no id: the session that begins has a new
// one, with a node.
func TestSTK30_InvalidID(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		b := &browser{cookie: "12345"}
		if w := b.visit(instance(t, cfg), func(s *Session) { must(t, s.Set("who", "me")) }); w.Code != http.StatusOK {
			t.Fatalf("status %d", w.Code)
		}
		if id := b.id(t); id.node == "" || ns.records(id.base)[id.node] == nil {
			t.Errorf("id %v, want one with the node that has it", id)
		}
	})
}
