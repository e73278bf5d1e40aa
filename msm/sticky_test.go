package msm

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/seed99545744/msm/internal/leaktest"
)

func stickyConfig(ns *nodes, route string) Config {
	cfg := ns.config()
	cfg.Route = route
	return cfg
}

// STK-14: instances take a session over from each other, back and forth, and
// none ever serves an older state.
func TestTakeOverBackAndForth(t *testing.T) {
	for _, routes := range [][2]string{{"tc1", "tc2"}, {"", ""}} {
		for _, backup := range []bool{false, true} {
			t.Run(fmt.Sprintf("route=%q,sync=%v", routes[0], backup), func(t *testing.T) {
				leaktest.Check(t)
				ns := startNodes(t, 2)
				var ms [2]*Manager
				for i, route := range routes {
					cfg := stickyConfig(ns, route)
					cfg.SessionBackupSync = backup
					ms[i] = instance(t, cfg)
				}
				b := new(browser)
				for i := range 20 {
					if got := b.count(t, ms[i/2%2]); got != i+1 {
						t.Fatalf("visit %d: count = %d", i+1, got)
					}
					if route := b.id(t).route; route != routes[i/2%2] {
						t.Fatalf("visit %d: route = %q, want %q", i+1, route, routes[i/2%2])
					}
					rest(t, ms[i/2%2]) // what was not backed up yet is what asynchronous backup may lose
				}
			})
		}
	}
}

func TestStickyParallelRequests(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, stickyConfig(ns, "tc1"))
	b := new(browser)
	b.count(t, m)
	const n = 50
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			b := b.clone()
			b.count(t, m)
			b.set(t, m, fmt.Sprint("a", i), "v")
		})
	}
	group.Wait()
	if got := b.count(t, m); got != n+2 {
		t.Errorf("count = %d, want %d", got, n+2)
	}
	shutdown(t, m)
	m2 := instance(t, stickyConfig(ns, "tc2"))
	if got := b.count(t, m2); got != n+3 {
		t.Errorf("count at the other instance = %d, want %d", got, n+3)
	}
	for i := range n {
		if got := b.get(t, m2, fmt.Sprint("a", i)); got != "v" {
			t.Errorf("attribute a%d = %q, want v", i, got)
		}
	}
}

func TestStickyFailover(t *testing.T) {
	leaktest.Check(t)
	ns := startNodes(t, 3)
	cfg1, cfg2 := stickyConfig(ns, "tc1"), stickyConfig(ns, "tc2")
	cfg1.SessionBackupSync, cfg2.SessionBackupSync = true, true
	m1, m2 := instance(t, cfg1), instance(t, cfg2)
	b := new(browser)
	want := 0
	step := func(what string) {
		t.Helper()
		for _, m := range []*Manager{m1, m2} {
			want++
			if got := b.count(t, m); got != want {
				t.Fatalf("%s: count = %d, want %d", what, got, want)
			}
		}
	}
	step("at first")
	for round := range 4 {
		node := b.id(t).node
		ns.kill(node)
		step(fmt.Sprintf("round %d, %s dead", round, node))
		if b.id(t).node == node {
			t.Fatalf("cookie %s after %s died", b.cookie, node)
		}
		ns.restart(node)
		poll(t, fmt.Sprintf("round %d, %s back", round, node), func() bool {
			step(fmt.Sprintf("round %d, %s coming back", round, node))
			return b.id(t).node == node
		})
	}
}

// STK-18, STK-20: while all nodes are down, sessions live on here; they get a
// node when one is up.
func TestAllNodesDown(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("SessionBackupSync %v", sync), func(t *testing.T) { testAllNodesDown(t, sync) })
	}
}

func testAllNodesDown(t *testing.T, sync bool) {
	ns := startNodes(t, 2)
	cfg := stickyConfig(ns, "tc1")
	cfg.SessionBackupSync = sync
	m := instance(t, cfg)
	old := new(browser)
	old.count(t, m)
	rest(t, m) // the second copy is stored in the background
	ns.kill("n1")
	ns.kill("n2")
	cookie := old.cookie
	if got := old.count(t, m); got != 2 || old.cookie != cookie {
		t.Errorf("all down: count = %d with cookie %s, want 2 with %s", got, old.cookie, cookie)
	}
	young := new(browser)
	young.count(t, m)
	if node := young.id(t).node; node != "" {
		t.Errorf("all down: a new session has node %q, want none", node)
	}
	if w := young.visit(m, func(s *Session) { s.Get("visits", new(int)) }); w.Header().Get("Set-Cookie") != "" || w.Code != http.StatusOK {
		t.Errorf("all down: second request got %d with cookie %q, want 200 without", w.Code, w.Header().Get("Set-Cookie"))
	}
	ns.restart("n1")
	ns.restart("n2")
	n := 1
	poll(t, "the new session gets a node", func() bool {
		n++
		if got := young.count(t, m); got != n {
			t.Fatalf("count = %d, want %d", got, n)
		}
		return young.id(t).node != ""
	})
	rest(t, m)
	if got := young.count(t, instance(t, stickyConfig(ns, "tc2"))); got != n+1 {
		t.Errorf("another instance: count = %d, want %d", got, n+1)
	}
}

func TestLogoutReachesOtherInstances(t *testing.T) {
	ns := startNodes(t, 2)
	m1, m2 := instance(t, stickyConfig(ns, "tc1")), instance(t, stickyConfig(ns, "tc2"))
	b := new(browser)
	b.set(t, m1, "who", "me")
	old := b.clone() // keeps coming to tc1 with its cookie
	if got := b.get(t, m2, "who"); got != "me" {
		t.Fatalf("taken over: who = %q", got)
	}
	b.visit(m2, func(s *Session) { must(t, s.Invalidate()) })
	if b.cookie != "" {
		t.Errorf("cookie %q after Invalidate, want it deleted", b.cookie)
	}
	poll(t, "tc1 has heard of the logout", func() bool { return old.clone().get(t, m1, "who") == "" })
}
