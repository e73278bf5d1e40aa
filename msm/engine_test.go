package msm

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// STK-23: a disabled manager leaves its nodes alone.
func TestDisabledWithNodes(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	cfg.Disabled = true
	m := instance(t, cfg)
	b := new(browser)
	for i := range 3 {
		if got := b.count(t, m); got != i+1 {
			t.Fatalf("count = %d, want %d", got, i+1)
		}
	}
	old := b.clone()
	b.visit(m, func(s *Session) { must(t, s.Renew()) })
	if got := b.count(t, m); got != 4 || b.id(t).base == old.id(t).base || b.id(t).node != "" {
		t.Errorf("after Renew: count = %d, new id %v, node %q; want 4, true, none", got, b.id(t).base != old.id(t).base, b.id(t).node)
	}
	b.visit(m, func(s *Session) { must(t, s.Invalidate()) })
	if n := ns.traffic(); n != 0 {
		t.Errorf("%d commands went to the nodes, want none", n)
	}
}

// What requests change while their session is renewed is stored under the new
// id, also when nothing else is.
func TestLeftOverOfRenew(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, stickyConfig(ns, "tc1"))
	b := new(browser)
	b.set(t, m, "who", "me")
	k := m.core.Load().keeper.(*sticky)
	e := k.table.get(b.id(t).base)
	// A request that has published, and whose store comes later than Renew.
	left := &batch{nonce: author(1).newNonce()}
	a, err := m.core.Load().encode("late", "kept")
	must(t, err)
	left.stored.set(a)
	must(t, e.take(t.Context()))
	next, err := k.successor(t.Context(), e, new(batch))
	must(t, err)
	must(t, e.publish(left, k))
	for _, b := range e.end(renewed) {
		must(t, next.publish(b, k))
	}
	e.yield()
	if !next.dirty() {
		t.Error("the new entry does not know that memcached lacks something")
	}
}

// A sticky session keeps its own idle time-out in memcached while it is served
// from here.
func TestConfirmKeepsOwnTimeout(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, stickyConfig(ns, "tc1"))
	b := new(browser)
	b.visit(m, func(s *Session) { must(t, s.SetMaxInactive(5*time.Hour)) })
	rest(t, m)
	e := m.table.get(b.id(t).base)
	e.locked(func() { e.confirmed = time.Time{} })
	b.get(t, m, "who")
	for i, s := range ns.servers {
		for _, item := range s.Items() {
			if left := time.Until(item.Expires); left < 4*time.Hour {
				t.Errorf("node n%d drops the session in %v, want 5 h", i+1, left)
			}
		}
	}
}

// When the newest copy is gone and an older one is found, the session as it is
// here is newer: it is stored again.
func TestOlderCopyIsNotAdopted(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, stickyConfig(ns, "tc1"))
	b := new(browser)
	b.count(t, m)
	rest(t, m)
	second := ns.node("n1")
	if b.id(t).node == "n1" {
		second = ns.node("n2")
	}
	older := second.Items()[0]
	b.count(t, m)
	rest(t, m)
	second.SetItem(older) // as a node that comes back with old data
	ns.node(b.id(t).node).Flush()
	e := m.table.get(b.id(t).base)
	e.locked(func() { e.confirmed = time.Time{} })
	if got := b.count(t, m); got != 3 {
		t.Errorf("count = %d, want 3", got)
	}
	shutdown(t, m)
	if got := b.count(t, instance(t, stickyConfig(ns, "tc2"))); got != 4 {
		t.Errorf("count elsewhere = %d, want 4", got)
	}
}

// Errors of waiting in vain say that the session is unavailable.
func TestWaitingInVain(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m, "who", "me")
	convoys := m.core.Load().keeper.(*nonSticky).convoys
	base := b.id(t).base
	if convoys.join(base, author(1).newCommit()) != nil {
		t.Fatal("somebody stores the session")
	}
	var err error
	b.visit(m, func(s *Session) {
		must(t, s.Set("who", "you"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err = s.Save(ctx)
		convoys.leave(m.core.Load().store.newVersion(base))
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("Save behind a commit that does not end = %v, want ErrUnavailable", err)
	}
	if got := b.get(t, m, "who"); got != "you" {
		t.Errorf("who = %q after the response, want you", got)
	}
}

// A request whose Renew or Invalidate could not reach the nodes goes on with the
// session as it had it.
func TestRequestAfterFailedEnd(t *testing.T) {
	for name, end := range map[string]func(*Session) error{"Renew": (*Session).Renew, "Invalidate": (*Session).Invalidate} {
		t.Run(name, func(t *testing.T) {
			ns := startNodes(t, 2)
			m := instance(t, nonStickyConfig(ns))
			b := new(browser)
			b.set(t, m, "who", "me")
			w := b.visit(m, func(s *Session) {
				if _, err := s.Get("who", new(string)); err != nil {
					t.Fatal(err)
				}
				ns.kill("n1")
				ns.kill("n2")
				must(t, s.Set("role", "admin"))
				if err := end(s); !errors.Is(err, ErrUnavailable) {
					t.Errorf("%s = %v, want ErrUnavailable", name, err)
				}
				var who string
				if ok, err := s.Get("who", &who); !ok || err != nil || who != "me" {
					t.Errorf("Get afterwards = %q, %v, %v; want me", who, ok, err)
				}
			})
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("status %d, want 503: the change could not be stored", w.Code)
			}
		})
	}
}

// When all nodes were down and are back, what is stored next is stored, and not
// only here: a client that has not noticed yet looks again.
func TestNodesAreBack(t *testing.T) {
	ns := startNodes(t, 2)
	cfg1, cfg2 := stickyConfig(ns, "tc1"), stickyConfig(ns, "tc2")
	cfg1.SessionBackupSync, cfg2.SessionBackupSync = true, true
	m1, m2 := instance(t, cfg1), instance(t, cfg2)
	b := new(browser)
	want := 1
	b.count(t, m1)
	for round := range 5 {
		for _, s := range ns.servers {
			s.SetFault(memcachetest.Fault{Refuse: true})
		}
		for range 20 { // the pauses between the client's own looks grow
			want++
			b.count(t, m1)
		}
		for _, s := range ns.servers {
			s.SetFault(memcachetest.Fault{})
		}
		want++
		b.count(t, m1)
		want++
		if got := b.count(t, m2); got != want {
			t.Fatalf("round %d: count elsewhere = %d, want %d", round, got, want)
		}
		want++
		if got := b.count(t, m1); got != want {
			t.Fatalf("round %d: count = %d, want %d", round, got, want)
		}
	}
}

// Get says what is wrong with what it is to decode into, not with what is stored.
func TestGetInto(t *testing.T) {
	m := instance(t, Config{Disabled: true})
	b := new(browser)
	b.set(t, m, "who", "me")
	b.visit(m, func(s *Session) {
		for _, into := range []any{nil, "", (*string)(nil)} {
			if _, err := s.Get("who", into); err == nil || errors.Is(err, ErrDecode) {
				t.Errorf("Get into %T = %v, want an error that is not ErrDecode", into, err)
			}
		}
	})
}

// What clients bring about as often as they like is no news for the log.
func TestLogoutBesideARequest(t *testing.T) {
	var log strings.Builder
	cfg := nonStickyConfig(startNodes(t, 2))
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	m := instance(t, cfg)
	b := new(browser)
	b.set(t, m, "who", "me")
	resp := b.clone().visit(m, func(s *Session) {
		must(t, s.Set("who", "them"))
		b.visit(m, func(s *Session) { must(t, s.Invalidate()) })
	})
	if resp.Code != http.StatusServiceUnavailable || log.Len() > 0 {
		t.Errorf("status %d, and the log has the error %q, want 503 and none", resp.Code, &log)
	}
}

// So is a logout on another instance, of which the background learns.
func TestLogoutBesideTheBackground(t *testing.T) {
	var log strings.Builder
	ns := startNodes(t, 2)
	other := instance(t, stickyConfig(ns, "tc2"))
	cfg := stickyConfig(ns, "tc1")
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	m := instance(t, cfg)
	b := new(browser)
	b.set(t, m, "who", "me")
	rest(t, m)
	b.clone().visit(other, func(s *Session) { must(t, s.Invalidate()) })
	b.set(t, m, "who", "them") // for a second it is not known here
	rest(t, m)
	if got := b.get(t, m, "who"); got != "" {
		t.Fatalf("the session says %q: the background has not learnt that it has ended", got)
	}
	if lost := m.Stats().BackupsLost; lost != 0 || log.Len() > 0 {
		t.Errorf("%d changes count as lost, and the log has the error %q, want neither", lost, &log)
	}
}
