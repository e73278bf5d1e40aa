package msm

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// sweepInterval is how often the table is looked through for sessions whose
// time is over, and for what memcached still lacks.
const sweepInterval = 2 * time.Second

// table holds the sessions that are in this process. It is safe for concurrent
// use. While it has any, a goroutine looks them through.
type table struct {
	mu       sync.Mutex // guards what follows
	entries  map[string]*entry
	sweep    func(*entry) // is called for every entry now and then
	sweeping bool
	closed   bool
	stop     chan struct{}
	stopped  sync.WaitGroup
}

func newTable() *table {
	return &table{entries: make(map[string]*entry), stop: make(chan struct{})}
}

// setSweep says what looks entries through from now on.
func (t *table) setSweep(sweep func(*entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep = sweep
}

// get returns a session's entry, nil if there is none.
func (t *table) get(base string) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[base]
}

// add puts an entry into the table, unless the session has one, and returns
// the one that is there now.
func (t *table) add(e *entry) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.entries[e.base]; old != nil {
		return old
	}
	t.entries[e.base] = e
	if !t.sweeping && !t.closed {
		t.sweeping = true
		t.stopped.Add(1)
		go t.run() // ends when the table is empty, or with close, which waits for it
	}
	return e
}

func (t *table) remove(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[e.base] == e {
		delete(t.entries, e.base)
	}
}

// some returns entries, n at most.
func (t *table) some(n int) []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	entries := make([]*entry, 0, min(n, len(t.entries)))
	for _, e := range t.entries {
		if len(entries) == n {
			break
		}
		entries = append(entries, e)
	}
	return entries
}

func (t *table) all() []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.entries))
}

// run sweeps until the table is empty or closed.
func (t *table) run() {
	defer t.stopped.Done()
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for t.busy() {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
		for _, e := range t.all() {
			t.mu.Lock()
			sweep := t.sweep
			t.mu.Unlock()
			sweep(e)
		}
	}
}

// busy tells whether there is anything to sweep.
func (t *table) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweeping = len(t.entries) > 0 && !t.closed
	return t.sweeping
}

// close ends the sweeping.
func (t *table) close() {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	t.mu.Unlock()
	if first {
		close(t.stop)
	}
	t.stopped.Wait()
}
