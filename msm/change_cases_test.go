package msm

import (
	"strings"
	"testing"
)

// Cases of MSM's specification (msm.md, 11) about changes at run time.

// CFG-07: nodes that are none change nothing.
func TestCaseBadChange(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	m := instance(t, cfg)
	b := &browser{}
	b.set(t, m, "user", "ann")
	before := m.core.Load()
	for _, bad := range []func(*Config){
		func(c *Config) { c.MemcachedNodes = "n1:nowhere" },
		func(c *Config) { c.MemcachedNodes = "" },
		func(c *Config) { c.FailoverNodes = "n9" },
		func(c *Config) { c.NonSticky, c.Disabled = true, true }, // CFG-06
	} {
		changed := cfg
		bad(&changed)
		if err := m.Reconfigure(changed); err == nil || m.core.Load() != before {
			t.Errorf("%+v: %v, changed %v", changed, err, m.core.Load() != before)
		}
	}
	if got := b.get(t, m, "user"); got != "ann" {
		t.Errorf("the session says %q, want ann", got)
	}
}

// CFG-08: failover nodes change at run time.
func TestCaseFailoverChanges(t *testing.T) {
	ns := startNodes(t, 3)
	cfg := ns.config()
	cfg.FailoverNodes = "n2 n3"
	m := instance(t, cfg)
	if got := newSessionNode(t, m); got != "n1" {
		t.Errorf("a new session is on %s, want n1", got)
	}
	cfg.FailoverNodes = "n1 n2"
	must(t, m.Reconfigure(cfg))
	if got := newSessionNode(t, m); got != "n3" {
		t.Errorf("a new session is on %s, want n3", got)
	}
}

// CFG-09: a node that comes in at run time takes over from one that dies.
func TestCaseNodesChange(t *testing.T) {
	ns := startNodes(t, 3)
	cfg := ns.config()
	all := cfg.MemcachedNodes
	cfg.MemcachedNodes = all[:strings.LastIndex(all, ",")]
	cfg.FailoverNodes, cfg.SessionBackupSync = "n2", true
	m := instance(t, cfg)
	b := &browser{}
	b.set(t, m, "user", "ann")
	if got := b.id(t).node; got != "n1" {
		t.Fatalf("the session is on %s, want n1", got)
	}
	cfg.MemcachedNodes = all
	must(t, m.Reconfigure(cfg))
	ns.kill("n1")
	b.count(t, m)
	if got := b.id(t).node; got != "n3" {
		t.Errorf("the session is on %s, want n3", got)
	}
	if got := b.get(t, m, "user"); got != "ann" {
		t.Errorf("the session says %q, want ann", got)
	}
}

// CFG-11: statistics that are disabled at run time stop, and tell on what they
// have.
func TestStatisticsStop(t *testing.T) {
	cfg := startNodes(t, 2).config()
	cfg.NonSticky = true
	m := instance(t, cfg)
	b := ann(t, m)
	cfg.DisableStatistics = true
	must(t, m.Reconfigure(cfg))
	before := m.Stats()
	b.set(t, m, "user", "bob")
	rest(t, m)
	if after := m.Stats(); after.Counters != before.Counters || after.Probes != before.Probes || after.RequestsWithSession != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	cfg.DisableStatistics = false
	must(t, m.Reconfigure(cfg))
	b.set(t, m, "user", "eve")
	if got := m.Stats().RequestsWithSession; got != 2 {
		t.Errorf("enabled again: %d requests, want 2", got)
	}
}
