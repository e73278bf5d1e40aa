package msm

import (
	"slices"
	"testing"
)

// An attribute that was set under another SessionAttributeFilter is changed like
// any other: it moves to where the filter in force wants it, and is not there
// twice.
func TestChangesUnderAnotherFilter(t *testing.T) {
	const all, none = "", "nothing"
	changes := []struct {
		name string
		do   func(s *Session) error
		want int // of a counter that was 1; 0: there is none
	}{
		{"set", func(s *Session) error { return visits.Set(s, 5) }, 5},
		{"set to the same", func(s *Session) error { return visits.Set(s, 1) }, 1},
		{"updated", increment, 2},
		{"updated twice", func(s *Session) error {
			must(t, increment(s))
			return increment(s)
		}, 3},
		{"deleted", visits.Delete, 0},
		{"set and deleted", func(s *Session) error {
			must(t, visits.Set(s, 5))
			return visits.Delete(s)
		}, 0},
		{"deleted and set", func(s *Session) error {
			must(t, visits.Delete(s))
			return visits.Set(s, 5)
		}, 5},
	}
	for _, filters := range [][2]string{{all, none}, {none, all}} {
		for _, tc := range changes {
			t.Run(tc.name+" with "+filters[1], func(t *testing.T) {
				bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
					cfg.Route, cfg.SessionAttributeFilter = "a", filters[0]
					m := instance(t, cfg)
					b := ann(t, m)
					b.count(t, m)
					cfg.SessionAttributeFilter = filters[1]
					must(t, m.Reconfigure(cfg))
					check := func(s *Session, when string, want int) {
						t.Helper()
						got, ok, err := visits.Get(s)
						must(t, err)
						names, err := s.Names()
						must(t, err)
						if got != want || ok != (want > 0) || slices.Contains(names, "visits") != ok {
							t.Errorf("%s: %d, %v among %v, want %d", when, got, ok, names, want)
						}
					}
					b.visit(m, func(s *Session) {
						must(t, tc.do(s))
						check(s, "in the request", tc.want)
					})
					b.visit(m, func(s *Session) { check(s, "in the next one", tc.want) })
					rest(t, m)
					if filters[1] == none {
						tc.want = 0 // it is not stored
					}
					cfg.Route = "b"
					b.visit(instance(t, cfg), func(s *Session) { check(s, "in another instance", tc.want) })
				})
			})
		}
	}
}
