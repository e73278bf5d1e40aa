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

	// firstLength is the length of a lease that was left to somebody, until it
	// is renewed for the first time: others wait no longer for a heir that has
	// died while it was waiting.
	firstLength = time.Second

	// maxRenewals is how often a lease is renewed, at half its time each: a
	// handler that never returns keeps others waiting for ten leases, not for ever.
	maxRenewals = 18

	// withdrawTime is how long it may take to leave the queue.
	withdrawTime = 100 * time.Millisecond

	// maxLeaseTries is how often a change of the item is tried that met another
	// one: somebody who has joined or left the queue, as a rule.
	maxLeaseTries = 8

	// The first in the queue looks again after minLook to maxLook, at random; the
	// others after as many times that as there are before them, of at most
	// maxAhead: nobody's turn comes sooner.
	minLook  = 500 * time.Microsecond
	maxLook  = 1500 * time.Microsecond
	maxAhead = 20

	// tokenLen is the length of what rand.Text returns.
	tokenLen = 26
)

// lease is the lock of a session on a node: an item with a time to live, so that
// it ends when its instance dies. It protects nothing by itself: sessions are
// stored by CAS with and without it.
//
// The item begins with the token of the lease that has the lock. Behind it is
// the queue: others append "+" and their token when they begin to wait, and "-"
// and their token when they have waited long enough. Append makes the CAS of the
// lease invalid, which so learns of them, and leaves the time to live as it is.
// Who ends its lease leaves the item to the first in the queue who still waits.
//
// Nothing depends on the queue but the order. When the item is lost, everybody
// asks for the lock anew; one in the queue who has died keeps the others waiting
// for firstLength and a second, after which the item is lost.
type lease struct {
	// Immutable.
	client   *memcache.Client // every operation goes to the node
	key      string
	token    string        // nobody else has it
	length   time.Duration // it is renewed when half of that has passed
	patience time.Duration // for renewing it and giving it back

	// Owned by who waits for the lock, or has it.
	open   bool      // the lease may have the lock, or be in the queue: the node has not said
	queued bool      // it is in the queue: the node has said so
	taken  time.Time // when it got the lock

	// turn is held by whoever talks to the node about a lease that has the lock: a
	// lock that may be held over a round trip.
	turn chan struct{}

	// Owned by who has the turn.
	item     memcache.Item // CAS 0: the node has not told it
	timer    *time.Timer   // of the next renewal
	renewals int
	over     bool
}

func newLease(node *memcache.Client, key string, length, patience time.Duration) *lease {
	return &lease{client: node, key: key, token: rand.Text(), length: length, patience: patience, turn: make(chan struct{}, 1)}
}

// await waits until the lease has the lock. After an error it goes on waiting for
// who calls await next, if it is in the queue, or is to be dropped.
func (l *lease) await(ctx context.Context) error {
	err := memcache.ErrMiss
	if l.queued {
		err = l.stand(ctx)
	}
	for errors.Is(err, memcache.ErrMiss) {
		if err = ctx.Err(); err != nil {
			break // the node is not asked for nothing
		}
		if err = l.take(ctx); errors.Is(err, memcache.ErrNotStored) {
			err = l.lineUp(ctx)
		}
	}
	return err
}

// take asks the node for the lock, once. ErrNotStored if somebody has it.
func (l *lease) take(ctx context.Context) error {
	now := time.Now()
	item := memcache.Item{Key: l.key, Value: []byte(l.token), TTL: l.length + leaseSlack}
	err := l.client.Add(ctx, &item)
	if err != nil {
		l.open = isUncertain(err)
		return err
	}
	l.begin(item, now, l.length)
	return nil
}

// begin is called when the lease has the lock.
func (l *lease) begin(item memcache.Item, now time.Time, length time.Duration) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.item, l.taken, l.open, l.queued = item, now, false, false
	l.timer = time.AfterFunc(length/2, l.renew) // ends with some round trips; end stops it, or waits for it
}

// lineUp joins the queue of the lock and waits in it.
func (l *lease) lineUp(ctx context.Context) error {
	if err := l.say(ctx, "+"); err != nil {
		return err
	}
	l.queued = true
	return l.stand(ctx)
}

// stand waits in the queue of the lock until it comes to the lease. ErrMiss if
// there is none any more.
func (l *lease) stand(ctx context.Context) (err error) {
	for had, before := false, 0; err == nil && !had; {
		pause := minLook + mathrand.N(maxLook-minLook)
		if err = sleep(ctx, pause*time.Duration(1+min(before, maxAhead))); err == nil {
			had, before, err = l.look(ctx)
		}
	}
	return err
}

// say adds a word about the lease to the queue. ErrMiss if there is none.
func (l *lease) say(ctx context.Context, word string) error {
	l.open = true
	err := l.client.Append(ctx, &memcache.Item{Key: l.key, Value: []byte(word + l.token)})
	if errors.Is(err, memcache.ErrNotStored) {
		l.open, err = false, memcache.ErrMiss
	}
	return err
}

// look tells whether the lease has the lock, or how many are before it in the
// queue. ErrMiss if it is not even there.
func (l *lease) look(ctx context.Context) (had bool, before int, err error) {
	now := time.Now()
	item, err := l.client.Get(ctx, l.key)
	if err == nil {
		var queue string
		if had, queue = l.split(item); had {
			l.begin(item, now, min(firstLength, l.length))
		} else if before = ahead(queue, l.token); before < 0 {
			err = memcache.ErrMiss
		}
	}
	if errors.Is(err, memcache.ErrMiss) {
		l.open, l.queued = false, false
	}
	return had, before, err
}

// withdraw gives up waiting, and tells whether the lease has the lock
// nevertheless. When the node does not answer soon, that stays open.
func (l *lease) withdraw() (had bool) {
	if !l.open {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
	defer cancel()
	if l.say(ctx, "-") != nil {
		return false
	}
	had, _, err := l.look(ctx)
	l.open = l.open && err != nil
	return had
}

// drop ends a lease that has not got the lock, as far as is known: nobody shall
// wait for what nobody has.
func (l *lease) drop() {
	if l.withdraw() {
		l.end()
	}
}

// split tells whether the lock that an item stands for is the lease's, and what
// else is in it.
func (l *lease) split(item memcache.Item) (owner bool, queue string) {
	queue, owner = strings.CutPrefix(string(item.Value), l.token)
	return owner, queue
}

// ahead is how many wait before that one, about; -1: it is not in the queue.
func ahead(queue, token string) int {
	at := strings.Index(queue, "+"+token)
	if at < 0 {
		return -1
	}
	return max(0, strings.Count(queue[:at], "+")-strings.Count(queue, "-"))
}

// waiting is a queue without those who have left it.
func waiting(queue string) string {
	var rest strings.Builder
	for token := ""; ; {
		if token, queue = heir(queue); token == "" {
			return rest.String()
		}
		rest.WriteString("+" + token)
	}
}

// heir returns the token of the first in a queue who still waits, and the queue
// behind it; "" if there is none.
func heir(queue string) (token, rest string) {
	const entry = len("+") + tokenLen
	for ; len(queue) >= entry; queue = queue[entry:] {
		token, rest = queue[1:entry], queue[entry:]
		if queue[0] == '+' && !strings.Contains(rest, "-"+token) {
			return token, rest
		}
	}
	return "", ""
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
		_, queue := l.split(*item)
		item.Value, item.TTL = []byte(l.token+waiting(queue)), l.length+leaseSlack
		return l.client.CompareAndSwap(ctx, item)
	})
	if !isLost(err) { // what went wrong may go right the next time
		l.timer.Reset(l.length / 2)
	}
}

// end leaves the lock to the first in its queue, or to nobody, if it is still
// the lease's. What cannot be done now happens when the item expires.
func (l *lease) end() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.over {
		return // what lies there now is not the lease's
	}
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.change(l.pass)
}

// pass leaves an item to its heir.
func (l *lease) pass(ctx context.Context, item *memcache.Item) error {
	_, queue := l.split(*item)
	if token, rest := heir(queue); token != "" {
		item.Value, item.TTL = []byte(token+rest), min(firstLength, l.length)+leaseSlack
		return l.client.CompareAndSwap(ctx, item)
	}
	err := l.client.CompareAndDelete(ctx, item)
	if errors.Is(err, memcache.ErrUnsupported) {
		item.TTL = -1 // expired at once
		err = l.client.CompareAndSwap(ctx, item)
	}
	return err
}

// change does something to the item, provided that it is the lease's. The caller
// has the turn. isLost if it is not, or there is none.
//
// The CAS that was told may not do: somebody has joined the queue, or the
// connection has died that vouched for the CAS. The token tells whose the item
// is.
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
			if owner, _ := l.split(item); !owner {
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
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
