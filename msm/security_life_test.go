package msm

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// SR-23: Renew, while another request with the old id is at each of its steps:
// when Renew has returned, that request has no session, or cannot store.
func TestSR23_RenewAtEachStepOfAnother(t *testing.T) {
	steps := map[string]func(s *Session) error{
		"not loaded yet": func(*Session) error { return nil },
		"loaded":         func(s *Session) error { _, err := s.Get("who", new(string)); return err },
		"changed":        func(s *Session) error { return s.Set("who", "attacker") },
		"stored, and changed again": func(s *Session) error {
			return errors.Join(s.Set("before", "x"), s.Save(s.ctx), s.Set("who", "attacker"))
		},
	}
	for step, do := range steps {
		t.Run(step, func(t *testing.T) {
			inBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				old := b.clone()
				w := old.clone().visit(m, func(s *Session) {
					must(t, do(s))
					b.visit(m, func(s *Session) {
						must(t, s.Set("role", "admin"))
						must(t, s.Renew())
					})
					var role string
					if ok, err := s.Get("role", &role); ok && err == nil {
						t.Errorf("the request under way sees role = %q", role)
					}
					if err := s.Set("who", "attacker"); err == nil {
						err = s.Save(s.ctx)
						if !errors.Is(err, ErrInvalidated) {
							t.Errorf("Save = %v, want ErrInvalidated", err)
						}
					}
				})
				if cookie := w.Header().Get("Set-Cookie"); cookie != "" {
					t.Errorf("it sent a cookie: %s", cookie)
				}
				if got := old.get(t, m, "role"); got != "" {
					t.Errorf("the old cookie has role = %q", got)
				}
				if who, role := b.get(t, m, "who"), b.get(t, m, "role"); who != "me" || role != "admin" {
					t.Errorf("the new cookie has who = %q, role = %q; want me and admin", who, role)
				}
			})
		})
	}
}

// SR-23: what another request has stored before Renew is in the session under
// its new id.
func TestSR23_RenewTakesAll(t *testing.T) {
	inBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		b.visit(m, func(s *Session) {
			_, err := s.Get("who", new(string))
			must(t, err)
			b.clone().set(t, m, "cart", "full")
			must(t, s.Set("role", "admin"))
			must(t, s.Renew())
		})
		for name, want := range map[string]string{"who": "me", "cart": "full", "role": "admin"} {
			if got := b.get(t, m, name); got != want {
				t.Errorf("%s = %q, want %s", name, got, want)
			}
		}
	})
}

// SR-23: Renew and requests that race with it.
func TestSR23_RenewRaces(t *testing.T) {
	inBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		other := cfg
		other.Route = "tc2"
		ms := []*Manager{instance(t, cfg), instance(t, other)}
		for range 20 {
			b := new(browser)
			b.set(t, ms[0], "who", "me")
			old := b.clone()
			var group sync.WaitGroup
			for i := range 8 {
				group.Go(func() {
					old.clone().visit(ms[i%2], func(s *Session) { s.Set(fmt.Sprint("a", i), "x") })
				})
			}
			renewed := false
			b.visit(ms[0], func(s *Session) {
				must(t, s.Set("role", "admin"))
				err := s.Renew()
				renewed = err == nil
				if err != nil && !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
			})
			group.Wait()
			if !renewed {
				continue
			}
			for _, m := range ms {
				if got := old.clone().get(t, m, "role"); got != "" {
					t.Errorf("the old cookie has role = %q", got)
				}
			}
			if who, role := b.get(t, ms[1], "who"), b.get(t, ms[1], "role"); who != "me" || role != "admin" {
				t.Errorf("the new cookie has who = %q, role = %q; want me and admin", who, role)
			}
		}
	})
}

// SR-24: an instance that dies between any two steps of Renew leaves the old
// session as it was or none: what the login brought is never under the old id.
func TestSR24_CrashDuringRenew(t *testing.T) {
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			finished := false
			for writes := 0; !finished && writes < 40; writes++ {
				t.Run(fmt.Sprint(writes, " writes"), func(t *testing.T) {
					bubble(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
						w := newWire(t, ns, memcache.Config{})
						m := instance(t, both(w.config())[mode])
						b := new(browser)
						b.set(t, m, "who", "me")
						old := b.clone()
						b.visit(m, func(s *Session) {
							must(t, s.Set("role", "admin"))
							w.allow(writes)
							finished = s.Renew() == nil
						})
						w.separate("n1", "n2", "n3") // it is dead
						other := instance(t, both(cfg)[mode])
						if got := old.clone().get(t, other, "role"); got != "" {
							t.Errorf("the old cookie has role = %q", got)
						}
						if who := old.clone().get(t, other, "who"); who != "" && (finished || who != "me") {
							t.Errorf("the old cookie has who = %q, Renew finished: %v", who, finished)
						}
						w.separate()
						w.allow(-1)
					})
				})
			}
			if !finished {
				t.Error("Renew never finished")
			}
		})
	}
}

// SR-26: a node that is unreachable while a session ends, or is renewed, cannot
// bring it back when it is there again.
func TestSR26_EndDuringPartition(t *testing.T) {
	ends := map[string]func(s *Session) error{"Invalidate": (*Session).Invalidate, "Renew": (*Session).Renew}
	for how, end := range ends {
		for _, away := range []string{"home", "second"} {
			t.Run(how+", the "+away+" node away", func(t *testing.T) {
				bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
					m := instance(t, cfg)
					b := new(browser)
					b.set(t, m, "who", "me")
					old := b.clone()
					node := b.id(t).node
					if away == "second" {
						for id := range ns.copies(b.id(t).base) {
							if id != b.id(t).node {
								node = id
							}
						}
					}
					ns.refuse(node)
					b.visit(m, func(s *Session) { must(t, end(s)) })
					ns.node(node).SetFault(memcachetest.Fault{}) // with what it had
					must(t, cfg.Client.Reach(t.Context()))
					time.Sleep(time.Second)
					cfg.Route = "tc2"
					for _, m := range []*Manager{m, instance(t, cfg)} {
						if got := old.clone().get(t, m, "who"); got != "" {
							t.Errorf("the old cookie has who = %q", got)
						}
					}
				})
			})
		}
	}
}

// SR-28: idle and absolute limits hold to the second, though memcached still has
// the items, and though the cookie lives longer. Memcached tells whole seconds:
// non-sticky, a session may idle one longer.
func TestSR28_Limits(t *testing.T) {
	for _, limit := range []string{"idle", "absolute"} {
		for _, off := range []time.Duration{-time.Second, 0, time.Second, 2 * time.Second} {
			t.Run(fmt.Sprint(limit, off), func(t *testing.T) {
				bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
					cfg.MaxInactiveInterval, cfg.Cookie.MaxAge = 20*time.Minute, 24*time.Hour
					wait, tolerance := cfg.MaxInactiveInterval, time.Second
					if !cfg.NonSticky {
						tolerance = 0
					}
					if limit == "absolute" {
						cfg.MaxLifetime, tolerance = 5*time.Minute, 0
						wait = cfg.MaxLifetime
					}
					m := instance(t, cfg)
					b := new(browser)
					b.set(t, m, "who", "me")
					time.Sleep(wait + off)
					if ns.items() != 2 {
						t.Errorf("%d items, want both still there", ns.items())
					}
					got := b.get(t, m, "who")
					if off < 0 && got != "me" {
						t.Errorf("who = %q, want me: its time is not over", got)
					}
					if off > tolerance && got != "" {
						t.Errorf("who = %q, want none: its time is over", got)
					}
				})
			})
		}
	}
}

// SR-29: nothing prolongs MaxLifetime: not use, not Renew, not another idle
// time-out, not a longer MaxLifetime later.
func TestSR29_LifetimeIsNotProlonged(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.MaxLifetime = 3 * time.Hour
		m := instance(t, cfg)
		longer := cfg
		longer.MaxLifetime = 1000 * time.Hour
		later := instance(t, longer)
		b := new(browser)
		b.set(t, m, "who", "me")
		begin := time.Now()
		for i := 0; time.Since(begin) < 3*time.Hour-time.Second; i++ {
			at := m
			if i%2 == 1 {
				at = later
			}
			b.visit(at, func(s *Session) {
				var who string
				if ok, err := s.Get("who", &who); !ok || err != nil {
					t.Fatalf("after %v: %v, %v", time.Since(begin), ok, err)
				}
				must(t, s.SetMaxInactive(-1))
				must(t, s.Renew())
			})
			time.Sleep(min(10*time.Minute, 3*time.Hour-time.Second-time.Since(begin)))
		}
		time.Sleep(2 * time.Second)
		for _, m := range []*Manager{later, m} {
			if got := b.clone().get(t, m, "who"); got != "" {
				t.Errorf("after %v: who = %q, want none", time.Since(begin), got)
			}
		}
	})
}

// SR-51: whatever the nodes do, a request ends: its session's I/O is bounded.
func TestSR51_BoundedRequests(t *testing.T) {
	faults := map[string]memcachetest.Fault{
		"hang": {Hang: true}, "slow": {Delay: time.Hour}, "refuse": {Refuse: true}, "reset": {Reset: true}, "cut off": {Truncate: 1},
		"fail": {Fail: "SERVER_ERROR out of memory"},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			bubbleInBothModes(t, 4, func(t *testing.T, ns *nodes, cfg Config) {
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				ns.sicken(fault)
				cfg.Route = "tc2"
				for i, m := range []*Manager{m, m, instance(t, cfg)} {
					begin := time.Now()
					w := b.clone().visit(m, func(s *Session) {
						s.Get("who", new(string))
						s.Set("who", "you")
					})
					limit := cfg.OperationTimeout + m.core.Load().storeTimeout()
					if took := time.Since(begin); took > limit {
						t.Errorf("request %d took %v, want %v at most", i, took, limit)
					}
					if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
						t.Errorf("request %d: status %d", i, w.Code)
					}
				}
				ns.sicken(memcachetest.Fault{})
				time.Sleep(time.Minute)
			})
		})
	}
}

// SR-59: 100 requests change one attribute of one session at the same time: all
// of them are stored, soon.
func TestSR59_ManyWriters(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		const n = 100
		m := instance(t, cfg)
		b := new(browser)
		begin := time.Now()
		for range n {
			b.count(t, m)
		}
		serial := time.Since(begin)
		begin = time.Now()
		var group sync.WaitGroup
		for range n {
			group.Go(func() { b.clone().count(t, m) })
		}
		group.Wait()
		if took := time.Since(begin); took > 2*serial+500*time.Millisecond {
			t.Errorf("%d in parallel took %v, one after the other %v", n, took, serial)
		}
		if got := b.count(t, m); got != 2*n+1 {
			t.Errorf("count = %d, want %d", got, 2*n+1)
		}
	})
}
