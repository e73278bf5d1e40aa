package msm

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// NST-05: requests that change a session at the same time on one instance: each
// waits for the one before, and another instance sees what all of them did.
func TestNST05_ParallelRequestsOnOneInstance(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.NonSticky, cfg.SessionBackupSync, cfg.LockingMode = true, true, "all"
		m, other := instance(t, cfg), instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		begin := time.Now()
		var group sync.WaitGroup
		for _, name := range []string{"k1", "k2", "k3"} {
			group.Go(func() {
				w := b.clone().visit(m, func(s *Session) {
					_, err := s.Get("who", new(string))
					must(t, err)
					time.Sleep(50 * time.Millisecond)
					must(t, s.Set(name, "x"))
				})
				if w.Code != http.StatusOK {
					t.Errorf("%s: status %d", name, w.Code)
				}
			})
		}
		group.Wait()
		if took := time.Since(begin); took < 150*time.Millisecond || took > 200*time.Millisecond {
			t.Errorf("three requests of 50 ms took %v, want them one after the other", took)
		}
		b.visit(other, func(s *Session) {
			names, err := s.Names()
			if want := []string{"k1", "k2", "k3", "who"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("at another instance: %v, %v; want %v", names, err, want)
			}
		})
	})
}

// Row 17, SR-58: an instance that has a lock and stalls holds others up until the
// lock expires, and no longer; what it stores late is merged.
func TestFailure17_LockHolderStalls(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		w := newWire(t, ns, memcache.Config{})
		cfg.OperationTimeout = 10 * time.Second // how long others wait at most
		cfg.NonSticky, cfg.SessionBackupSync, cfg.LockingMode, cfg.LockExpiration = true, true, "all", 2*time.Second
		stalling := cfg
		stalling.Client = w.client
		m1, m2 := instance(t, stalling), instance(t, cfg)
		b := new(browser)
		b.set(t, m2, "who", "me")
		var group sync.WaitGroup
		group.Go(func() {
			b.clone().visit(m1, func(s *Session) {
				_, err := s.Get("who", new(string))
				must(t, err)
				w.separate("n1", "n2") // nor can it prolong its lock
				time.Sleep(20 * time.Second)
				w.separate()
				must(t, w.client.Reach(t.Context()))
				must(t, s.Set("late", "x"))
			})
		})
		time.Sleep(10 * time.Millisecond)
		begin := time.Now()
		b.clone().set(t, m2, "other", "x")
		if took := time.Since(begin); took < time.Second || took > 5*time.Second {
			t.Errorf("the other instance waited %v, want LockExpiration, 2 s, and a little", took)
		}
		group.Wait()
		for _, name := range []string{"late", "other", "who"} {
			if got := b.get(t, m2, name); got == "" {
				t.Errorf("%s is lost", name)
			}
		}
	})
}
