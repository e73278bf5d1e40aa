package msm

import (
	"net/http"
	"strings"
	"testing"
)

// modes are the configurations in which everything about copies must hold.
func modes(ns *nodes) map[string]Config {
	sticky := stickyConfig(ns, "tc1")
	sticky.SessionBackupSync = true
	return map[string]Config{"sticky": sticky, "non-sticky": nonStickyConfig(ns)}
}

// NST-23, ID-09, SR-03, SR-04, SR-07, SR-08, SR-11: what a client may send.
func TestForeignCookies(t *testing.T) {
	const base = testBase
	tests := []struct {
		name, cookie string
		silent       bool // nothing is sent to memcached
	}{
		{"300 bytes", strings.Repeat("a", 300), true},
		{"control character", base[:31] + "\x01", true},
		{"blank inside", base[:16] + " " + base[17:], true},
		{"upper case", strings.ToUpper(base), true},
		{"too short", base[:31], true},
		{"too long", base + "a", true},
		{"digit that base32 lacks", base[:31] + "1", true},
		{"quoted", `"` + base + `"`, true},
		{"percent", base[:31] + "%", true},
		{"node with a dash", base + "-n-1", true},
		{"empty route", base + "-n1.", true},
		{"epoch with a leading zero", base + "-n1~01", true},
		{"unknown id", base + "-n1", false},
		{"unknown id without node", base, false},
		{"unknown node", base + "-elsewhere", false},
		{"unknown route", base + "-n1.tc9", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := startNodes(t, 3)
			for mode, cfg := range modes(ns) {
				m := instance(t, cfg)
				before, commands := ns.received(), ns.traffic()
				b := &browser{tt.cookie}
				w := b.visit(m, func(s *Session) {
					if ok, err := s.Get("who", new(string)); ok || err != nil {
						t.Errorf("%s: Get = %v, %v; want nothing", mode, ok, err)
					}
				})
				if w.Code != http.StatusOK || w.Header().Get("Set-Cookie") != "" {
					t.Errorf("%s: a reader got %d with cookie %q, want 200 without", mode, w.Code, w.Header().Get("Set-Cookie"))
				}
				sent := ns.received() - before
				if tt.silent && sent != 0 {
					t.Errorf("%s: %d bytes were sent to memcached, want none", mode, sent)
				}
				if n := ns.traffic() - commands; n > 8 {
					t.Errorf("%s: %d commands were sent to memcached, want a search of 3 places", mode, n)
				}
				for _, s := range ns.servers {
					if n := s.Len(); n != 0 {
						t.Fatalf("%s: a reader left %d items", mode, n)
					}
				}
				b.set(t, m, "who", "me")
				if b.cookie == tt.cookie || strings.HasPrefix(b.cookie, base) {
					t.Errorf("%s: the id %q was adopted", mode, tt.cookie)
				}
				for _, s := range ns.servers {
					s.Flush()
				}
			}
		})
	}
}

// SR-08: a suffix that is wrong finds the session all the same, once, and is
// mended.
func TestWrongSuffixIsMended(t *testing.T) {
	ns := startNodes(t, 3)
	for mode, cfg := range modes(ns) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		good := b.id(t)
		for _, node := range []string{"", "n1", "n2", "n3", "elsewhere"} {
			tampered := good
			tampered.node = node
			other := &browser{tampered.String()}
			if got := other.get(t, m, "who"); got != "me" {
				t.Errorf("%s: with node %q: who = %q, want me", mode, node, got)
			}
			if other.cookie != b.cookie {
				t.Errorf("%s: with node %q the cookie became %q, want %q", mode, node, other.cookie, b.cookie)
			}
		}
		later := good
		later.epoch += 100
		if got := (&browser{later.String()}).get(t, m, "who"); got != "" {
			t.Errorf("%s: a cookie of a later epoch was shown who = %q, want nothing", mode, got)
		}
		if got := b.get(t, m, "who"); got != "me" {
			t.Errorf("%s: afterwards who = %q, want me", mode, got)
		}
	}
}

// SR-13: a sibling domain can put any number of cookies beside ours.
func TestOneOfSeveralCookies(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, nonStickyConfig(ns))
	b := new(browser)
	b.set(t, m, "who", "me")
	tossed := &browser{"junk; __Host-sid=" + testBase + "-n1; __Host-sid=" + b.cookie}
	if got := tossed.get(t, m, "who"); got != "me" {
		t.Errorf("behind two other cookies: who = %q, want me", got)
	}
}
