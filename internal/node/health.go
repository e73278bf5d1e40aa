package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// The time between two attempts to reach a node that is down: doubled after
// every failure, and spread so that many clients do not come at once.
const (
	minPause = 20 * time.Millisecond
	maxPause = 5 * time.Second
)

// downError is why a node is down: ErrDown to errors.Is, and what lies behind it,
// unless that is a timeout: nobody waited for this operation.
type downError struct{ cause error }

func (e *downError) Error() string {
	return ErrDown.Error() + ": " + strings.TrimPrefix(e.cause.Error(), "memcache: ")
}

func (e *downError) Unwrap() []error {
	if isTimeout(e.cause) {
		return []error{ErrDown}
	}
	return []error{ErrDown, e.cause}
}

// backoff says when to try again what keeps failing. The zero backoff is over.
type backoff struct {
	pause time.Duration
	next  time.Time
}

func (b *backoff) over() bool { return !time.Now().Before(b.next) }

// extend starts the next, longer pause.
func (b *backoff) extend() {
	b.pause = min(max(2*b.pause, minPause), maxPause)
	b.next = time.Now().Add(b.pause/2 + rand.N(b.pause))
}

// outage is the time during which a node is down. No goroutine watches over it:
// operations that come fail at once, and one that comes when a probe is due
// starts it.
type outage struct {
	since time.Time // immutable

	mu      sync.Mutex // guards the following
	err     error      // what operations get
	pause   backoff    // until the next probe
	probing bool
}

// refusal returns the error of operations now, or nil while the node is up. It
// starts a probe if one is due.
func (n *Node) refusal() error {
	if n.closed.Load() {
		return ErrClosed
	}
	o := n.down.Load()
	if o == nil {
		return nil
	}
	o.mu.Lock()
	err := o.err
	probe := !o.probing && o.pause.over()
	o.probing = o.probing || probe
	o.mu.Unlock()
	if probe {
		n.probe()
	}
	return err
}

// Up tells whether the node takes operations. It starts a probe if one is due.
func (n *Node) Up() bool { return n.refusal() == nil }

// probe dials for an empty slot; how it ended comes through dialled.
func (n *Node) probe() {
	for i := range n.slots {
		if s := &n.slots[i]; s.living() == nil {
			n.dial(s)
			return
		}
	}
	n.recovered() // every connection lives
}

// dialled learns how a dial ended.
func (n *Node) dialled(err error) {
	if err != nil {
		n.counts.dialErrors.Add(1)
	}
	switch {
	case err == nil:
		n.recovered()
	case errors.Is(err, ErrClosed):
	case n.down.Load() != nil || n.alive() == 0:
		n.fail(err)
	}
}

// fail makes the node down, or prolongs that.
func (n *Node) fail(err error) {
	fresh := &outage{since: time.Now(), err: err}
	fresh.pause.extend()
	if n.down.CompareAndSwap(nil, fresh) {
		n.log(slog.LevelWarn, "memcached node is down", "err", err)
		return
	}
	o := n.down.Load()
	if o == nil {
		return // it came up meanwhile
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
	if o.probing {
		o.probing = false
		o.pause.extend()
	}
}

// recovered makes the node up.
func (n *Node) recovered() {
	if n.down.Swap(nil) != nil {
		n.log(slog.LevelInfo, "memcached node is up")
	}
}

func (n *Node) log(level slog.Level, msg string, args ...any) {
	if n.cfg.Logger != nil {
		n.cfg.Logger.With("node", n.cfg.ID, "addr", n.cfg.Addr).Log(context.Background(), level, msg, args...)
	}
}
