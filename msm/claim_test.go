package msm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// request sends a request of b through m to a handler that does f.
func (b *browser) request(m *Manager, method, target string, f func(s *Session)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Cookie", "__Host-sid="+b.cookie)
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(From(r.Context())) })).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookie = c.Value
	}
	return w
}

// read and write are what a handler does that reads or changes its session.
func read(s *Session) { s.Info() }

func write(t *testing.T, name string) func(*Session) {
	return func(s *Session) { must(t, s.Set(name, "x")) }
}

// lockConfig is a Config whose requests wait for long.
func lockConfig(ns *nodes, mode string) Config {
	cfg := nonStickyConfig(ns)
	cfg.LockingMode, cfg.OperationTimeout = mode, 20*time.Second
	return cfg
}

// lockItem returns the item of a session's lock, on whatever node it lies.
func (ns *nodes) lockItem(t *testing.T, m *Manager, b *browser) (memcachetest.Item, bool) {
	t.Helper()
	key := m.core.Load().store.keys.lock(b.id(t).base)
	for _, s := range ns.servers {
		if item, ok := s.Get(key); ok {
			return item, ok
		}
	}
	return memcachetest.Item{}, false
}

// isLocked tells whether somebody has the lock of a session.
func (ns *nodes) isLocked(t *testing.T, m *Manager, b *browser) bool {
	t.Helper()
	_, ok := ns.lockItem(t, m, b)
	return ok
}

// NST-04, NST-26: a counter that is read and then set loses nothing, with every
// way to lock all requests that change it, in every protocol; and no lock is
// left behind.
func TestLockExcludes(t *testing.T) {
	farms := map[string]func(t *testing.T, n int) []string{
		"fake": func(t *testing.T, n int) (addrs []string) {
			for _, s := range startNodes(t, n).servers {
				addrs = append(addrs, s.Addr())
			}
			return addrs
		},
		"real": func(t *testing.T, n int) (addrs []string) {
			for range n {
				addrs = append(addrs, memcached.Start(t).Addr())
			}
			return addrs
		},
	}
	tests := []struct {
		mode     string
		protocol memcache.Protocol
		nodes    string // with the addresses to be filled in
	}{
		{"all", memcache.Text, "n1:%s n2:%s"},
		{"all", memcache.Classic, "n1:%s n2:%s"},
		{"all", memcache.Binary, "n1:%s n2:%s"},
		{"auto", memcache.Text, "n1:%s n2:%s"},
		{"uriPattern:.*", memcache.Text, "n1:%s n2:%s"},
		{"all", memcache.Text, "%s"},
		{"auto", memcache.Text, "%s"},
		{"uriPattern:POST .*", memcache.Text, "%s"},
	}
	for kind, start := range farms {
		for _, tc := range tests {
			t.Run(fmt.Sprintf("%s/%s/protocol %d/%s", kind, tc.mode, tc.protocol, tc.nodes), func(t *testing.T) {
				leaktest.Check(t)
				var args []any
				for _, addr := range start(t, strings.Count(tc.nodes, "%s")) {
					args = append(args, addr)
				}
				client := lockClient(t, memcache.Config{Nodes: fmt.Sprintf(tc.nodes, args...), Protocol: tc.protocol})
				cfg := Config{Client: client, NonSticky: true, SessionBackupSync: true, LockingMode: tc.mode, OperationTimeout: 20 * time.Second}
				lockExcludes(t, client, instance(t, cfg), instance(t, cfg))
			})
		}
	}
}

func lockExcludes(t *testing.T, client *memcache.Client, ms ...*Manager) {
	b := new(browser)
	b.set(t, ms[0], "name", "x")
	raise := func(s *Session) {
		n, _, err := visits.Get(s)
		must(t, err)
		runtime.Gosched()
		must(t, visits.Set(s, n+1))
	}
	const clients, rounds = 6, 10
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			b := b.clone()
			for range rounds {
				if w := b.request(ms[i%len(ms)], "POST", "/", raise); w.Code != http.StatusOK {
					t.Errorf("status %d %s", w.Code, w.Body)
				}
			}
		})
	}
	group.Wait()
	var got int
	b.request(ms[0], "POST", "/", func(s *Session) { got, _, _ = visits.Get(s) })
	if got != clients*rounds {
		t.Errorf("the counter is %d, want %d", got, clients*rounds)
	}
	key := ms[0].core.Load().store.keys.lock(b.id(t).base)
	for _, n := range client.Ring().Nodes() {
		if _, err := client.On(n.ID).Get(context.Background(), key); err != memcache.ErrMiss {
			t.Errorf("the lock at node %q: got %v, want ErrMiss", n.ID, err)
		}
	}
}

// NST-10, NST-11, NST-13, NST-14: which requests have the lock, and what it is.
func TestLockedRequests(t *testing.T) {
	type step struct {
		method, target string
		f              func(*Session)
		locked         bool // at the end of the handler
	}
	get := func(target string, locked bool) step { return step{"GET", target, read, locked} }
	set := func(method, target string, locked bool) step {
		return step{method, target, func(s *Session) { s.Set("a", time.Now()) }, locked}
	}
	tests := []struct {
		mode  string
		steps []step
	}{
		{"", []step{get("/p", false), set("POST", "/p", false)}},
		{"all", []step{get("/p", true), get("/p", true), set("POST", "/p", true), {"GET", "/p", func(*Session) {}, false}}},
		{"uriPattern:.*/lock.*", []step{get("/lock", true), get("/locked?x", true), get("/other", false), set("POST", "/other", false)}},
		{"auto", []step{
			get("/p", true), get("/p", false), // it has changed nothing
			get("/p?x", true), get("/p?x", false), // another line
			set("POST", "/p", true), set("POST", "/p?x", true), // changes
			{"POST", "/p?y", read, true}, {"POST", "/p", read, true}, // does not, this time
			set("GET", "/p", true), get("/p", true), get("/p", true), // once and for all
			set("GET", "/q", true), get("/q", true),
			{"POST", "/1", func(s *Session) { s.Set("a", "1") }, true},
			{"GET", "/same", func(s *Session) { s.Set("a", "1") }, true}, // it is that already
			{"GET", "/same", func(s *Session) { s.Set("a", "1"); s.ID(); s.Delete("b") }, false},
		}},
	}
	for _, tc := range tests {
		t.Run(tc.mode, func(t *testing.T) {
			ns := startNodes(t, 2)
			cfg := nonStickyConfig(ns)
			cfg.LockingMode, cfg.LockExpiration = tc.mode, 30*time.Second
			m := instance(t, cfg)
			b := new(browser)
			b.set(t, m, "name", "x")
			for i, step := range tc.steps {
				b.request(m, step.method, step.target, func(s *Session) {
					step.f(s)
					item, locked := ns.lockItem(t, m, b)
					if locked != step.locked {
						t.Errorf("step %d, %s %s: locked %v, want %v", i+1, step.method, step.target, locked, step.locked)
					}
					if left := time.Until(item.Expires); locked && (left < 29*time.Second || left > 32*time.Second) {
						t.Errorf("step %d: the lock lives for %v, want LockExpiration, 30 s, and up to 2 s", i+1, left)
					}
				})
				if ns.isLocked(t, m, b) {
					t.Errorf("step %d, %s %s: the lock is left behind", i+1, step.method, step.target)
				}
			}
		})
	}
}

// NST-09, SR-60: however a request ends, its lock does, and before its response
// leaves.
func TestLockIsGivenBack(t *testing.T) {
	ns := startNodes(t, 3)
	m, other := instance(t, lockConfig(ns, "all")), instance(t, lockConfig(ns, ""))
	tests := []struct {
		name string
		f    func(t *testing.T, b *browser, w http.ResponseWriter, s *Session)
		open bool // the lock is gone when f returns
	}{
		{"return", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) { read(s) }, false},
		{"change", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) { must(t, s.Set("a", 1)) }, false},
		{"flush", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) {
			must(t, s.Set("b", 1))
			w.(http.Flusher).Flush()
			must(t, s.Set("c", 1)) // is merged
		}, true},
		{"long response", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) {
			read(s)
			w.Write(make([]byte, holdSize+1))
		}, true},
		{"panic", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) {
			must(t, s.Set("d", 1))
			panic(http.ErrAbortHandler)
		}, false},
		{"renew", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) { must(t, s.Renew()) }, false},
		{"ended elsewhere", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) {
			read(s)
			b.clone().visit(other, func(s *Session) { must(t, s.Invalidate()) })
			must(t, s.Set("e", 1))
		}, false},
		{"invalidate", func(t *testing.T, b *browser, w http.ResponseWriter, s *Session) {
			read(s)
			must(t, s.Invalidate())
			must(t, s.Set("f", 1)) // another session
		}, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := new(browser)
			b.set(t, other, "name", "x")
			was := b.clone()
			func() {
				defer func() { recover() }()
				b.serve(m, "/", func(w http.ResponseWriter, r *http.Request) {
					s := From(r.Context())
					read(s)
					if !ns.isLocked(t, m, was) {
						t.Error("the handler has no lock")
					}
					tc.f(t, was, w, s)
					if ns.isLocked(t, m, was) == tc.open {
						t.Errorf("the handler ends with its lock: %v, want %v", tc.open, !tc.open)
					}
				})
			}()
			if ns.isLocked(t, m, was) || m.core.Load().locks.size() != 0 {
				t.Error("the lock is left behind")
			}
		})
	}
}

// NST-09, SR-54: a session that is not there is not locked, known or not.
func TestNoLockWithoutSession(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, lockConfig(ns, "all"))
	b := new(browser)
	b.set(t, m, "name", "x")
	gone := b.clone()
	b.visit(m, func(s *Session) { must(t, s.Invalidate()) })
	before := ns.traffic()
	for _, b := range []*browser{gone, {sessionID{base: newBase(), node: "n1"}.String()}, {}} {
		b.visit(m, func(s *Session) {
			read(s)
			if _, ok := ns.lockItem(t, m, gone); ok {
				t.Error("a session that is over is locked")
			}
		})
	}
	for _, s := range ns.servers {
		for _, item := range s.Items() {
			if strings.Contains(item.Key, "lock:") {
				t.Errorf("there is a lock: %s", item.Key)
			}
		}
	}
	if n := ns.traffic() - before; n > 6 {
		t.Errorf("%d commands for three requests without a session, want at most 2 reads each", n)
	}
}

// A request that had to wait sees what those before it have stored, or that they
// have ended the session.
func TestLockedRequestsSeeTheNewest(t *testing.T) {
	ns := startNodes(t, 2)
	ms := []*Manager{instance(t, lockConfig(ns, "all")), instance(t, lockConfig(ns, "all"))}
	b := new(browser)
	b.set(t, ms[0], "name", "x")
	for _, end := range []bool{false, true} {
		var group sync.WaitGroup
		b.clone().request(ms[0], "POST", "/", func(s *Session) {
			read(s)
			for i, m := range ms {
				group.Go(func() {
					b.clone().request(m, "GET", "/", func(s *Session) {
						var got string
						_, err := s.Get("name", &got)
						must(t, err)
						if want := map[bool]string{false: "new", true: ""}[end]; got != want {
							t.Errorf("instance %d: name = %q, want %q", i+1, got, want)
						}
					})
				})
			}
			poll(t, "the requests wait", func() bool {
				item, _ := ns.lockItem(t, ms[0], b)
				return ms[0].core.Load().locks.waiters(b.id(t).base) == 1 && strings.Contains(string(item.Value), "+")
			})
			must(t, s.Set("name", "new"))
			if end {
				must(t, s.Invalidate())
			}
		})
		group.Wait()
	}
}

// NST-11: two requests that are known to change nothing run at the same time,
// and beside one that has the lock.
func TestReadersDoNotWait(t *testing.T) {
	ns := startNodes(t, 2)
	ms := []*Manager{instance(t, lockConfig(ns, "auto")), instance(t, lockConfig(ns, "auto"))}
	b := new(browser)
	b.set(t, ms[0], "name", "x")
	for _, m := range ms {
		b.request(m, "GET", "/p", read)
	}
	b.request(ms[0], "POST", "/p", func(s *Session) {
		must(t, s.Set("name", "y"))
		inside := make(chan struct{})
		var group sync.WaitGroup
		for _, m := range ms {
			group.Go(func() {
				b.clone().request(m, "GET", "/p", func(s *Session) {
					read(s)
					select {
					case inside <- struct{}{}:
					case <-inside:
					case <-time.After(10 * time.Second):
						t.Error("the other reader does not come")
					}
				})
			})
		}
		group.Wait()
	})
}

// NST-30, W8: what requests without the lock change in between is merged.
func TestJoiningWithoutLock(t *testing.T) {
	ns := startNodes(t, 2)
	var ms []*Manager
	for range 2 {
		ms = append(ms, instance(t, lockConfig(ns, "uriPattern:/lock")))
	}
	b := new(browser)
	b.set(t, ms[0], "name", "x")
	b.clone().request(ms[0], "GET", "/other", func(s *Session) {
		read(s) // an instance that is not locked
		b.clone().request(ms[0], "POST", "/lock", func(s2 *Session) {
			must(t, s2.Set("joined", "x"))
			b.clone().request(ms[1], "POST", "/other", write(t, "third")) // does not wait: SR-58
			must(t, s.Set("first", "x"))
		})
	})
	for _, name := range []string{"name", "joined", "third", "first"} {
		if got := b.get(t, ms[1], name); got != "x" {
			t.Errorf("%s = %q, want x", name, got)
		}
	}
}

// A request of a line that was thought to change nothing gets the lock when it
// does, and sees the session as it is then.
func TestLockUpgrade(t *testing.T) {
	ns := startNodes(t, 2)
	ms := []*Manager{instance(t, lockConfig(ns, "auto")), instance(t, lockConfig(ns, "auto"))}
	b := new(browser)
	b.set(t, ms[0], "name", "x")
	b.request(ms[0], "GET", "/p", read)
	b.request(ms[0], "GET", "/p", func(s *Session) {
		read(s)
		b.clone().count(t, ms[1])
		must(t, s.Set("other", "x"))
		if !ns.isLocked(t, ms[0], b) {
			t.Error("the request has changed its session without a lock")
		}
		if n, _, err := visits.Get(s); n != 1 || err != nil {
			t.Errorf("visits = %d, %v with the lock, want 1", n, err)
		}
		must(t, visits.Set(s, 2))
	})
	b.request(ms[0], "GET", "/q", read)
	b.request(ms[0], "GET", "/q", func(s *Session) {
		read(s)
		b.clone().count(t, ms[1])
		calls := 0
		must(t, visits.Update(s, func(old int, _ bool) (int, error) { calls++; return old + 1, nil }))
		if n, _, err := visits.Get(s); n != 4 || err != nil || calls != 2 {
			t.Errorf("visits = %d, %v after %d calls, want 4 after 2", n, err, calls)
		}
	})
	b.request(ms[0], "GET", "/r", read)
	b.request(ms[0], "GET", "/r", func(s *Session) {
		read(s)
		b.clone().request(ms[1], "POST", "/end", func(s *Session) { must(t, s.Invalidate()) })
		must(t, s.Set("other", "y"))
		if err := s.Save(t.Context()); !errors.Is(err, ErrInvalidated) {
			t.Errorf("storing what was ended: got %v, want ErrInvalidated", err)
		}
	})
}

// SR-57: the one too many gets 503 at once, whatever its handler makes of it,
// and nothing is logged. The others get their turn.
func TestTooManyWait(t *testing.T) {
	ns := startNodes(t, 2)
	var log bytes.Buffer
	cfg := lockConfig(ns, "all")
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	m, other := instance(t, cfg), instance(t, cfg)
	b := new(browser)
	b.set(t, m, "name", "x")
	var group sync.WaitGroup
	b.request(m, "GET", "/", func(s *Session) {
		read(s)
		for i := range maxWaiters {
			group.Go(func() { b.clone().set(t, m, fmt.Sprint("a", i), "x") })
		}
		poll(t, "all wait", func() bool { return m.core.Load().locks.waiters(b.id(t).base) == maxWaiters })
		w := b.clone().serve(m, "/", func(w http.ResponseWriter, r *http.Request) {
			err := From(r.Context()).Set("a", 1)
			if !errors.Is(err, ErrBusy) || !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrBusy", err)
			}
			fmt.Fprintln(w, "secret")
		})
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("got %d %v %q, want 503 and nothing of the handler's", w.Code, w.Header(), w.Body)
		}
		group.Go(func() { b.clone().set(t, other, "other", "x") }) // another instance, another queue
	})
	group.Wait()
	for i := range maxWaiters {
		if got := b.get(t, other, fmt.Sprint("a", i)); got != "x" {
			t.Errorf("a%d = %q, want x", i, got)
		}
	}
	if strings.Contains(log.String(), "could not") {
		t.Errorf("logged: %s", log.String())
	}
}
