package msm

import (
	"fmt"
	"sync"
	"testing"

	"github.com/seed99545744/msm/internal/leaktest"
)

func nonStickyConfig(ns *nodes) Config {
	cfg := ns.config()
	cfg.NonSticky, cfg.SessionBackupSync = true, true
	return cfg
}

func TestSessionLivesOnTwoNodes(t *testing.T) {
	leaktest.Check(t)
	ns := startNodes(t, 3)
	m := instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m, "who", "me")
	if got := b.get(t, m, "who"); got != "me" {
		t.Fatalf("who = %q, want me", got)
	}
	copies := 0
	for _, s := range ns.servers {
		copies += s.Len()
	}
	if copies != 2 {
		t.Errorf("%d items on the nodes, want 2 copies", copies)
	}
	b.visit(m, func(s *Session) {
		ids, err := s.Copies()
		must(t, err)
		if len(ids) != 2 || ids[0] != b.id(t).node {
			t.Errorf("Copies = %v, want two nodes, the session's %s first", ids, b.id(t).node)
		}
	})
}

func TestFailover(t *testing.T) {
	leaktest.Check(t)
	ns := startNodes(t, 3)
	m1, m2 := instance(t, nonStickyConfig(ns)), instance(t, nonStickyConfig(ns))
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
	base := b.id(t).base
	for round := range 6 {
		node := b.id(t).node
		ns.kill(node)
		step(fmt.Sprintf("round %d, %s dead", round, node))
		if b.id(t).node == node || b.id(t).base != base {
			t.Fatalf("cookie %s after %s died", b.cookie, node)
		}
		ns.restart(node)
		poll(t, fmt.Sprintf("round %d, %s back", round, node), func() bool {
			step(fmt.Sprintf("round %d, %s coming back", round, node))
			return b.id(t).node == node
		})
	}
}

func TestParallelAttributes(t *testing.T) {
	ns := startNodes(t, 2)
	ms := []*Manager{instance(t, nonStickyConfig(ns)), instance(t, nonStickyConfig(ns))}
	b := new(browser)
	b.set(t, ms[0], "first", "x")
	var group sync.WaitGroup
	const n = 16
	for i := range n {
		group.Go(func() { b.clone().set(t, ms[i%2], fmt.Sprint("a", i), "v") })
	}
	group.Wait()
	for i := range n {
		if got := b.get(t, ms[0], fmt.Sprint("a", i)); got != "v" {
			t.Errorf("attribute a%d = %q, want v", i, got)
		}
	}
}
