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
		name, reason    string
		authors, others int // others make their commits after all authors have
		idle            time.Duration
		want            int // of each author
	}{
		{"alone", "its oldest ones go", 1, 0, 0, maxOwnNonces},
		{"two", "the other one pushes out its own", 1, 1, 0, maxOwnNonces},
		{"all that have room", "each pushes out its own", maxAuthors - 1, 1, 0, maxOwnNonces},
		{"others that come and go", "who was silent for longest goes", 1, maxAuthors, 0, 0},
		{"quiet for long", "nobody is still trying", 3, 1, nonceLife + 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ns nonces
			commits := func(a author, idle time.Duration) {
				for range 100 {
					before := slices.Clone(ns)
					next := ns.with(a.newNonce(), idle)
					if !slices.Equal(ns, before) {
						t.Fatalf("%x became %x: records share them", before, ns)
					}
					ns = next
				}
			}
			for a := range tt.authors {
				commits(author(1+a), 0)
			}
			for a := range tt.others {
				commits(author(1000+a), tt.idle)
			}
			for a := range tt.authors {
				if got := ns.count(author(1 + a)); got != tt.want {
					t.Errorf("author %d of %d has %d nonces left, want %d: %s", a+1, tt.authors, got, tt.want, tt.reason)
				}
			}
			if len(ns) > maxNonces {
				t.Errorf("%d nonces, want %d at most", len(ns), maxNonces)
			}
		})
	}
}

// A commit whose second copy is late finds many others after it: it must know
// itself, or it would be stored twice.
func TestSlowSecondCopy(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.NonSticky, cfg.SessionBackupSync = true, true
		cfg.SessionBackupTimeout = 20 * time.Millisecond
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
	})
}

func TestNoncesLack(t *testing.T) {
	by := func(a author, n nonce) nonce { return nonce(a)<<32 | n }
	var full nonces // of author 1: 8 to 1
	for n := range nonce(maxOwnNonces) {
		full = full.with(by(1, n+1), 0)
	}
	for _, tt := range []struct {
		name       string
		ns, others nonces
		want       bool
	}{
		{"nothing of nothing", nil, nil, false},
		{"the same", full, full, false},
		{"a newer one", full, full.with(by(1, 9), 0), true},
		{"an older one that was pushed out", full.with(by(1, 9), 0), full, false},
		{"one of another author", full, full.with(by(2, 1), 0), true},
		{"one below a common one", nonces{by(1, 3), by(1, 1)}, nonces{by(1, 3), by(2, 1), by(1, 1)}, true},
		{"one of its own below a common one", full, append(full[:1:1], by(1, 20), by(1, 7)), true},
	} {
		if got := tt.ns.lack(tt.others); got != tt.want {
			t.Errorf("%s: %x lack %x = %v, want %v", tt.name, tt.ns, tt.others, got, tt.want)
		}
	}
}
