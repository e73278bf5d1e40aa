package msm

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// STK-23: sessions of a manager that was disabled get a node when it is enabled,
// and what has changed meanwhile is merged with what others have changed.
func TestDisableAndEnable(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	cfg.Route = "a"
	m := instance(t, cfg)
	cfg.Route = "b"
	other := instance(t, cfg)
	cfg.Route = "a"
	before := ann(t, m)
	gone := ann(t, m)
	rest(t, m)

	cfg.Disabled = true
	must(t, m.Reconfigure(cfg))
	departed(t, m)
	traffic := ns.traffic()
	begun := ann(t, m)
	before.set(t, m, "here", "yes")
	gone.visit(m, func(s *Session) { must(t, s.Invalidate()) })
	if node := begun.id(t).node; node != "" || ns.traffic() != traffic {
		t.Errorf("disabled: a session on node %q, %d commands to nodes", node, ns.traffic()-traffic)
	}
	before.clone().set(t, other, "there", "yes")

	cfg.Disabled = false
	must(t, m.Reconfigure(cfg))
	for _, e := range m.table.all() {
		m.core.Load().local.sweep(e)
	}
	rest(t, m)
	if got := begun.get(t, m, "user"); got != "ann" || begun.id(t).node == "" {
		t.Errorf("the session that was begun meanwhile says %q on node %q", got, begun.id(t).node)
	}
	for _, name := range []string{"user", "here", "there"} {
		if got := before.clone().get(t, other, name); got == "" {
			t.Errorf("%s is lost", name)
		}
		if got := before.clone().get(t, m, name); got == "" {
			t.Errorf("%s is lost in the instance that was disabled", name)
		}
	}
	if got := gone.get(t, other, "user"); got != "" {
		t.Errorf("a session that was ended meanwhile says %q", got)
	}
}

// A request of before may store something while the manager is disabled: what
// others change at that moment stays.
func TestStoredWhileDisabled(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.Route = "b"
		other := instance(t, cfg)
		cfg.Route = "a"
		m := instance(t, cfg)
		b := ann(t, m)
		b.clone().visit(m, func(s *Session) {
			must(t, s.Set("early", "yes"))
			cfg.Disabled = true
			must(t, m.Reconfigure(cfg)) // does not wait for longer than OperationTimeout
			ns.sicken(memcachetest.Fault{Delay: 20 * time.Millisecond})
			defer ns.sicken(memcachetest.Fault{})
			saved := make(chan error, 1)
			go func() { saved <- s.Save(t.Context()) }() // ends after some round trips
			synctest.Wait()
			b.clone().set(t, m, "meanwhile", "yes")
			must(t, <-saved)
		})
		b.clone().set(t, m, "late", "yes")
		check := func(at *Manager) {
			for _, name := range []string{"user", "early", "meanwhile", "late"} {
				if got := b.clone().get(t, at, name); got == "" {
					t.Errorf("%s is lost; the manager is disabled: %v", name, at.core.Load().cfg.Disabled)
				}
			}
		}
		check(m)
		cfg.Disabled = false
		must(t, m.Reconfigure(cfg))
		for _, e := range m.table.all() {
			m.core.Load().local.sweep(e)
		}
		rest(t, m)
		check(m)
		check(other)
	})
}

// A manager that was not sticky and is disabled serves no session as it was when
// it was sticky: it may have changed since, and nobody can be asked.
func TestDisabledServesNothingOlder(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b, late := ann(t, m), ann(t, m)
		rest(t, m)
		ns.sicken(memcachetest.Fault{Refuse: true})
		late.set(t, m, "user", "bob") // only this process has it
		for _, mode := range []func(){
			func() { cfg.NonSticky = true },
			func() { cfg.NonSticky, cfg.Disabled = false, true },
		} {
			mode()
			must(t, m.Reconfigure(cfg))
		}
		ns.sicken(memcachetest.Fault{})
		if got := b.get(t, m, "user"); got != "" {
			t.Errorf("a session of before says %q, want nothing", got)
		}
		if got := late.get(t, m, "user"); got != "bob" {
			t.Errorf("a session that memcached lacks says %q, want bob", got)
		}
	})
}

// When a manager was disabled and is to be not sticky, memcached gets what has
// changed before anybody looks for it there.
func TestDisabledToNonSticky(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		before, gone := ann(t, m), ann(t, m)
		cfg.Disabled = true
		must(t, m.Reconfigure(cfg))
		begun := ann(t, m)
		before.set(t, m, "user", "bob")
		gone.clone().visit(m, func(s *Session) { must(t, s.Invalidate()) })
		cfg.Disabled, cfg.NonSticky = false, true
		must(t, m.Reconfigure(cfg))
		for _, tc := range []struct {
			name string
			b    *browser
			want string
		}{{"begun", begun, "ann"}, {"changed", before, "bob"}, {"ended", gone, ""}} {
			if got := tc.b.get(t, m, "user"); got != tc.want {
				t.Errorf("a session that was %s meanwhile says %q, want %q", tc.name, got, tc.want)
			}
		}
	})
}

// A logout while the manager was disabled reaches memcached at the latest when the
// manager, enabled again, is shut down.
func TestShutdownAfterLogoutWhileDisabled(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.Route = "b"
		other := instance(t, cfg)
		cfg.Route = "a"
		m, err := New(cfg)
		must(t, err)
		b := ann(t, m)
		cfg.Disabled = true
		must(t, m.Reconfigure(cfg))
		b.clone().visit(m, func(s *Session) { must(t, s.Invalidate()) })
		cfg.Disabled = false
		must(t, m.Reconfigure(cfg))
		shutdown(t, m)
		if got := b.get(t, other, "user"); got != "" {
			t.Errorf("another instance says %q, want nothing", got)
		}
	})
}

// While a manager is disabled, a session that memcached has may not outgrow what
// memcached takes: it would lose what has changed.
func TestTooLargeWhileDisabled(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := ann(t, m)
		cfg.Disabled = true
		must(t, m.Reconfigure(cfg))
		b.set(t, m, "user", "bob")
		b.visit(m, func(s *Session) {
			must(t, s.Set("upload", strings.Repeat("x", 2<<20)))
			if err := s.Save(t.Context()); !errors.Is(err, ErrTooLarge) {
				t.Errorf("Save: %v, want %v", err, ErrTooLarge)
			}
		})
		cfg.Disabled = false
		must(t, m.Reconfigure(cfg))
		b.get(t, m, "user")
		time.Sleep(2 * sweepInterval)
		rest(t, m)
		if got := b.get(t, m, "user"); got != "bob" {
			t.Errorf("enabled again: %q, want what was set meanwhile", got)
		}
	})
}

// A request that has outlived the Configs after it, while the manager was disabled
// and then not sticky: the session has been brought in again by then, and it is that
// one that the request changes.
func TestLateRequestOfADisabledManager(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(s *Session) error
		want string // of the user that another request has set meanwhile, and of late
	}{
		"changes": {func(s *Session) error { return s.Set("late", "yes") }, "bob yes"},
		"renews":  {(*Session).Renew, " "}, // for who has the old id
		"ends":    {(*Session).Invalidate, " "},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				m := instance(t, cfg)
				b := ann(t, m)
				cfg.Disabled = true
				must(t, m.Reconfigure(cfg))
				b.clone().visit(m, func(s *Session) {
					must(t, s.Set("early", "yes"))
					cfg.Disabled, cfg.NonSticky = false, true
					must(t, m.Reconfigure(cfg))
					time.Sleep(2 * sweepInterval)
					cfg.NonSticky = false
					must(t, m.Reconfigure(cfg))
					b.set(t, m, "user", "bob")
					must(t, tc.do(s))
				})
				if got := b.get(t, m, "user") + " " + b.get(t, m, "late"); got != tc.want {
					t.Errorf("the session says %q, want %q", got, tc.want)
				}
			})
		})
	}
}
