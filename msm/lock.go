package msm

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Bounds of the waiting for locks.
const (
	// maxWaiters is how many requests of one session wait in one process, beside
	// the one that has the lock or asks the node for it.
	maxWaiters = 16

	// maxTurn is for how long requests of one process hand the lock on among
	// themselves, which costs nothing, before it is another process's turn; those
	// that had come before the turn began have it in any case.
	maxTurn = 20 * time.Millisecond
)

// locks gives requests the lock of their session: to one at a time in all
// instances, in the order in which they came within a process, and to processes
// in the order in which they asked. Who has waited too long, or finds the node
// down, goes on without: the commit merges what parallel requests change, so
// that a lock is never what keeps changes from being lost. Instances that
// disagree about which nodes are up may hold the lock of a session at the same
// time, on two nodes.
//
// It is safe for concurrent use.
type locks struct {
	// Immutable.
	policy   policy
	keys     keyspace
	length   time.Duration // of a lease
	patience time.Duration // of a request
	stats    *counters

	mu    sync.Mutex // guards what follows
	lanes map[string]*lane
}

// lane is the requests of a session in this process that want its lock.
type lane struct {
	// The one at the head has the lock, or asks the node for it. The others wait
	// in the order in which they came.
	waiting []*ticket
}

// ticket is a request in its lane. What makes it the head is the lease that the
// one before leaves it: one that has the lock, or is in its queue on the node; nil:
// it is to ask the node.
type ticket struct {
	came time.Time
	turn chan *lease // has room for one
}

// newLocks returns nil if no request wants a lock.
func newLocks(p policy, keys keyspace, length, patience time.Duration, stats *counters) *locks {
	if p.isNone() {
		return nil
	}
	return &locks{policy: p, keys: keys, length: length, patience: patience, stats: stats, lanes: make(map[string]*lane)}
}

// take waits for the lock of a session. release, which is to be called once,
// gives it back; it does nothing if the lock was not to be had. ErrBusy if too
// many are waiting already.
func (k *locks) take(ctx context.Context, v *version) (release func(), err error) {
	without := func() {}
	if v.home < 0 {
		return without, nil
	}
	begin := k.stats.begin()
	l, err := k.acquire(ctx, v)
	if err == nil {
		k.stats.since(acquireLock, begin)
		return func() { k.release(v.base, l) }, nil
	}
	k.stats.since(acquireLockFailure, begin)
	switch {
	case err == ErrBusy:
		return nil, err
	case l == nil:
		return without, nil
	}
	return l.drop, nil
}

// acquire waits for the lock. With an error, there may be a lease that is to be
// dropped when the request ends.
func (k *locks) acquire(ctx context.Context, v *version) (*lease, error) {
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	l, err := k.enter(ctx, v.base)
	switch {
	case err != nil || l != nil && !l.taken.IsZero():
		return l, err
	case l == nil:
		l = newLease(v.places[v.home].server.client, k.keys.lock(v.base), k.length, k.patience)
	}
	if err = l.await(ctx); err == nil {
		return l, nil
	}
	if l.queued && k.bequeath(v.base, l) {
		return nil, err
	}
	if l.withdraw() {
		return l, nil // it came at the last moment
	}
	k.leave(v.base)
	return l, err
}

// bequeath leaves the place in the lock's queue to the next request, if there is
// one.
func (k *locks) bequeath(base string, l *lease) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lanes[base].next(l)
}

// release gives a lock to the next request that waits for it in this process,
// or back.
func (k *locks) release(base string, l *lease) {
	if k.hand(base, l) {
		return
	}
	begin := k.stats.begin()
	l.end()
	k.stats.since(releaseLock, begin)
	k.leave(base)
}

// enter waits for the head of a session's lane.
func (k *locks) enter(ctx context.Context, base string) (*lease, error) {
	k.mu.Lock()
	ln := k.lanes[base]
	if ln == nil {
		k.lanes[base] = new(lane)
		k.mu.Unlock()
		return nil, nil
	}
	if len(ln.waiting) == maxWaiters {
		k.mu.Unlock()
		return nil, ErrBusy
	}
	mine := &ticket{time.Now(), make(chan *lease, 1)}
	ln.waiting = append(ln.waiting, mine)
	k.mu.Unlock()
	select {
	case l := <-mine.turn:
		return l, nil
	case <-ctx.Done():
	}
	if k.withdraw(ln, mine) {
		return nil, ctx.Err()
	}
	return <-mine.turn, nil // it came at the last moment
}

// withdraw is false if the ticket's turn has come.
func (k *locks) withdraw(ln *lane, mine *ticket) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(ln.waiting, mine)
	if i >= 0 {
		ln.waiting = slices.Delete(ln.waiting, i, i+1)
	}
	return i >= 0
}

// hand makes the next request the head, with a lease, if there is one and the
// process still has its turn.
func (k *locks) hand(base string, l *lease) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	ln := k.lanes[base]
	return len(ln.waiting) > 0 && (time.Since(l.taken) < maxTurn || ln.waiting[0].came.Before(l.taken)) && ln.next(l)
}

// leave makes the next request the head, without a lease, or ends the lane.
func (k *locks) leave(base string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.lanes[base].next(nil) {
		delete(k.lanes, base)
	}
}

// next makes the next request the head, if there is one. The caller has mu.
func (ln *lane) next(l *lease) bool {
	if len(ln.waiting) == 0 {
		return false
	}
	ln.waiting[0].turn <- l // never blocks: there is room for one
	ln.waiting = slices.Delete(ln.waiting, 0, 1)
	return true
}
