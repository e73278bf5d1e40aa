package msm

import (
	"testing"
	"testing/synctest"
	"time"
)

// STK-31, SR-14: an id that nobody knows is searched once, however often it is
// presented within a moment, and again soon after.
func TestSTK31_DeadIDsAreSearchedOnce(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		must(t, cfg.Client.Ping(t.Context()))
		look := func() (commands int) {
			before := ns.traffic()
			(&browser{testBase + "-n1"}).visit(m, func(s *Session) {
				if ok, err := s.Get("who", new(string)); ok || err != nil {
					t.Errorf("Get = %v, %v; want nothing", ok, err)
				}
			})
			return ns.traffic() - before
		}
		if got := look(); got != 3 {
			t.Errorf("the first request: %d commands, want one for each of 3 places", got)
		}
		for range 9 {
			time.Sleep(10 * time.Millisecond)
			if got := look(); got != 0 {
				t.Errorf("again: %d commands, want none", got)
			}
		}
		time.Sleep(time.Second)
		if got := look(); got != 3 {
			t.Errorf("a second later: %d commands, want 3", got)
		}
	})
}

// SR-56: what is remembered of dead ids is bounded, and forgotten soon.
func TestSR56_AbsencesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a absences
		last := ""
		for range 10 * maxAbsences {
			last = newBase()
			a.add(last, 0)
		}
		if n := len(a.recent) + len(a.older); n > 2*maxAbsences || !a.has(last, 0) {
			t.Errorf("%d ids are remembered, the last one of them: %v; want %d at most", n, a.has(last, 0), 2*maxAbsences)
		}
		if a.has(last, 1) {
			t.Error("an id of another epoch is taken for the same")
		}
		time.Sleep(2 * absenceMemory)
		if a.has(last, 0) {
			t.Errorf("still remembered after %v", 2*absenceMemory)
		}
	})
}
