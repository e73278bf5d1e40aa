package msm

import (
	"testing"
	"time"
)

// sessionsAfter is how many sessions the table has, so long after the last request.
type sessionsAfter struct {
	after    time.Duration
	sessions int
}

// tableCases are what clients do, and what that leaves in the table.
var tableCases = []struct {
	name   string
	client func(t *testing.T, m *Manager) // a request or more
	at     []sessionsAfter
}{
	{"no cookie, only read", func(t *testing.T, m *Manager) {
		new(browser).look(t, m)
	}, []sessionsAfter{{0, 0}}},
	{"an id that was made up", func(t *testing.T, m *Manager) {
		(&browser{newBase() + "-n1"}).look(t, m)
	}, []sessionsAfter{{0, 0}}},
	{"no id at all", func(t *testing.T, m *Manager) {
		(&browser{"x"}).look(t, m)
	}, []sessionsAfter{{0, 0}}},
	{"a panic after a change", func(t *testing.T, m *Manager) {
		crash(func() {
			new(browser).visit(m, func(s *Session) { must(t, s.Set("who", "me")); panic("oops") })
		})
	}, []sessionsAfter{{0, 0}}},
	{"a session too large", func(t *testing.T, m *Manager) {
		new(browser).visit(m, func(s *Session) { must(t, s.Set("big", make([]byte, 2<<20))) })
	}, []sessionsAfter{{0, 0}}},
	{"a session that is used once", func(t *testing.T, m *Manager) {
		new(browser).set(t, m, "who", "me")
	}, []sessionsAfter{{0, 1}, {9 * time.Minute, 1}, {10*time.Minute + 3*time.Second, 0}}},
	{"one with a shorter time-out of its own", func(t *testing.T, m *Manager) {
		new(browser).visit(m, func(s *Session) { must(t, s.SetMaxInactive(10*time.Second)) })
	}, []sessionsAfter{{0, 1}, {13 * time.Second, 0}}},
	{"one that never expires", func(t *testing.T, m *Manager) {
		new(browser).visit(m, func(s *Session) { must(t, s.SetMaxInactive(-time.Second)) })
	}, []sessionsAfter{{0, 1}, {10 * time.Hour, 1}, {11*time.Hour + 3*time.Second, 0}}}, // MaxLifetime
	{"one that is ended", func(t *testing.T, m *Manager) {
		b := new(browser)
		b.set(t, m, "who", "me")
		b.visit(m, func(s *Session) { must(t, s.Invalidate()) })
	}, []sessionsAfter{{renewGrace + 3*time.Second, 0}}},
	{"one with a new id, time and again", func(t *testing.T, m *Manager) {
		b := new(browser)
		b.set(t, m, "who", "me")
		for range 10 {
			b.visit(m, func(s *Session) { must(t, s.Renew()) })
		}
	}, []sessionsAfter{{renewGrace + 3*time.Second, 1}}},
}

// SR-56: what clients do without a handler that stores something takes no memory
// here, and what was a session takes it until its time is over, or a moment
// longer than its end.
func TestSR56_TableHoldsSessionsOnly(t *testing.T) {
	for _, tc := range tableCases {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.Route, cfg.SessionBackupSync, cfg.MaxInactiveInterval = "tc1", true, 10*time.Minute
				cfg.MaxLifetime = 11 * time.Hour
				m := instance(t, cfg)
				tc.client(t, m)
				begin := time.Now()
				for _, at := range tc.at {
					time.Sleep(time.Until(begin.Add(at.after)))
					if n := len(m.table.all()); n != at.sessions {
						t.Errorf("after %v: %d sessions, want %d", at.after, n, at.sessions)
					}
				}
			})
		})
	}
}
