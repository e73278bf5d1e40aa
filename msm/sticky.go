package msm

import (
	"context"
	"errors"
	"slices"
	"time"
)

// confirmInterval is for how long a session is served from this process without
// a look whether memcached still has the same: how long a logout on another
// instance may take to reach this one.
const confirmInterval = time.Second

// accessSlack is by how much the time of the last access may be off that is made
// of what an item has left to live.
const accessSlack = 2 * time.Second

// sticky serves sessions from this process, with memcached behind it. It is
// safe for concurrent use.
type sticky struct {
	// Immutable.
	table  *table
	store  *store // nil: there is no memcached
	route  string
	names  []string // routes that this process has had before
	sync   bool     // commits wait for both copies
	queue  *queue
	author author
}

func (k *sticky) load(ctx context.Context, id sessionID) (*hold, error) {
	e := k.table.get(id.base)
	switch {
	case e == nil:
		return k.takeOver(ctx, id)
	case e.isOver():
		return nil, e.superseded()
	case k.isOld(e, id):
		return k.takeOver(ctx, id)
	case e.expired(time.Now()):
		if err := k.expire(ctx, e); err != nil {
			return nil, err
		}
	default:
		if err := k.confirm(ctx, e); err != nil {
			return nil, err
		}
	}
	return e.open()
}

// take waits for the turn of an entry, which memcached may have to be told of.
func (k *sticky) take(ctx context.Context, e *entry) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	if k.store != nil {
		e.attach(k.store)
	}
	return nil
}

// isOld tells whether the cookie knows of a newer state of the session than the
// entry: another instance served it last, or it is of a later epoch.
func (k *sticky) isOld(e *entry, id sessionID) bool {
	if k.store == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return k.route != "" && !k.isOwn(id.route) || !e.stamp.reaches(id.epoch)
}

// isOwn tells whether a route is, or was, that of this process.
func (k *sticky) isOwn(route string) bool {
	return route == k.route || slices.Contains(k.names, route)
}

// takeOver gets a session from memcached that another instance served last.
func (k *sticky) takeOver(ctx context.Context, id sessionID) (*hold, error) {
	if k.store == nil {
		return nil, nil
	}
	v, err := k.store.load(ctx, id.base, id.epoch)
	if err != nil {
		return nil, err
	}
	if v.rec == nil {
		return nil, nil
	}
	if v.rec.dead != alive {
		if e := k.table.get(id.base); e != nil {
			e.drop(v.rec.dead)
		}
		return nil, superseded(v.rec)
	}
	e := k.table.add(newEntry(v.rec, v))
	if err := k.join(ctx, e, v); err != nil {
		return nil, err
	}
	h, err := e.open()
	if h != nil {
		h.taken = true
		if k.route == "" || !k.isOwn(id.route) {
			k.store.stats.count(instanceFailovers)
		}
	}
	return h, err
}

// join brings an entry up to v. Without a route only a new epoch tells other
// instances that their copy is old.
func (k *sticky) join(ctx context.Context, e *entry, v *version) error {
	if err := k.take(ctx, e); err != nil {
		return err
	}
	defer e.yield()
	if v != e.version && !e.version.stamp.newerThan(v.stamp) {
		k.adopt(e, v)
	}
	if k.route != "" {
		return nil
	}
	if err := k.settle(ctx, e, intent{batches: []*batch{k.author.newCommit()}, fence: true}); err != nil {
		return err
	}
	k.adopt(e, e.version)
	return nil
}

// adopt makes v what memcached has. The caller has the turn.
func (k *sticky) adopt(e *entry, v *version) {
	if v.doubtful == 0 || e.version.doubtful.newerThan(v.doubtful) {
		v.doubtful = e.version.doubtful
	}
	e.have(v, time.Now())
	e.rebase()
}

// confirm makes sure that memcached had the session as it is here a moment ago,
// and keeps its copies from expiring. While the nodes are down the session lives
// on here.
func (k *sticky) confirm(ctx context.Context, e *entry) error {
	if k.store == nil || e.isConfirmed(k.store.topology(), time.Now()) {
		return nil
	}
	if err := k.take(ctx, e); err != nil {
		return err
	}
	defer e.yield()
	now := time.Now()
	if e.isConfirmed(k.store.topology(), now) {
		return nil
	}
	if e.version.fresh {
		k.flush(ctx, e, nil, nil) // never stored: should it fail, it is tried again
		e.locked(func() { e.confirmed = now })
		return nil
	}
	if k.store.confirm(ctx, e.version) {
		e.locked(func() { e.confirmed = now })
		return nil
	}
	return k.catchUp(ctx, e)
}

// catchUp learns what memcached has instead of what the entry believes. If that
// is older, or nothing, the newest copies were lost and this is the last one: it
// is stored again, unless a tombstone was put there meanwhile. The caller has
// the turn.
func (k *sticky) catchUp(ctx context.Context, e *entry) error {
	v := e.version.clone()
	err := k.store.reread(ctx, v, new(intent))
	switch {
	case errors.Is(err, ErrDecode):
		return err
	case err != nil: // the session lives on here
		e.locked(func() { e.confirmed = time.Now() })
		return nil
	case v.rec.dead != alive:
		e.drop(v.rec.dead)
		return nil
	case !v.unwritten:
		k.store.mend(ctx, v)
	}
	k.adopt(e, v)
	if v.unwritten {
		k.flush(ctx, e, nil, nil) // should it fail, it is tried again
	}
	return nil
}

// entry returns that of a hold. Without a memcached it is the one in the table: a
// later core may have got the session anew by now, and would never look at another.
func (k *sticky) entry(h *hold) *entry {
	if k.store != nil || h.entry == nil {
		return h.entry
	}
	return k.table.add(h.entry)
}

func (k *sticky) commit(ctx context.Context, h *hold, b *batch) error {
	e := k.entry(h)
	if e == nil {
		e = newEntry(h.rec, h.version)
	}
	if err := e.publish(b, k); err != nil {
		return err
	}
	k.table.add(e)
	var err error
	if k.store != nil {
		err = k.save(ctx, e, b, h.fresh || h.taken)
	}
	h.show(e)
	return err
}

// save stores what was published. A commit that creates the session or takes it
// over waits for its node: until then no other instance could find it. What
// cannot be stored now lives on here and is stored later.
func (k *sticky) save(ctx context.Context, e *entry, b *batch, wait bool) error {
	if !wait && !k.sync {
		k.queue.add(e.base, k.job(e))
		return nil
	}
	if err := k.take(ctx, e); err != nil {
		k.queue.add(e.base, k.job(e))
		return nil
	}
	var later func(*version)
	if !k.sync {
		later = func(*version) { e.setBehind(true) }
	}
	err := k.flush(ctx, e, b, later)
	e.yield()
	if failure := b.failed(); failure != nil {
		return failure
	}
	if errors.Is(err, ErrInvalidated) {
		return err
	}
	if e.dirty() {
		k.queue.add(e.base, k.job(e))
	}
	return nil
}

func (k *sticky) renew(ctx context.Context, h *hold, b *batch) error {
	e := k.entry(h)
	if err := k.take(ctx, e); err != nil {
		return err
	}
	defer e.yield()
	next, err := k.successor(ctx, e, b)
	if err != nil {
		return err
	}
	// What other requests have published meanwhile was promised to be kept.
	for _, left := range append(e.end(renewed), &batch{local: b.local}) {
		if err := next.publish(left, k); err != nil {
			return err
		}
	}
	k.table.add(next)
	if k.store == nil {
		k.bury(ctx, e) // later: there is no memcached now
	} else if next.dirty() {
		k.queue.add(next.base, k.job(next))
	}
	h.show(next)
	return nil
}

// successor makes the entry of the new id. The caller has the turn of e.
func (k *sticky) successor(ctx context.Context, e *entry, b *batch) (*entry, error) {
	if k.store == nil || e.version.untouched() {
		return k.rename(e, b)
	}
	if err := k.flush(ctx, e, nil, nil); err != nil {
		return nil, err
	}
	was := *e.version
	v, err := k.store.renew(ctx, e.version, b)
	if err != nil {
		k.failed(e, &was, err)
		return nil, err
	}
	next := newEntry(v.rec, v)
	e.locked(func() { next.local, next.accessed = e.local, e.accessed })
	return next, nil
}

// rename is successor for a session that is nowhere else.
func (k *sticky) rename(e *entry, b *batch) (*entry, error) {
	var rec record
	var v *version
	if k.store == nil {
		e.locked(func() { rec, e.unsaved, e.offline = *e.rec, nil, nil })
		rec.base = newBase()
	} else {
		rec = *e.version.rec // what was published since is left, and published anew
		rec.base = newBase()
		v = k.store.newVersion(rec.base)
		v.rec, v.fresh = &rec, true
	}
	next := newEntry(&rec, v)
	e.locked(func() { next.local, next.accessed = e.local, e.accessed })
	return next, next.publish(&batch{stored: b.stored, nonce: k.author.newNonce()}, k)
}

func (k *sticky) end(ctx context.Context, h *hold) error {
	e := k.entry(h)
	if err := k.take(ctx, e); err != nil {
		return err
	}
	defer e.yield()
	e.drop(invalidated)
	return k.bury(ctx, e)
}

// bury makes memcached's copies of an entry that is over tombstones. Should it
// fail, the background does it. The caller has the turn.
func (k *sticky) bury(ctx context.Context, e *entry) error {
	if e.version == nil || e.version.untouched() {
		return nil
	}
	if k.store == nil { // it is told when there is one again
		e.locked(func() { e.unburied = true })
		return nil
	}
	was := *e.version
	err := k.store.end(ctx, e.version, invalidated)
	if err != nil {
		e.version.restore(&was)
	}
	e.locked(func() { e.unburied = err != nil })
	return err
}

// expire ends a session that nobody has used for too long, unless another
// instance has.
func (k *sticky) expire(ctx context.Context, e *entry) error {
	if err := k.take(ctx, e); err != nil {
		return err
	}
	defer e.yield()
	if !e.expired(time.Now()) {
		return nil // another request was faster
	}
	if k.store != nil && !e.version.fresh {
		v, err := k.store.find(ctx, e.base, e.version.stamp.epoch())
		if err == nil && v.rec != nil && v.rec.dead == alive && !v.tooOld(time.Now()) && v.accessed.After(e.lastAccess().Add(accessSlack)) {
			k.adopt(e, v)
			e.locked(func() { e.accessed = v.accessed })
			return nil
		}
	}
	e.drop(invalidated)
	if err := k.bury(ctx, e); err != nil {
		k.queue.add(e.base, k.job(e))
	}
	return nil
}
