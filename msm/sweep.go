package msm

import "time"

// sweep sees to an entry that no request may ever ask for again.
func (k *sticky) sweep(e *entry) {
	now := time.Now()
	e.mu.Lock()
	over, unburied := e.over && now.Sub(e.overSince) > renewGrace, e.unburied
	e.mu.Unlock()
	switch {
	case unburied && !e.expired(now):
		k.toDo(e)
	case over, e.expired(now): // memcached drops its copies at the same time
		k.table.remove(e)
	case e.dirty(), k.store != nil && e.isElsewhere(k.store.topology()):
		k.toDo(e)
	}
}

// clear is sweep where sessions are in memcached alone by now: an entry that it
// has all of is of no use.
func (k *sticky) clear(e *entry) {
	if e.isOwed() && !e.expired(time.Now()) {
		k.toDo(e)
		return
	}
	k.table.remove(e)
}

// forget is clear at once, where sessions are to be in this process again: what
// the table has may be older than what has been stored since, and memcached may
// not be there to tell. What it lacks stays.
func (k *sticky) forget() {
	for _, e := range k.table.all() {
		if e.isOwed() {
			e.doubt()
		} else {
			k.table.remove(e)
		}
	}
}

// toDo has an entry stored in the background, if there is a memcached.
func (k *sticky) toDo(e *entry) {
	if k.store != nil {
		k.queue.put(e.base, k.job(e))
	}
}

// drain has everything stored that memcached lacks.
func (k *sticky) drain() {
	for _, e := range k.table.all() {
		if e.isOwed() {
			k.toDo(e)
		}
	}
}
