package msm

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// However busy others are, an author finds its own commits.
func TestNoncesOfOthers(t *testing.T) {
	for _, tt := range []struct {
		name, reason          string
		authors, each, others int
		want                  int
	}{
		{"alone", "no more than it needs", 1, maxOwnNonces, 0, maxOwnNonces},
		{"alone for long", "its oldest ones go", 1, 100, 0, maxOwnNonces},
		{"two", "the other one pushes out its own", 1, maxOwnNonces, 1000, maxOwnNonces},
		{"a full record", "who has most gives one up", maxNonces / maxOwnNonces, maxOwnNonces, 1000, maxOwnNonces - 2},
		{"a crowd", "everybody keeps one", maxNonces, 1, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ns nonces
			for a := range tt.authors {
				for range tt.each {
					ns = ns.with(author(1 + a).newNonce())
				}
			}
			for range tt.others {
				ns = ns.with(author(1000).newNonce())
			}
			for a := range tt.authors {
				if got := ns.count(author(1 + a)); got < tt.want {
					t.Errorf("%d nonces of author %d of %d are left, want at least %d: %s", got, a+1, tt.authors, tt.want, tt.reason)
				}
			}
			if len(ns) > maxNonces {
				t.Errorf("%d nonces, want %d at most", len(ns), maxNonces)
			}
		})
	}
}

func TestNoncesNeverChange(t *testing.T) {
	var ns nonces
	for n := range nonce(100) {
		before := slices.Clone(ns)
		next := ns.with(author(n % 5).newNonce())
		if !slices.Equal(ns, before) {
			t.Fatalf("%x became %x", before, ns)
		}
		if next.last() == ns.last() {
			t.Fatalf("the last of %x is that of %x", next, ns)
		}
		ns = next
	}
}

// A commit whose second copy is late finds many others after it: it must know
// itself, or it would be stored twice.
func TestSlowSecondCopy(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := nonStickyConfig(ns)
	cfg.SessionBackupTimeout = 20 * time.Millisecond
	cfg.OperationTimeout = time.Second
	ms := []*Manager{instance(t, cfg), instance(t, cfg)}
	b := new(browser)
	b.countSlowly(t, ms[0], 0)
	second := "n1"
	if b.id(t).node == "n1" {
		second = "n2"
	}
	var clients, faults sync.WaitGroup
	var done atomic.Bool
	faults.Go(func() { // ends with done
		for !done.Load() {
			ns.node(second).SetFault(memcachetest.Fault{Delay: 30 * time.Millisecond})
			time.Sleep(10 * time.Millisecond)
			ns.node(second).SetFault(memcachetest.Fault{})
			time.Sleep(10 * time.Millisecond)
		}
	})
	const each = 100
	for i := range 8 {
		clients.Go(func() {
			b := b.clone()
			for range each {
				b.countSlowly(t, ms[i%2], time.Millisecond)
			}
		})
	}
	clients.Wait()
	done.Store(true)
	faults.Wait()
	if got, want := b.countSlowly(t, ms[0], 0), 8*each+2; got != want {
		t.Errorf("the count is %d, want %d", got, want)
	}
}
