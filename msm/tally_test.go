package msm

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// event is what happens to a manager, and the counters and probes that tell.
type event struct {
	name, reason string
	nonSticky    bool
	locking      string
	happen       func(t *testing.T, ns *nodes, m *Manager)
	told         func(before, after Stats) bool
}

// counts wants a counter to be one more than before.
func counts(field func(*Counters) uint64) func(before, after Stats) bool {
	return func(before, after Stats) bool { return field(&after.Counters) == field(&before.Counters)+1 }
}

// measures wants a probe to have a new measurement that makes sense.
func measures(field func(*Probes) Probe) func(before, after Stats) bool {
	return func(before, after Stats) bool {
		p := field(&after.Probes)
		return p.Count > field(&before.Probes).Count && p.Min > 0 && p.Min <= p.Mean && p.Mean <= p.Max
	}
}

// ann is a browser with a session.
func ann(t *testing.T, m *Manager) *browser {
	t.Helper()
	b := &browser{}
	b.set(t, m, "user", "ann")
	rest(t, m)
	return b
}

// inAnother shuts a request in between: what f does while the handler runs
// that has set an attribute of its own.
func inAnother(t *testing.T, m *Manager, f func(other *browser)) {
	t.Helper()
	b := ann(t, m)
	other := b.clone()
	b.visit(m, func(s *Session) {
		must(t, s.Set("mine", 1))
		f(other)
	})
}

var events = []event{
	{"with session", "something was set", true, "", func(t *testing.T, _ *nodes, m *Manager) { new(browser).set(t, m, "a", 1) },
		counts(func(c *Counters) uint64 { return c.RequestsWithSession })},
	{"without session", "no cookie, and none is set", true, "", func(t *testing.T, _ *nodes, m *Manager) { new(browser).visit(m, func(*Session) {}) },
		counts(func(c *Counters) uint64 { return c.RequestsWithoutSession })},
	{"looked for in vain", "no cookie, and nothing is set", true, "", func(t *testing.T, _ *nodes, m *Manager) { new(browser).get(t, m, "a") },
		counts(func(c *Counters) uint64 { return c.RequestsWithoutSession })},
	{"not used", "a cookie that nobody asks for", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).visit(m, func(*Session) {}) },
		counts(func(c *Counters) uint64 { return c.NoSessionAccess })},
	{"no attribute", "Info alone", true, "", func(t *testing.T, _ *nodes, m *Manager) {
		ann(t, m).visit(m, func(s *Session) {
			_, err := s.Info()
			must(t, err)
		})
	}, counts(func(c *Counters) uint64 { return c.NoAttributesAccess })},
	{"read", "nothing to store", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).get(t, m, "user") },
		counts(func(c *Counters) uint64 { return c.NoSessionModification })},
	{"set to what it was", "nothing to store either", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).set(t, m, "user", "ann") },
		counts(func(c *Counters) uint64 { return c.NoSessionModification })},
	{"from another instance", "its route is another", false, "", func(t *testing.T, ns *nodes, m *Manager) {
		cfg := ns.config()
		cfg.Route = "other"
		ann(t, instance(t, cfg)).get(t, m, "user")
	}, counts(func(c *Counters) uint64 { return c.InstanceFailovers })},
	{"another node", "its own was killed", true, "", func(t *testing.T, ns *nodes, m *Manager) {
		b := ann(t, m)
		ns.kill(b.id(t).node)
		b.set(t, m, "user", "bob")
	}, counts(func(c *Counters) uint64 { return c.NodeFailovers })},
	{"not stored", "no node is up", true, "", func(t *testing.T, ns *nodes, m *Manager) {
		b := ann(t, m)
		w := b.visit(m, func(s *Session) {
			must(t, s.Set("user", "bob"))
			ns.kill("n1")
			ns.kill("n2")
		})
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", w.Code)
		}
	}, counts(func(c *Counters) uint64 { return c.BackupFailures })},
	{"given up", "the process ends while no node is up", false, "", func(t *testing.T, ns *nodes, m *Manager) {
		b := ann(t, m)
		ns.kill("n1")
		ns.kill("n2")
		b.set(t, m, "user", "bob")
		q := m.core.Load().queue
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Shutdown(ctx); err == nil {
			t.Error("Shutdown says that all is stored")
		}
		q.rest(t)
	}, func(before, after Stats) bool { return after.BackupsLost > before.BackupsLost }}, // by how much, the background's pace decides
	{"a copy is gone", "its node came back empty", true, "", func(t *testing.T, ns *nodes, m *Manager) {
		b := ann(t, m)
		ns.kill(b.id(t).node)
		ns.restart(b.id(t).node)
		poll(t, "the node is up again", func() bool { return m.core.Load().store.client.Ping(t.Context()) == nil })
		if got := b.get(t, m, "user"); got != "ann" {
			t.Errorf("the session says %q, want ann", got)
		}
	}, counts(func(c *Counters) uint64 { return c.MissingCopies })},
	{"conflict", "another request was faster", true, "", func(t *testing.T, _ *nodes, m *Manager) {
		inAnother(t, m, func(b *browser) { b.set(t, m, "theirs", 2) })
	}, counts(func(c *Counters) uint64 { return c.Conflicts })},
	{"merge", "both are kept", true, "", func(t *testing.T, _ *nodes, m *Manager) {
		inAnother(t, m, func(b *browser) { b.set(t, m, "theirs", 2) })
	}, counts(func(c *Counters) uint64 { return c.Merges })},
	{"bytes", "two copies of more than the value", true, "", func(t *testing.T, _ *nodes, m *Manager) {
		new(browser).set(t, m, "a", strings.Repeat("x", 1000))
		rest(t, m)
	}, func(before, after Stats) bool {
		got := after.BytesStored - before.BytesStored
		return got > 2000 && got < 3000
	}},

	{"EffectiveBackup", "a response waits", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m) },
		measures(func(p *Probes) Probe { return p.EffectiveBackupMillis })},
	{"Backup", "a session is stored", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m) }, measures(func(p *Probes) Probe { return p.BackupMillis })},
	{"Backup, sticky", "in the background", false, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m) }, measures(func(p *Probes) Probe { return p.BackupMillis })},
	{"AttributesSerialization", "", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m) },
		measures(func(p *Probes) Probe { return p.AttributesSerializationMillis })},
	{"MemcachedUpdate", "", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m) }, measures(func(p *Probes) Probe { return p.MemcachedUpdateMillis })},
	{"SessionLoad", "", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).get(t, m, "user") }, measures(func(p *Probes) Probe { return p.SessionLoadMillis })},
	{"SessionDeserialization", "", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).get(t, m, "user") },
		measures(func(p *Probes) Probe { return p.SessionDeserializationMillis })},
	{"SessionDeletion", "", true, "", func(t *testing.T, _ *nodes, m *Manager) {
		ann(t, m).visit(m, func(s *Session) { must(t, s.Invalidate()) })
	},
		measures(func(p *Probes) Probe { return p.SessionDeletionMillis })},
	{"Confirmation", "not looked at for a second", false, "", func(t *testing.T, _ *nodes, m *Manager) {
		b := ann(t, m)
		for _, e := range m.table.all() {
			e.locked(func() { e.confirmed = e.confirmed.Add(-2 * confirmInterval) })
		}
		b.get(t, m, "user")
	}, measures(func(p *Probes) Probe { return p.ConfirmationMillis })},
	{"AfterBackup", "", true, "", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m) }, measures(func(p *Probes) Probe { return p.AfterBackupMillis })},
	{"AfterLoad", "a copy is made again", true, "", func(t *testing.T, ns *nodes, m *Manager) {
		b := ann(t, m)
		ns.kill(b.id(t).node)
		b.get(t, m, "user")
	}, measures(func(p *Probes) Probe { return p.AfterLoadMillis })},
	{"AfterDelete", "", true, "", func(t *testing.T, _ *nodes, m *Manager) {
		ann(t, m).visit(m, func(s *Session) { must(t, s.Invalidate()) })
	},
		measures(func(p *Probes) Probe { return p.AfterDeleteMillis })},
	{"AcquireLock", "", true, "all", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).get(t, m, "user") },
		measures(func(p *Probes) Probe { return p.AcquireLockMillis })},
	{"ReleaseLock", "", true, "all", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).get(t, m, "user") },
		measures(func(p *Probes) Probe { return p.ReleaseLockMillis })},
	{"AcquireLockFailure", "another request has it for too long", true, "all", func(t *testing.T, _ *nodes, m *Manager) {
		inAnother(t, m, func(b *browser) { b.get(t, m, "user") })
	}, measures(func(p *Probes) Probe { return p.AcquireLockFailureMillis })},
	{"read-only by its pattern", "it does not match", true, "uriPattern:/pay", func(t *testing.T, _ *nodes, m *Manager) { ann(t, m).get(t, m, "user") },
		counts(func(c *Counters) uint64 { return c.ReadOnlyRequests })},
	{"read-only by habit", "the second one needs no lock", true, "auto", func(t *testing.T, _ *nodes, m *Manager) {
		b := ann(t, m)
		for range 2 {
			b.serve(m, "/read", func(_ http.ResponseWriter, r *http.Request) {
				_, err := From(r.Context()).Get("user", new(string))
				must(t, err)
			})
		}
	}, counts(func(c *Counters) uint64 { return c.ReadOnlyRequests })},
	{"StoredBytes", "STAT-04: the size of what is stored", true, "", func(t *testing.T, _ *nodes, m *Manager) {
		new(browser).set(t, m, "a", strings.Repeat("x", 1000))
		rest(t, m)
	}, func(_, after Stats) bool {
		p := after.StoredBytes
		return p.Count == 2 && p.Min > 1000 && p.Max < 1500 && uint64(p.Mean*2) == after.BytesStored
	}},
}

// nonzero are the counters and probes that say something.
func nonzero(s Stats) map[string]any {
	told := map[string]any{}
	for _, v := range []reflect.Value{reflect.ValueOf(s.Counters), reflect.ValueOf(s.Probes)} {
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				told[v.Type().Field(i).Name] = v.Field(i).Interface()
			}
		}
	}
	return told
}

// STAT-01, STAT-04: every event is counted, and with DisableStatistics none is.
func TestEventsAreCounted(t *testing.T) {
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			for _, disabled := range []bool{false, true} {
				ns := startNodes(t, 2)
				cfg := ns.config()
				cfg.NonSticky, cfg.LockingMode, cfg.Route, cfg.DisableStatistics = e.nonSticky, e.locking, "here", disabled
				m, err := New(cfg)
				must(t, err)
				before := m.Stats()
				e.happen(t, ns, m)
				after := m.Stats()
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				m.Shutdown(ctx) // the nodes may be gone
				switch {
				case disabled && (after.Counters != Counters{} || after.Probes != Probes{}):
					t.Errorf("with DisableStatistics: %v", nonzero(after))
				case !disabled && !e.told(before, after):
					t.Errorf("%s: got %v; before it was %v", e.reason, nonzero(after), nonzero(before))
				}
			}
		})
	}
}

// STAT-03: a sequence of requests. Two differences from MSM are meant: a path
// that is to be ignored is so with a query as well, and nothing is stored of a
// request whose handler panics.
func TestSequenceIsCounted(t *testing.T) {
	cfg := startNodes(t, 2).config()
	cfg.NonSticky = true
	cfg.RequestURIIgnorePattern = `.*\.png`
	m := instance(t, cfg)
	b := ann(t, m) // creates
	b.visit(m, func(s *Session) {
		_, err := s.Info()
		must(t, err)
	})
	b.get(t, m, "user")
	b.visit(m, func(*Session) {})
	b.set(t, m, "user", "bob")
	b.serve(m, "/", func(w http.ResponseWriter, r *http.Request) {
		must(t, From(r.Context()).Set("user", "eve"))
		http.Error(w, "failed", http.StatusInternalServerError)
	})
	b.serve(m, "/a.png?x", func(http.ResponseWriter, *http.Request) {})
	b.serve(m, "/a.png", func(http.ResponseWriter, *http.Request) {})
	func() {
		defer func() { recover() }()
		b.visit(m, func(s *Session) {
			must(t, s.Set("user", "mallory"))
			panic("in the handler")
		})
	}()
	got := m.Stats()
	want := Counters{RequestsWithSession: 7, NoSessionAccess: 1, NoAttributesAccess: 1, NoSessionModification: 2}
	want.BytesStored, want.Conflicts = got.BytesStored, got.Conflicts // how often a second copy is looked at again is up to the background
	if got.Counters != want || got.BackupMillis.Count != 3 {
		t.Errorf("got %+v and %d stores, want %+v and 3", got.Counters, got.BackupMillis.Count, want)
	}
}
