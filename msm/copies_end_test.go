package msm

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// buried checks that just these nodes have the session, and that what they have
// is a tombstone with at least that long to live.
func (ns *nodes) buried(base string, life time.Duration, ids ...string) {
	ns.t.Helper()
	records := ns.records(base)
	for _, id := range ids {
		rec := records[id]
		if rec == nil || rec.dead == alive {
			ns.t.Errorf("%s has %+v, want a tombstone", id, rec)
		} else if left := time.Until(ns.copies(base)[id].Expires); left < life {
			ns.t.Errorf("the tombstone on %s has %v to live, want %v", id, left, life)
		}
	}
	if len(records) != len(ids) {
		ns.t.Errorf("%d nodes have the session, want %v", len(records), ids)
	}
}

// When Invalidate and Renew return both places have tombstones, which live as
// long as the session would have.
func TestCopiesEnd_TombstonesForItsLife(t *testing.T) {
	for how, end := range map[string]func(*Session) error{"Invalidate": (*Session).Invalidate, "Renew": (*Session).Renew} {
		t.Run(how, func(t *testing.T) {
			bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.SessionBackupSync = false // an end waits for both all the same
				m := instance(t, cfg)
				b := new(browser)
				b.visit(m, func(s *Session) { must(t, s.SetMaxInactive(5*time.Hour)) })
				base := b.id(t).base
				time.Sleep(time.Hour)
				b.visit(m, func(s *Session) {
					must(t, end(s))
					ns.buried(base, 5*time.Hour, walk(cfg, base)[:2]...)
				})
			})
		})
	}
}

// A place that is out of reach has a stand-in, and one that has come back
// unnoticed gets its own tombstone.
func TestCopiesEnd_StandIn(t *testing.T) {
	for away := range 2 {
		bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
			m, b, base, places := stored(t, cfg)
			ns.refuse(places[away])
			b.visit(m, func(s *Session) { must(t, s.Invalidate()) })
			ns.node(places[away]).Delete(keyspace{}.session(base)) // an old copy, which no one can reach
			ns.buried(base, DefaultMaxInactiveInterval, slices.Delete(places, away, away+1)...)
		})
	}
}

func TestCopiesEnd_NodeIsBackUnnoticed(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m, b, base, places := stored(t, cfg)
		ns.goDown(t, cfg, m, b, places[1])
		time.Sleep(time.Minute)
		b.visit(m, func(s *Session) {
			_, err := s.Get("who", new(string))
			must(t, err)
			ns.sicken(memcachetest.Fault{})
			must(t, s.Invalidate())
			ns.buried(base, DefaultMaxInactiveInterval, places...)
		})
	})
}

// For 10 s after Renew a request with the old cookie creates no session and gets
// no cookie; then it is one like any other.
func TestCopiesEnd_GraceOfTenSeconds(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		cfg.Route = "tc2"
		for _, at := range []*Manager{m, instance(t, cfg)} {
			old := b.clone()
			b.visit(m, func(s *Session) { must(t, s.Renew()) })
			begin := time.Now()
			for _, tt := range []struct {
				after   time.Duration
				created bool
			}{{0, false}, {9900 * time.Millisecond, false}, {10100 * time.Millisecond, true}} {
				time.Sleep(tt.after - time.Since(begin))
				var err error
				w := old.clone().visit(at, func(s *Session) { err = s.Set("who", "else") })
				if created := w.Header().Get("Set-Cookie") != ""; created != tt.created || (err == nil) != tt.created {
					t.Errorf("%v after Renew: Set = %v, a cookie: %v; want one: %v", tt.after, err, created, tt.created)
				}
			}
		}
	})
}

// For a second a request costs nothing; then the copies are compared, without
// their values, and both are touched. So a logout elsewhere is known after a
// second.
func TestCopiesSticky_ConfirmedEverySecond(t *testing.T) {
	bubble(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		cfg = both(cfg)["sticky"]
		m := instance(t, cfg)
		b := new(browser)
		b.visit(m, func(s *Session) { must(t, s.Set("who", string(make([]byte, 10_000)))) })
		cost := func() (commands int, bytes int64) {
			for _, s := range ns.servers {
				commands, bytes = commands-s.Traffic().Total(), bytes-s.Traffic().Sent
			}
			b.look(t, m)
			for _, s := range ns.servers {
				commands, bytes = commands+s.Traffic().Total(), bytes+s.Traffic().Sent
			}
			return commands, bytes
		}
		time.Sleep(999 * time.Millisecond)
		if commands, _ := cost(); commands != 0 {
			t.Errorf("within a second: %d commands, want none", commands)
		}
		time.Sleep(20 * time.Minute)
		if commands, bytes := cost(); commands != 2 || bytes > 200 {
			t.Errorf("later: %d commands answered by %d bytes, want 2 by 200 at most", commands, bytes)
		}
		lives(t, ns, b, DefaultMaxInactiveInterval)
		if commands, _ := cost(); commands != 0 {
			t.Errorf("right after it: %d commands, want none", commands)
		}
		cfg.Route = "tc2"
		b.clone().visit(instance(t, cfg), func(s *Session) { must(t, s.Invalidate()) })
		time.Sleep(time.Second)
		if got := b.get(t, m, "who"); got != "" {
			t.Error("still logged in a second after the logout elsewhere")
		}
	})
}

// While the nodes are down nothing is confirmed: the session is served, and its
// cookie stays what it was. New ones have no node.
func TestCopiesSticky_NodesDown(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, both(cfg)["sticky"])
		b := new(browser)
		b.count(t, m)
		cookie := b.cookie
		ns.refuse("n1")
		ns.refuse("n2")
		for want := 2; want < 5; want++ {
			time.Sleep(2 * confirmInterval)
			if got := b.count(t, m); got != want || b.cookie != cookie {
				t.Errorf("count = %d with cookie %s, want %d with %s", got, b.cookie, want, cookie)
			}
		}
		young := new(browser)
		if w := young.visit(m, func(s *Session) { must(t, s.Set("who", "me")) }); w.Code != http.StatusOK || young.id(t).node != "" || young.id(t).epoch != 0 {
			t.Errorf("a new session: status %d, cookie %v; want 200 and no node", w.Code, young.id(t))
		}
		ns.sicken(memcachetest.Fault{})
	})
}
