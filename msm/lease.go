package msm

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// Bounds of a lease.
const (
	// leaseSlack is how much longer than its lease an item lives: servers count
	// in whole seconds and may drop it up to one second early.
	leaseSlack = time.Second

	// maxRenewals is how often a lease is renewed, at half its time each: a
	// handler that never returns keeps others waiting for ten leases, not for ever.
	maxRenewals = 18

	// maxLeaseTries is how often a change of the item is tried that met another
	// one: the word of somebody who waits, as a rule.
	maxLeaseTries = 3

	// Somebody who waits looks again after minLook to maxLook, at random.
	minLook = 500 * time.Microsecond
	maxLook = 1500 * time.Microsecond
)

// wantedMark is what those who wait for a lease append to its item.
const wantedMark = "!"

// lease is the lock of a session on a node: an item with a token that nobody
// else has, and with a time to live, so that it ends when its instance dies. It
// protects nothing by itself: sessions are stored by CAS with and without it.
type lease struct {
	// Immutable.
	client   *memcache.Client // every operation goes to the node
	key      string
	token    string
	length   time.Duration // it is renewed when half of that has passed
	patience time.Duration // for renewing it and giving it back

	// turn is held by whoever talks to the node about the lease: a lock that may
	// be held over a round trip.
	turn chan struct{}

	// Owned by who has the turn.
	taken    time.Time     // does not change any more once it was
	item     memcache.Item // CAS 0: the node has not told it
	timer    *time.Timer   // of the next renewal
	renewals int
	doubtful bool // it was asked for, and the node did not say
	over     bool
}

func newLease(node *memcache.Client, key string, length, patience time.Duration) *lease {
	return &lease{client: node, key: key, token: rand.Text(), length: length, patience: patience, turn: make(chan struct{}, 1)}
}

// await takes the lock as soon as the node gives it, but does not ask before
// that time.
func (l *lease) await(ctx context.Context, notBefore time.Time) error {
	err := sleep(ctx, time.Until(notBefore))
	for err == nil {
		if err = l.take(ctx); !errors.Is(err, memcache.ErrNotStored) {
			return err
		}
		err = l.watch(ctx)
	}
	return err
}

// take asks the node for the lock, once. ErrNotStored if somebody has it.
func (l *lease) take(ctx context.Context) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.taken = time.Now()
	l.item = memcache.Item{Key: l.key, Value: []byte(l.token), TTL: l.length + leaseSlack}
	err := l.client.Add(ctx, &l.item)
	if err != nil {
		l.doubtful = isUncertain(err)
		return err
	}
	l.timer = time.AfterFunc(l.length/2, l.renew) // ends with some round trips; end stops it, or waits for it
	return nil
}

// watch returns when nobody has the lock. Whoever has it is told that somebody
// waits.
func (l *lease) watch(ctx context.Context) error {
	for {
		item, err := l.client.Get(ctx, l.key)
		if errors.Is(err, memcache.ErrMiss) {
			return nil
		}
		if err != nil {
			return err
		}
		if !strings.HasSuffix(string(item.Value), wantedMark) {
			// Append leaves the time to live as it is. Should it fail, the next look
			// finds no mark again.
			l.client.Append(ctx, &memcache.Item{Key: l.key, Value: []byte(wantedMark)})
		}
		if err := sleep(ctx, minLook+mathrand.N(maxLook-minLook)); err != nil {
			return err
		}
	}
}

// renew gives the item new time to live.
func (l *lease) renew() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.over || l.renewals == maxRenewals {
		return
	}
	l.renewals++
	err := l.change(func(ctx context.Context, item *memcache.Item) error {
		item.TTL = l.length + leaseSlack
		return l.client.CompareAndSwap(ctx, item)
	})
	if !isLost(err) { // what went wrong may go right the next time
		l.timer.Reset(l.length / 2)
	}
}

// end gives the lock back, if it is still this lease's, and tells whether
// somebody waits for it on another instance.
func (l *lease) end() (wanted bool) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
	// What cannot be removed now expires.
	l.change(func(ctx context.Context, item *memcache.Item) error {
		err := l.client.CompareAndDelete(ctx, item)
		if errors.Is(err, memcache.ErrUnsupported) {
			item.TTL = -1 // expired at once
			err = l.client.CompareAndSwap(ctx, item)
		}
		return err
	})
	return len(l.item.Value) > len(l.token)
}

// drop is end for a lease that was not had, as far as is known: nobody shall
// wait for what nobody has.
func (l *lease) drop() {
	if l.doubtful {
		l.end()
	}
}

// change does something to the item, provided that it is this lease's. The
// caller has the turn. isLost if it is not, or there is none.
//
// The CAS that was told may not do: the item has a mark now, or the connection
// has died that vouched for the CAS. The token tells whose the item is.
func (l *lease) change(do func(context.Context, *memcache.Item) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), l.patience)
	defer cancel()
	err := memcache.ErrCASConflict
	for try := 0; try < maxLeaseTries && errors.Is(err, memcache.ErrCASConflict); try++ {
		if l.item.CAS == 0 || try > 0 {
			var item memcache.Item
			if item, err = l.client.Get(ctx, l.key); err != nil {
				return err
			}
			if !strings.HasPrefix(string(item.Value), l.token) {
				return memcache.ErrMiss
			}
			l.item = item
		}
		err = do(ctx, &l.item)
	}
	return err
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
