package msm

import (
	"context"
	"errors"
	"time"
)

// flush stores what memcached lacks. Second copies are left to later, unless
// that is nil. A batch that can never be stored is given up, which is no error:
// the caller's own, if it has one, says so itself. The caller has the turn.
func (k *sticky) flush(ctx context.Context, e *entry, own *batch, later func(*version)) error {
	atOnce := maxGroup
	for {
		batches := e.oldest(atOnce)
		in := intent{batches: batches, second: later}
		switch {
		case len(batches) > 0:
		case e.version.fresh || e.version.unwritten:
			in.batches = []*batch{k.author.newCommit()}
		case later == nil && e.isBehind():
			in.batches = []*batch{{nonce: e.version.rec.nonces.last()}}
		default:
			return nil
		}
		err := k.settle(ctx, e, in)
		var bad *batchError
		switch {
		case err == nil:
			e.have(e.version, time.Now())
			e.setBehind(e.isBehind() && later != nil)
			e.settled(batches, nil)
		case errors.As(err, &bad):
			k.giveUp(e, bad.batch, own, bad.err)
		case isFinal(err) && len(batches) == 1:
			k.giveUp(e, batches[0], own, err)
		case isFinal(err) && len(batches) > 1:
			atOnce = 1 // to see which of them it is
		default:
			return err
		}
	}
}

// giveUp drops a batch that can never be stored. Its request, unless it is the
// caller's own, may have been answered long ago.
func (k *sticky) giveUp(e *entry, b, own *batch, failure error) {
	e.settled([]*batch{b}, failure)
	if b != own {
		k.queue.lost(failure)
	}
}

// settle is that of the store, with the entry's version.
func (k *sticky) settle(ctx context.Context, e *entry, in intent) error {
	in.kept = true
	was, begin := *e.version, k.store.stats.begin()
	err := k.store.settle(ctx, e.version, in)
	k.store.stats.settled(&was, &in, begin, err)
	switch {
	case err != nil:
		k.failed(e, &was, err)
	case in.commits():
		k.store.stats.merged(was.rec, e.version.rec, in.batches[0].nonce)
	}
	return err
}

// failed makes the entry's version what it was before storing it failed, and
// ends an entry whose session has ended elsewhere. The caller has the turn.
func (k *sticky) failed(e *entry, was *version, err error) {
	switch {
	case errors.Is(err, ErrInvalidated):
		e.drop(e.version.rec.dead)
	case errors.Is(err, ErrUnavailable):
		e.locked(func() { e.node = "" })
	}
	e.version.restore(was)
}

// isFinal tells whether changes that could not be stored never will be.
func isFinal(err error) bool {
	for _, passing := range []error{ErrUnavailable, ErrConflict, ErrInvalidated, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, passing) {
			return false
		}
	}
	return true
}

// job stores an entry in the background.
func (k *sticky) job(e *entry) job {
	return func(ctx context.Context) error {
		if err := k.take(ctx, e); err != nil {
			return err
		}
		defer e.yield()
		switch {
		case e.isOver():
			return k.bury(ctx, e)
		case !e.version.fresh && e.version.on != k.store.topology():
			if err := k.catchUp(ctx, e); err != nil {
				return err
			}
		}
		return k.flush(ctx, e, nil, nil)
	}
}
