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
	// themselves, before those of other processes may have it.
	maxTurn = 20 * time.Millisecond

	// courtesy is for how long a process does not ask for a lock that it has given
	// back while another one waits for it, which looks every maxLook.
	courtesy = maxLook + 500*time.Microsecond
)

// locks gives requests the lock of their session: one at a time in all
// instances, in the order in which they came within a process. Who has waited
// too long, or finds the node down, goes on without: the commit merges what
// parallel requests change, so that a lock is never what keeps changes from
// being lost. Instances that disagree about which nodes are up may hold the lock
// of a session at the same time, on two nodes.
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
	busy      bool            // one of them is at the head: it has the lock, or asks the node for it
	waiting   []chan handover // the others, in the order in which they came
	notBefore time.Time       // when the node may be asked again
}

// handover is what makes the next request the head of its lane.
type handover struct {
	lease     *lease // nil: ask the node
	notBefore time.Time
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
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	turn, err := k.enter(ctx, v.base)
	if err != nil {
		k.stats.since(acquireLockFailure, begin)
	}
	switch {
	case err == ErrBusy:
		return nil, err
	case err != nil:
		return without, nil
	}
	l := turn.lease
	if l == nil {
		l = newLease(v.places[v.home].server.client, k.keys.lock(v.base), k.length, k.patience)
		err = l.await(ctx, turn.notBefore)
	}
	if err != nil {
		k.stats.since(acquireLockFailure, begin)
		k.leave(v.base, time.Time{})
		return l.drop, nil
	}
	k.stats.since(acquireLock, begin)
	return func() { k.release(v.base, l) }, nil
}

// release gives a lock to the next request that waits for it in this process,
// or back.
func (k *locks) release(base string, l *lease) {
	if time.Since(l.taken) < maxTurn && k.hand(base, handover{lease: l}) {
		return
	}
	begin := k.stats.begin()
	wanted := l.end()
	k.stats.since(releaseLock, begin)
	var notBefore time.Time
	if wanted {
		notBefore = time.Now().Add(courtesy)
	}
	k.leave(base, notBefore)
}

// enter waits for the head of a session's lane.
func (k *locks) enter(ctx context.Context, base string) (handover, error) {
	k.mu.Lock()
	ln := k.lanes[base]
	if ln == nil {
		ln = new(lane)
		k.lanes[base] = ln
	}
	if !ln.busy {
		ln.busy = true
		k.mu.Unlock()
		return handover{notBefore: ln.notBefore}, nil
	}
	if len(ln.waiting) == maxWaiters {
		k.mu.Unlock()
		return handover{}, ErrBusy
	}
	ticket := make(chan handover, 1)
	ln.waiting = append(ln.waiting, ticket)
	k.mu.Unlock()
	select {
	case h := <-ticket:
		return h, nil
	case <-ctx.Done():
	}
	if k.withdraw(ln, ticket) {
		return handover{}, ctx.Err()
	}
	return <-ticket, nil // it came at the last moment
}

// withdraw is false if the ticket's turn has come.
func (k *locks) withdraw(ln *lane, ticket chan handover) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(ln.waiting, ticket)
	if i >= 0 {
		ln.waiting = slices.Delete(ln.waiting, i, i+1)
	}
	return i >= 0
}

// hand makes the next request the head, if there is one.
func (k *locks) hand(base string, h handover) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lanes[base].hand(h)
}

// hand is hand for who has mu.
func (ln *lane) hand(h handover) bool {
	if len(ln.waiting) == 0 {
		return false
	}
	next := ln.waiting[0]
	ln.waiting = slices.Delete(ln.waiting, 0, 1)
	next <- h // never blocks: it gets one
	return true
}

// leave makes the next request the head, or the lane one without a head. The
// node is not to be asked again before that time.
func (k *locks) leave(base string, notBefore time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ln := k.lanes[base]
	ln.notBefore = notBefore
	if ln.hand(handover{notBefore: notBefore}) {
		return
	}
	ln.busy = false
	if wait := time.Until(notBefore); wait > 0 {
		time.AfterFunc(wait, func() { k.forget(base) }) // fires once; touches memory only
		return
	}
	delete(k.lanes, base)
}

// forget drops a lane that nobody uses.
func (k *locks) forget(base string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ln := k.lanes[base]; ln != nil && !ln.busy {
		delete(k.lanes, base)
	}
}
