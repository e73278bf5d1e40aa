package msm

import (
	"context"
	"slices"
	"sync"
	"time"
)

// entry is one session in this process, and what of it memcached lacks.
type entry struct {
	base string // immutable

	// turn is held by whoever talks to memcached about the session: a lock that
	// may be held over a round trip. It comes before mu.
	turn chan struct{}

	// version is what memcached has, as far as is known; nil without memcached.
	// Who has the turn owns it.
	version *version

	mu        sync.Mutex // guards what follows
	rec       *record    // the session with all that requests have stored: another one after every change
	local     []attr     // attributes that are not for memcached, sorted by name
	unsaved   []*batch   // what memcached lacks, oldest first
	offline   *batch     // what came after that while there was no memcached; nil: nothing
	behind    bool       // the second copy lacks something, too
	absent    bool       // memcached has nothing of it
	on        *topology  // of version
	stamp     stamp      // of version, for cookies
	node      string     // of version, for cookies
	accessed  time.Time  // by the last request
	confirmed time.Time  // when memcached had version
	over      bool       // it is no session any more
	how       tombstone  // over: how it ended
	overSince time.Time  // over
	unburied  bool       // over: memcached has not been told
}

// newEntry returns an entry for a session, and what memcached has of it.
func newEntry(rec *record, v *version) *entry {
	e := &entry{base: rec.base, turn: make(chan struct{}, 1), rec: rec, accessed: time.Now(), absent: true}
	if v != nil {
		e.have(v, e.accessed)
		if !v.accessed.IsZero() {
			e.accessed = v.accessed
		}
	}
	return e
}

// take waits for the turn.
func (e *entry) take(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

func (e *entry) yield() { <-e.turn }

// locked runs f with mu held.
func (e *entry) locked(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

// have takes note of what memcached has at that time. The caller has the turn,
// or the entry for itself.
func (e *entry) have(v *version, at time.Time) {
	e.version = v
	e.locked(func() {
		e.on, e.stamp, e.node, e.confirmed = v.on, v.stamp, v.node(), at
		e.absent = v.fresh || v.unwritten
	})
}

// end makes the entry no session any more, and returns what memcached lacks.
func (e *entry) end(how tombstone) (left []*batch) {
	e.locked(func() {
		e.reconnect()
		left, e.unsaved = e.unsaved, nil
		e.over, e.how, e.overSince = true, how, time.Now()
	})
	return left
}

// drop is end where nothing follows: what memcached lacks will never be stored.
func (e *entry) drop(how tombstone) { fail(e.end(how), ErrInvalidated) }

func (e *entry) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

// superseded tells a session that was renewed a moment ago from others that are
// over.
func (e *entry) superseded() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.how == renewed && time.Since(e.overSince) < renewGrace {
		return errSuperseded
	}
	return nil
}

// open gives a request the session; nil if it is over.
func (e *entry) open() (*hold, error) {
	if e.isOver() {
		return nil, e.superseded()
	}
	h := &hold{accessed: e.lastAccess()}
	e.locked(func() { e.accessed = time.Now() })
	h.show(e)
	return h, nil
}

// show makes h what the entry is by now.
func (h *hold) show(e *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h.entry, h.fresh = e, false
	h.rec, h.local, h.stamp, h.node = e.rec, e.local, e.stamp, e.node
}

func (e *entry) lastAccess() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.accessed
}

// expired tells whether the session's time is over.
func (e *entry) expired(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rec.outlived(now) || e.rec.maxInactive > 0 && now.Sub(e.accessed) >= e.rec.maxInactive
}

// isConfirmed tells whether memcached had the session a moment ago, on the nodes
// of that topology.
func (e *entry) isConfirmed(on *topology, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.on == on && e.offline == nil && now.Sub(e.confirmed) < confirmInterval
}

// isElsewhere tells whether the copies were put on the nodes of another topology.
func (e *entry) isElsewhere(than *topology) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.over && e.on != than
}

// doubt makes the next request look whether memcached still has the same.
func (e *entry) doubt() { e.locked(func() { e.confirmed = time.Time{} }) }

func (e *entry) isBehind() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.behind
}

func (e *entry) setBehind(behind bool) { e.locked(func() { e.behind = behind }) }

// attach makes a session that was kept in this process alone one that memcached
// lacks. The caller has the turn.
func (e *entry) attach(s *store) {
	if e.version == nil {
		v := s.newVersion(e.base)
		v.fresh = true
		e.locked(func() { v.rec, e.unsaved, e.offline = e.rec, nil, nil })
		e.have(v, time.Time{})
		return
	}
	e.locked(e.reconnect)
}

// keep takes note of a change that memcached lacks, and that has made the session
// next. While there is no memcached only what attributes have become is kept: that
// takes no more memory however often they change. The caller has mu.
func (e *entry) keep(b *batch, next *record, k *sticky) {
	if k.store != nil {
		e.reconnect()
		e.unsaved = append(e.unsaved, b)
		return
	}
	if e.offline == nil {
		e.offline = k.author.newCommit()
	}
	e.offline.stored.follow(&b.stored, next)
}

// reconnect makes what came offline a commit like others. The caller has mu.
func (e *entry) reconnect() {
	if e.offline != nil {
		e.unsaved, e.offline = append(e.unsaved, e.offline), nil
	}
}

// publish shows changes to other requests, and keeps the batch until it is
// stored. Updates may run again, without mu.
func (e *entry) publish(b *batch, k *sticky) error {
	for {
		e.mu.Lock()
		over, now, nowLocal, stored := e.over, e.rec, e.local, k.store != nil || e.on != nil
		e.mu.Unlock()
		if over {
			return ErrInvalidated
		}
		next, err := now.with(&b.stored)
		if err != nil {
			return err
		}
		local, err := b.local.merge(nowLocal)
		if err != nil {
			return err
		}
		if stored { // or will be, when there is a memcached again: the request could not be told then
			if err := next.fits(); err != nil {
				return err
			}
		}
		published := false
		e.locked(func() {
			if e.rec != now || e.over {
				return
			}
			published = true
			e.rec, e.local = next, local
			if !b.stored.empty() {
				e.keep(b, next, k)
			}
		})
		if published {
			return nil
		}
	}
}

// rebase makes the session what memcached has with what it lacks. The caller
// has the turn. Updates may run again, without mu.
func (e *entry) rebase() {
	for done := false; !done; {
		e.mu.Lock()
		now, unsaved := e.rec, slices.Clone(e.unsaved)
		if e.offline != nil {
			unsaved = append(unsaved, e.offline.clone())
		}
		e.mu.Unlock()
		next := new(record) // another one, so that everybody sees the change
		*next = *e.version.rec
		for _, b := range unsaved {
			if next.committed(b.nonce) {
				continue // it was stored, and nobody knew
			}
			// One that fails will when it is stored, and is dropped then.
			if with, err := next.with(&b.stored); err == nil {
				next = with
			}
		}
		e.locked(func() {
			if done = e.rec == now; done {
				e.rec = next
			}
		})
	}
}

// oldest returns what is to be stored next, n batches at most.
func (e *entry) oldest(n int) []*batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.unsaved[:min(n, len(e.unsaved))])
}

// settled drops batches that were stored, or never can be because of that
// failure. The caller has the turn.
func (e *entry) settled(batches []*batch, failure error) {
	e.locked(func() {
		e.unsaved = slices.DeleteFunc(slices.Clone(e.unsaved), func(b *batch) bool { return slices.Contains(batches, b) })
	})
	if failure != nil {
		fail(batches, failure)
	}
	e.rebase()
}

// dirty tells whether memcached lacks something.
func (e *entry) dirty() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.unsaved) > 0 || e.behind || e.absent || e.offline != nil
}

// isOwed tells whether memcached lacks something of the session, its end included.
func (e *entry) isOwed() bool {
	e.mu.Lock()
	over, unburied := e.over, e.unburied
	e.mu.Unlock()
	return unburied || !over && e.dirty()
}

// with returns the record with changes made to it.
func (r *record) with(ch *changes) (*record, error) {
	next := *r
	if ch.maxInactive != nil {
		next.maxInactive = *ch.maxInactive
	}
	var err error
	next.attrs, err = ch.merge(r.attrs)
	return &next, err
}
