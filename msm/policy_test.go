package msm

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

// CFG-04, CFG-05: what LockingMode may say, in both modes of sessions.
func TestLockingMode(t *testing.T) {
	tests := []struct {
		mode, reason string
		want         string // in the error; "" means none
	}{
		{"", "the zero value is none", ""},
		{"none", "as in MSM", ""},
		{"all", "as in MSM", ""},
		{"auto", "as in MSM", ""},
		{"AUTO", "letters are not told apart", ""},
		{"All", "letters are not told apart", ""},
		{"uriPattern:.*/x", "a regular expression", ""},
		{"uriPattern:[", "a bad one", "missing closing ]"},
		{"uriPattern:(?=x)", "Java's alone", "lookahead"},
		{"uriPattern:", "matches nothing", "lacks its regular expression"},
		{"uripattern:.*", "the prefix is told apart, as in MSM", "use none, all, auto or uriPattern:"},
		{"uri_pattern", "MSM's own name of the mode", "use none, all, auto or uriPattern:"},
		{"app", "MSM never supported it", "use none, all, auto or uriPattern:"},
		{"foo", "unknown", "use none, all, auto or uriPattern:"},
		{" all", "no blanks", "use none, all, auto or uriPattern:"},
	}
	for _, tc := range tests {
		for _, nonSticky := range []bool{true, false} {
			m, err := New(Config{MemcachedNodes: "127.0.0.1:1", NonSticky: nonSticky, LockingMode: tc.mode})
			if err == nil {
				shutdown(t, m)
			}
			if tc.want == "" && err == nil {
				continue
			}
			if tc.want == "" || err == nil || !strings.HasPrefix(err.Error(), "msm: Config.LockingMode: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q (%s), NonSticky=%v: got error %v, want %q", tc.mode, tc.reason, nonSticky, err, tc.want)
			}
		}
	}
}

// With sticky sessions MSM ignores LockingMode without a word.
func TestLockingModeOfStickySessions(t *testing.T) {
	for mode, warned := range map[string]bool{"": false, "none": false, "all": true, "auto": true, "uriPattern:x": true} {
		var log bytes.Buffer
		m := instance(t, Config{MemcachedNodes: "127.0.0.1:1", LockingMode: mode, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if got := strings.Contains(log.String(), "level=WARN msg=\"msm: Config.LockingMode has no effect"); got != warned {
			t.Errorf("LockingMode %q: warned: %v, want %v; log %q", mode, got, warned, log.String())
		}
		if m.core.Load().locks != nil {
			t.Errorf("LockingMode %q: there are locks", mode)
		}
	}
}

// NST-12: one change outweighs any number of requests without. (MSM's lists by
// frequency, which nobody reads, are not kept: lines are hashes here.)
func TestHabits(t *testing.T) {
	h := newHabits()
	line := func(method, target string) line { return h.line(httptest.NewRequest(method, target, nil)) }
	foo, bar := line("GET", "/foo"), line("GET", "/bar")
	if h.isReadOnly(foo) {
		t.Error("an unknown line is taken for read-only")
	}
	h.learn(foo, false)
	if !h.isReadOnly(foo) || h.isReadOnly(bar) {
		t.Errorf("after foo read: foo %v, bar %v, want true and false", h.isReadOnly(foo), h.isReadOnly(bar))
	}
	h.learn(foo, true)
	h.learn(bar, true)
	for range 10 {
		h.learn(foo, false)
		h.learn(bar, false)
	}
	if h.isReadOnly(foo) || h.isReadOnly(bar) {
		t.Errorf("after both wrote once: foo %v, bar %v, want false", h.isReadOnly(foo), h.isReadOnly(bar))
	}
}

// NST-13, and what else tells requests apart.
func TestLines(t *testing.T) {
	h := newHabits()
	tests := []struct {
		reason                           string
		method1, line1, method2, target2 string
		same                             bool
	}{
		{"the same", "GET", "/a?x=1", "GET", "/a?x=1", true},
		{"methods differ", "GET", "/a", "POST", "/a", false},
		{"queries of GET count", "GET", "/a?x=1", "GET", "/a?x=2", false},
		{"queries of PUT count", "PUT", "/a?x=1", "PUT", "/a", false},
		{"queries of POST do not", "POST", "/a?x=1", "POST", "/a?x=2", true},
		{"queries of POST do not", "POST", "/a?x=1", "POST", "/a", true},
		{"an escaped ? is none", "GET", "/a%3Fb", "GET", "/a?b", false},
		{"as it was sent", "GET", "/a%2Fb", "GET", "/a/b", false},
	}
	for _, tc := range tests {
		a := h.line(httptest.NewRequest(tc.method1, tc.line1, nil))
		b := h.line(httptest.NewRequest(tc.method2, tc.target2, nil))
		if (a == b) != tc.same {
			t.Errorf("%s: %s %s and %s %s are one line: %v, want %v", tc.reason, tc.method1, tc.line1, tc.method2, tc.target2, a == b, tc.same)
		}
	}
}

// SR-56: what is learned is bounded, and a client that makes lines up drives out
// none that are in use.
func TestHabitsAreBounded(t *testing.T) {
	h := newHabits()
	const used, writer = line(1), line(2)
	h.learn(used, false)
	h.learn(writer, true)
	for i := range line(4 * maxModifying) {
		h.learn(10+2*i, false)
		h.learn(11+2*i, true)
		if i%100 == 0 && !h.isReadOnly(used) {
			t.Fatalf("after %d made-up lines one in use is forgotten", i)
		}
		if i%10_000 == 0 {
			h.learn(writer, false)
			if h.isReadOnly(writer) {
				t.Fatalf("after %d made-up lines a modifying one in use is taken for read-only", i)
			}
		}
		for _, s := range []*recent{&h.readOnly, &h.modifying} {
			if n := len(s.newer) + len(s.older); n > s.max {
				t.Fatalf("%d lines, want at most %d", n, s.max)
			}
		}
	}
}
