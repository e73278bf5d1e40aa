package msm

import (
	"sync"
	"time"
)

// Bounds of absences: at most twice as many ids are remembered, for at most
// twice as long.
const (
	maxAbsences   = 1000
	absenceMemory = 500 * time.Millisecond
)

// absences remembers ids that no node knew a moment ago: a client that repeats
// a dead one costs no more than a map lookup. Nobody is kept from a session so
// that comes into being meanwhile, as an id is not told before its session is
// stored. The zero value is ready; it is safe for concurrent use.
type absences struct {
	mu     sync.Mutex // guards what follows
	recent map[absentID]bool
	older  map[absentID]bool
	since  time.Time // recent holds what was missed from then on
}

// absentID is what a search depends on. It shares no memory with the request.
type absentID struct {
	base  [baseLen]byte
	epoch uint16
}

func (a *absences) has(base string, epoch uint16) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.age(time.Now())
	key := newAbsentID(base, epoch)
	return a.recent[key] || a.older[key]
}

func (a *absences) add(base string, epoch uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.age(now); a.recent == nil || len(a.recent) == maxAbsences {
		a.older, a.recent, a.since = a.recent, make(map[absentID]bool), now
	}
	a.recent[newAbsentID(base, epoch)] = true
}

// age forgets what was missed too long ago. The caller has mu.
func (a *absences) age(now time.Time) {
	for range 2 {
		if now.Sub(a.since) < absenceMemory {
			return
		}
		a.older, a.recent, a.since = a.recent, nil, a.since.Add(absenceMemory)
	}
	a.since = now
}

func newAbsentID(base string, epoch uint16) absentID {
	id := absentID{epoch: epoch}
	copy(id.base[:], base)
	return id
}
