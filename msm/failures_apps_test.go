package msm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/ring"
)

// These are the rows of sessions.md, section 5, that are about instances, their
// configuration and the network between them and the nodes.

// Row 8: a node that evicts, and one whose memory is full: what it loses or
// refuses, others have.
func TestFailure08_NodeEvicts(t *testing.T) {
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			ns := startNodes(t, 3)
			ns.servers[0].Close()
			small, err := memcachetest.New(memcachetest.Config{MaxMemory: 64 << 10})
			must(t, err)
			ns.servers[0] = small
			cfg := both(ns.config())[mode]
			m, other := instance(t, cfg), instance(t, cfg)
			browsers := make([]*browser, 100)
			for i := range browsers {
				browsers[i] = new(browser)
				browsers[i].set(t, m, "who", fmt.Sprintf("%d%2000d", i, 0))
			}
			for i, b := range browsers {
				if got, want := b.get(t, other, "who"), fmt.Sprintf("%d%2000d", i, 0); got != want {
					t.Fatalf("session %d: who = %.10q, want %.10q", i, got, want)
				}
			}
		})
	}
}

// Row 8 with a real server that has no memory left and must not evict: a store
// that fails there deletes what it had.
func TestFailure08_MemoryFull(t *testing.T) {
	full := memcached.Start(t, "-M", "-m", "8")
	p := startProcesses(t, 2)
	p.servers = append(p.servers, full)
	fillUp(t, full)
	for mode, cfg := range both(p.config()) {
		m := instance(t, cfg)
		cfg.Route = "tc2"
		other := instance(t, cfg)
		for range 8 { // some of them have their place on the full node
			b := new(browser)
			for n := 1; n < 10; n++ {
				b.visit(m, func(s *Session) { must(t, s.Set("padding", make([]byte, n*n*400))) })
				if got := b.count(t, m); got != n {
					t.Fatalf("%s: count = %d, want %d", mode, got, n)
				}
			}
			if got := b.count(t, other); got != 10 {
				t.Errorf("%s: at another instance: count = %d, want 10", mode, got)
			}
		}
	}
}

// fillUp stores what a server without evictions takes, in many slab classes and
// in that of each size.
func fillUp(t *testing.T, full *memcached.Server, sizes ...int) {
	t.Helper()
	stuff, err := memcache.New(memcache.Config{Nodes: "full:" + full.Addr()})
	must(t, err)
	defer stuff.Close()
	for size := 400_000; size > 100; size /= 2 {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		for i := 0; ; i++ {
			if stuff.Set(t.Context(), &memcache.Item{Key: fmt.Sprint(size, ".", i), Value: make([]byte, size)}) != nil {
				break
			}
		}
	}
}

// Row 8: nodes that have no memory for a session as it is to be keep it as it was.
func TestFailure08_AllFull(t *testing.T) {
	p := startProcesses(t, 0)
	for range 2 {
		p.servers = append(p.servers, memcached.Start(t, "-M", "-m", "2"))
	}
	cfg := both(p.config())["non-sticky"]
	m, other := instance(t, cfg), instance(t, cfg)
	b := new(browser)
	b.set(t, m, "who", "me")
	for _, full := range p.servers {
		fillUp(t, full, 66_850)
	}
	resp := b.clone().visit(m, func(s *Session) { must(t, s.Set("padding", make([]byte, 50_000))) }) // 66,7 KB, as JSON
	if resp.Code != http.StatusServiceUnavailable {
		t.Fatalf("status %d, want 503: there is memory", resp.Code)
	}
	if got := b.get(t, other, "who"); got != "me" {
		t.Errorf("who = %q, want me", got)
	}
}

// Row 11: instances that see memcached and not each other have nothing special
// to do: the browser goes from one to the other with every request.
func TestFailure11_InstancesApart(t *testing.T) {
	ns := startNodes(t, 3)
	for mode := range both(Config{}) {
		var ms []*Manager
		for i := range 3 {
			cfg := both(newWire(t, ns, memcache.Config{}).config())[mode]
			cfg.Route = fmt.Sprint("tc", i)
			ms = append(ms, instance(t, cfg))
		}
		b := new(browser)
		for n := range 30 {
			if got := b.count(t, ms[n%3]); got != n+1 {
				t.Fatalf("%s: count = %d, want %d", mode, got, n+1)
			}
		}
	}
}

// Row 12: one instance sees only n1, the other only n2. When both see all again,
// there is one session, which is one of theirs, and all see the same; a session
// that either has ended is over.
func TestFailure12_SplitViews(t *testing.T) {
	for _, ended := range []bool{false, true} {
		t.Run(fmt.Sprint("ended: ", ended), func(t *testing.T) {
			for _, mode := range []string{"sticky", "non-sticky"} {
				t.Run(mode, func(t *testing.T) {
					bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
						w1, w2 := newWire(t, ns, memcache.Config{}), newWire(t, ns, memcache.Config{})
						cfg1, cfg2 := both(w1.config())[mode], both(w2.config())[mode]
						cfg2.Route = "tc2"
						m1, m2 := instance(t, cfg1), instance(t, cfg2)
						b1 := new(browser)
						b1.set(t, m1, "who", "me")
						b2 := b1.clone()
						w1.separate("n2")
						w2.separate("n1")
						b2.set(t, m2, "right", "x")
						b2.set(t, m2, "right", "y")
						if ended {
							b1.visit(m1, func(s *Session) { must(t, s.Invalidate()) })
						} else {
							b1.set(t, m1, "left", "x")
						}
						w1.separate()
						w2.separate()
						must(t, errors.Join(w1.client.Reach(t.Context()), w2.client.Reach(t.Context())))
						time.Sleep(2 * time.Second)
						if ended {
							b1 = b2.clone() // it has no cookie any more
						}
						var seen []string
						for range 3 {
							for _, m := range []*Manager{m1, m2} {
								var who, left, right string
								b1.visit(m, func(s *Session) {
									_, err1 := s.Get("who", &who)
									_, err2 := s.Get("left", &left)
									_, err3 := s.Get("right", &right)
									must(t, errors.Join(err1, err2, err3))
								})
								seen = append(seen, who+left+right)
								time.Sleep(time.Second)
							}
						}
						switch slices.Sort(seen); {
						case seen[0] != seen[len(seen)-1]:
							t.Errorf("the session is %q, want the same for all", slices.Compact(seen))
						case ended && seen[0] != "":
							t.Errorf("the session is %q, want none: it was ended", seen[0])
						case !ended && seen[0] != "mex" && seen[0] != "mey" && seen[0] != "mexy":
							t.Errorf("the session is %q, want what one of them stored", seen[0])
						}
					})
				})
			}
		})
	}
}

// Row 13, Row 14: an instance whose clock is an hour off wrote the session, and
// the clock of a node has jumped: the session is in use, and only idleness ends it.
func TestFailure13_Clocks(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				b := new(browser)
				b.set(t, instance(t, cfg), "who", "me")
				base := b.id(t).base
				for id, rec := range ns.records(base) {
					skewed := *rec
					skewed.created, skewed.accessed = rec.created.Add(skew), rec.accessed.Add(skew)
					item := ns.copies(base)[id]
					item.Value = skewed.appendTo(nil)
					if item.Expires = item.Expires.Add(skew); skew < 0 {
						item.Expires = time.Now().Add(time.Minute + ttlSlack) // a jump of the node's clock: its time seems nearly over
					}
					ns.node(id).SetItem(item)
				}
				cfg.Route = "tc2"
				m := instance(t, cfg)
				for range 5 {
					if got := b.get(t, m, "who"); got != "me" {
						t.Fatalf("who = %q, want me", got)
					}
					time.Sleep(DefaultMaxInactiveInterval - time.Minute)
				}
				time.Sleep(2 * time.Minute)
				if got := b.get(t, m, "who"); got != "" {
					t.Errorf("after idleness: who = %q, want none", got)
				}
			})
		})
	}
}

// Row 15, STK-15: an instance dies in the middle of a request: others serve the
// session at once, and see all or nothing of it.
func TestFailure15_CrashInTheMiddle(t *testing.T) {
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			for writes := range 6 {
				bubble(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
					w := newWire(t, ns, memcache.Config{})
					m := instance(t, both(w.config())[mode])
					other := both(cfg)[mode]
					other.Route = "tc2"
					b := new(browser)
					b.set(t, m, "a", "1")
					b.set(t, m, "b", "1")
					b.clone().visit(m, func(s *Session) {
						must(t, s.Set("a", "2"))
						must(t, s.Set("b", "2"))
						w.allow(writes)
					})
					w.separate("n1", "n2", "n3")
					begin := time.Now()
					m2 := instance(t, other)
					if a, b := b.get(t, m2, "a"), b.get(t, m2, "b"); a != b || a == "" {
						t.Errorf("dead after %d writes: a = %q, b = %q; want the same", writes, a, b)
					}
					if took := time.Since(begin); took > 0 {
						t.Errorf("dead after %d writes: the other instance took %v", writes, took)
					}
					w.separate()
					w.allow(-1)
				})
			}
		})
	}
}

// Row 18: the client goes away while the handler runs: what it did is stored.
func TestFailure18_ClientGone(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		r.Header.Set("Cookie", "__Host-sid="+b.cookie)
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s := From(r.Context())
			_, err := s.Get("who", new(string))
			must(t, err)
			leave()
			must(t, s.Set("paid", "yes"))
		})).ServeHTTP(httptest.NewRecorder(), r)
		cfg.Route = "tc2"
		if got := b.get(t, instance(t, cfg), "paid"); got != "yes" {
			t.Errorf("paid = %q, want yes", got)
		}
	})
}

// Row 20: an attribute that this release cannot read is that attribute's
// trouble: others are read and written, and its bytes stay as they are.
func TestFailure20_UnreadableAttribute(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.visit(m, func(s *Session) {
			must(t, s.Set("cart", map[string]int{"apples": 3}))
			must(t, s.Set("who", "me"))
		})
		old, _ := find(ns.records(b.id(t).base)[b.id(t).node].attrs, "cart")
		for range 3 {
			w := b.visit(m, func(s *Session) {
				if ok, err := s.Get("cart", new(int)); !ok || !errors.Is(err, ErrDecode) {
					t.Errorf("Get = %v, %v; want ErrDecode", ok, err)
				}
				must(t, visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil }))
			})
			if w.Code != http.StatusOK {
				t.Errorf("status %d, want 200", w.Code)
			}
		}
		for id, rec := range ns.records(b.id(t).base) {
			if a, ok := find(rec.attrs, "cart"); !ok || !sameValue(a, old) {
				t.Errorf("%s: the cart is %q now, want %q", id, a.data, old.data)
			}
		}
	})
}

// Row 22: one instance knows one node more than the other: both find the
// sessions of either, wherever they are.
func TestFailure22_DifferentNodeLists(t *testing.T) {
	ns := startNodes(t, 3)
	for mode, cfg := range both(ns.config()) {
		fewer := &nodes{t: t, servers: ns.servers[:2]}
		cfg2 := both(fewer.config())[mode]
		cfg2.Route = "tc2"
		ms := []*Manager{instance(t, cfg), instance(t, cfg2)}
		for i := range 20 {
			b := new(browser)
			for n := range 10 {
				if got := b.count(t, ms[(i+n)%2]); got != n+1 {
					t.Fatalf("%s, session %d: count = %d, want %d", mode, i, got, n+1)
				}
			}
		}
	}
}

// Row 23: the node list changes while requests run: no session and no change of
// one is lost. Between two changes every session is used, or both its copies
// could be on nodes that left.
func TestFailure23_NodeListChanges(t *testing.T) {
	ns := startNodes(t, 4)
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			w := newWire(t, ns, memcache.Config{})
			full := w.client.Ring()
			without := func(id string) *ring.Ring {
				r, err := full.Without(id)
				must(t, err)
				return r
			}
			m := instance(t, both(w.config())[mode])
			var over atomic.Bool
			var group sync.WaitGroup
			done := make([]atomic.Int64, 8) // requests of each user
			for i := range done {
				group.Go(func() {
					b := new(browser)
					for n := 1; !over.Load() && !t.Failed(); n++ {
						var got int
						w := b.visit(m, func(s *Session) {
							err := visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil })
							if got, _, _ = visits.Get(s); err != nil || got != n {
								t.Errorf("count = %d, %v; want %d", got, err, n)
							}
						})
						if w.Code != http.StatusOK {
							t.Errorf("request %d: status %d", n, w.Code)
						}
						done[i].Add(1)
					}
				})
			}
			for i := range 12 {
				must(t, w.client.SetRing([]*ring.Ring{without("n4"), full, without("n1"), full}[i%4]))
				for i := range done {
					now := done[i].Load()
					poll(t, "the session is used", func() bool { return done[i].Load() > now+1 || t.Failed() })
				}
			}
			over.Store(true)
			group.Wait()
		})
	}
}

// Row 25: replies that come too late: it is not known whether the commit was
// done. It is found out, and no change is made twice.
func TestFailure25_UnknownOutcome(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.count(t, m)
		stored, tried := 1, 1
		for round := range 30 {
			late := b.id(t).node
			w := b.visit(m, func(s *Session) {
				if err := visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil }); err != nil {
					return
				}
				if round%3 == 0 { // executed, answered when nobody waits any more
					ns.node(late).SetFault(memcachetest.Fault{Delay: 2 * cfg.OperationTimeout})
				}
			})
			ns.sicken(memcachetest.Fault{})
			if tried++; w.Code == http.StatusOK {
				stored++
			}
			time.Sleep(2 * time.Second)
			cfg.Client.Reach(t.Context())
			synctest.Wait()
			b.visit(m, func(s *Session) {
				if n, _, err := visits.Get(s); err != nil || n < stored || n > tried {
					t.Fatalf("round %d: visits = %d, %v; %d were acknowledged of %d", round, n, err, stored, tried)
				}
			})
		}
		if stored < 30 {
			t.Errorf("%d of %d requests were acknowledged, want all: the other nodes are up", stored, tried)
		}
	})
}
