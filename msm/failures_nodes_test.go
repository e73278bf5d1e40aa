package msm

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// These are the rows of sessions.md, section 5, that are about nodes.

// freeze stops a node, and returns when it answers no more.
func (p *processes) freeze(id string) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.node(id).Addr())
	must(p.t, err)
	defer conn.Close()
	p.node(id).Stop()
	poll(p.t, id+" is frozen", func() bool {
		_, err := conn.Write([]byte("version\r\n"))
		must(p.t, err)
		conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err = conn.Read(make([]byte, 100))
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
}

// timed visits and tells how long it took.
func timed(t *testing.T, b *browser, m *Manager, want int) time.Duration {
	t.Helper()
	begin := time.Now()
	if got := b.count(t, m); got != want {
		t.Fatalf("count = %d, want %d", got, want)
	}
	return time.Since(begin)
}

// prompt is what a request may take more than usual that waits for nobody.
const prompt = 50 * time.Millisecond

// firstRequests breaks the session's node and bounds what the first and the second
// request after it may take more than usual. It does so with new sessions until
// each was in time once and one has moved to another node: other work on the
// machine makes tries slower, never faster.
func firstRequests(t *testing.T, cfg Config, ill, well func(id string), mostFirst, mostSecond time.Duration) {
	t.Helper()
	const tries = 10
	moved := false
	first, second := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for n := 0; n < tries && (first > mostFirst || second > mostSecond || !moved); n++ {
		m := instance(t, cfg)
		b := new(browser)
		var usual []time.Duration
		for n := range 21 {
			usual = append(usual, timed(t, b, m, n+1))
		}
		slices.Sort(usual)
		old := b.id(t)
		ill(old.node)
		first = min(first, timed(t, b, m, 22)-usual[10])
		second = min(second, timed(t, b, m, 23)-usual[10])
		now := b.id(t)
		if now.base != old.base {
			t.Errorf("cookie %v, want the session %v", now, old)
		}
		moved = moved || now.node != old.node
		well(old.node)
		shutdown(t, m)
	}
	if !moved {
		t.Errorf("in %d tries no session was moved to another node", tries)
	}
	if first > mostFirst || second > mostSecond {
		t.Errorf("the first and second request took %v and %v longer than usual, want %v and %v at most", first, second, mostFirst, mostSecond)
	}
}

// Row 1, NST-20: a node is killed. The first request after it has the right
// session, as fast as usual.
func TestFailure01_NodeKilled(t *testing.T) {
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			p := startProcesses(t, 3)
			firstRequests(t, both(p.config())[mode], p.kill, p.restart, prompt, prompt)
		})
	}
}

// Row 3: a node is slow. Its sessions are there, as slow as it is; nothing is
// lost, and nobody is moved.
func TestFailure03_NodeSlow(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.count(t, m)
		home := b.id(t).node
		ns.node(home).SetFault(memcachetest.Fault{Delay: 20 * time.Millisecond})
		for want := 2; want < 30; want++ {
			if took := timed(t, b, m, want); took > 200*time.Millisecond {
				t.Errorf("visit %d took %v", want, took)
			}
		}
		if got := b.id(t).node; got != home {
			t.Errorf("moved from %s to %s", home, got)
		}
	})
}

// Row 4: a node that comes and goes. No session is lost or begins anew, no
// request fails, and most of them need no new cookie.
func TestFailure04_NodeFlapping(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.count(t, m)
		base, home, cookies := b.id(t).base, b.id(t).node, 0
		for want := 2; want < 500; want++ {
			ns.node(home).SetFault(memcachetest.Fault{Refuse: want%10 < 5})
			before := b.cookie
			if got := b.count(t, m); got != want {
				t.Fatalf("count = %d, want %d", got, want)
			}
			if before != b.cookie {
				cookies++
			}
			time.Sleep(50 * time.Millisecond)
		}
		if b.id(t).base != base || cookies > 150 {
			t.Errorf("%d new cookies in 500 requests; the same session: %v", cookies, b.id(t).base == base)
		}
	})
}

// Row 5, W24: a node that was away comes back with what it had. Nothing old is
// seen again, with the newest cookie and with those of before.
func TestFailure05_OldDataComesBack(t *testing.T) {
	for _, how := range []string{"refused", "stopped"} {
		t.Run(how, func(t *testing.T) {
			bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				m := instance(t, cfg)
				b := new(browser)
				b.count(t, m)
				for round := range 3 {
					old := b.clone()
					away := b.id(t).node
					ns.node(away).SetFault(memcachetest.Fault{Refuse: how == "refused", Hang: how == "stopped"})
					want := 2 + round*2
					if got := b.count(t, m); got != want {
						t.Fatalf("%s away: count = %d, want %d", away, got, want)
					}
					ns.node(away).SetFault(memcachetest.Fault{})
					time.Sleep(time.Second)
					cfg.Client.Reach(t.Context())
					other := cfg
					other.Route = fmt.Sprint("tc", round+2)
					old.visit(instance(t, other), func(s *Session) {
						if n, _, err := visits.Get(s); n != want || err != nil {
							t.Errorf("%s is back: with the old cookie visits = %d, %v; want %d", away, n, err, want)
						}
					})
					if got := b.count(t, m); got != want+1 {
						t.Fatalf("%s is back: count = %d, want %d", away, got, want+1)
					}
				}
			})
		})
	}
}

// Row 5 with a real server: it is stopped while a commit is on its way, and
// executes it when it goes on.
func TestFailure05_LateCommit(t *testing.T) {
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			p := startProcesses(t, 3)
			cfg := both(p.config())[mode]
			cfg.OperationTimeout = 100 * time.Millisecond
			m := instance(t, cfg)
			b := new(browser)
			want := 1
			b.count(t, m)
			for range 3 {
				home := b.id(t).node
				b.visit(m, func(s *Session) {
					_, _, err := visits.Get(s)
					must(t, err)
					p.freeze(home) // the commit is sent, and not answered
					must(t, visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil }))
				})
				want++
				p.node(home).Continue()
				poll(t, home+" is used again", func() bool {
					want++
					if got := b.count(t, m); got != want {
						t.Fatalf("count = %d, want %d", got, want)
					}
					return m.core.Load().store.client.Up()
				})
			}
		})
	}
}

// Row 6: a node is restarted, empty and with CAS numbers that begin anew. The
// session is there, and soon on two nodes again.
func TestFailure06_RestartedEmpty(t *testing.T) {
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			p := startProcesses(t, 2)
			m := instance(t, both(p.config())[mode])
			b := new(browser)
			want := 0
			for round := range 6 {
				want++
				if got := b.count(t, m); got != want {
					t.Fatalf("round %d: count = %d, want %d", round, got, want)
				}
				p.restart(nodeID(round % 2))
				poll(t, "there are two copies", func() bool {
					want++
					if got := b.count(t, m); got != want {
						t.Fatalf("round %d: count = %d, want %d", round, got, want)
					}
					var ids []string
					b.visit(m, func(s *Session) { ids, _ = s.Copies() })
					return len(ids) == 2
				})
			}
		})
	}
}

// Row 7: both copies are gone. A sticky session is stored again by the instance
// that has it; a non-sticky one is over: a new one begins, without an error.
func TestFailure07_BothCopiesGone(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		base := b.id(t).base
		for _, s := range ns.servers {
			s.Flush()
		}
		time.Sleep(2 * confirmInterval)
		if !cfg.NonSticky {
			if got := b.get(t, m, "who"); got != "me" || len(ns.copies(base)) != 2 {
				t.Errorf("sticky: who = %q with %d copies, want me with 2", got, len(ns.copies(base)))
			}
			cfg.Route = "tc2"
			if got := b.get(t, instance(t, cfg), "who"); got != "me" {
				t.Errorf("another instance: who = %q, want me", got)
			}
			return
		}
		if got, cookie := b.look(t, m); got != "" || cookie != "" {
			t.Errorf("non-sticky: who = %q and cookie %q, want neither", got, cookie)
		}
		b.set(t, m, "who", "somebody")
		if b.id(t).base == base {
			t.Error("the new session has the old id")
		}
	})
}

// Row 10: all nodes are down, non-sticky: pages that need no session work, those
// that do fail at once and visibly, and nobody is logged out.
func TestFailure10_AllNodesDown(t *testing.T) {
	ns := startNodes(t, 3)
	cfg := nonStickyConfig(ns)
	m := instance(t, cfg)
	b := new(browser)
	b.set(t, m, "who", "me")
	ns.sicken(memcachetest.Fault{Refuse: true})
	for range 10 {
		begin := time.Now()
		if w := b.visit(m, func(*Session) {}); w.Code != http.StatusOK {
			t.Errorf("a page without session: status %d, want 200", w.Code)
		}
		if w := new(browser).visit(m, func(s *Session) { s.Set("who", "new") }); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("a new session: status %d with %v, want 503 with Retry-After", w.Code, w.Header())
		}
		w := b.visit(m, func(s *Session) {
			if err := s.Set("who", "else"); err == nil {
				t.Error("Set: no error")
			}
		})
		if cookie := w.Header().Get("Set-Cookie"); cookie != "" {
			t.Errorf("a cookie: %s", cookie)
		}
		if took := time.Since(begin); took > 2*cfg.OperationTimeout {
			t.Errorf("three requests took %v", took)
		}
	}
	ns.sicken(memcachetest.Fault{})
	poll(t, "the session is there again", func() bool {
		var who string
		b.visit(m, func(s *Session) { s.Get("who", &who) })
		return who == "me"
	})
}

// Row 2: a node is stopped and swallows what is sent. The first request has the
// right session after one time-out, the second one as fast as usual.
func TestFailure02_NodeStopped(t *testing.T) {
	for _, mode := range []string{"sticky", "non-sticky"} {
		t.Run(mode, func(t *testing.T) {
			p := startProcesses(t, 3)
			cfg := both(p.config())[mode]
			cfg.OperationTimeout = time.Second
			firstRequests(t, cfg, p.freeze, func(id string) {
				p.node(id).Continue()
				p.restart(id)
			}, cfg.OperationTimeout+2*prompt, prompt)
		})
	}
}
