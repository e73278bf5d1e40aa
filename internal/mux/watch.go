package mux

import (
	"context"
	"time"
)

// longAgo is a deadline that ends a blocked read or write at once.
var longAgo = time.Unix(1, 0)

// poke says which deadlines of the network connection an interrupt has left in
// the past. Whoever gives a role back sets them right again; a deadline that
// strikes somebody it was not meant for is a spurious wake.
type poke struct{ read, write bool }

// watchdog sees to it that nothing takes longer than Timeout, and wakes the
// runtime's monitor where the socket's calls do not. There is one for the
// connection, not one for each call.
type watchdog struct {
	alarm    *time.Timer // calls inspect
	watching bool        // the alarm is set
	round    time.Time   // watching: until then
	owing    time.Time   // when the queue was last empty
	answered int64       // when bytes came last that made a reply whole; as heard
}

// now is time.Now for half the price, which shows in every call: it asks the
// monotonic clock only.
func (c *Conn) now() time.Time { return c.born.Add(time.Since(c.born)) }

// watchCtx interrupts the call when ctx ends, until the returned function is
// called. It allocates, so only a caller that may block in a system call, where
// it cannot wait for ctx, asks for it.
func (c *Conn) watchCtx(ctx context.Context, call *Call) (stop func() bool) {
	c.mu.Lock()
	over := call.state == done
	call.watched = !over
	gen := call.gen.Load()
	c.mu.Unlock()
	if over {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() {
		c.mu.Lock()
		// The call may be done and on its way again, here or elsewhere.
		wake := call.gen.Load() == gen && c.interrupt(call, ctx.Err())
		c.mu.Unlock()
		if wake {
			call.rouse()
		}
	})
}

// watchWriter is watchCtx for the caller that has just begun to write. It stays
// interested when its call is done: it may be writing for others, and servers
// refuse what they have not read to the end.
func (c *Conn) watchWriter(ctx context.Context, call *Call) (stop func() bool) {
	c.mu.Lock()
	writes := c.writes
	c.mu.Unlock()
	return context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.writes == writes && c.writer == call {
			c.interrupt(call, ctx.Err()) // it is running: no token
		}
	})
}

// interrupt makes the call's owner leave, and reports whether it has to be
// woken for that. The caller holds mu.
func (c *Conn) interrupt(call *Call, err error) (wake bool) {
	if c.writer == call {
		c.evicted, c.poked.write = true, true
		c.nc.SetWriteDeadline(longAgo)
	}
	if call.state == done || call.state == abandoned || call.quit != nil {
		return false
	}
	call.quit = err
	if c.reader == call {
		c.poked.read = true
		c.nc.SetReadDeadline(longAgo)
	}
	wake = call.state == waiting
	if wake {
		call.state = started
	}
	return wake
}

// mustLeave tells whether a write deadline that struck was meant for the writer.
func (c *Conn) mustLeave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.evicted {
		c.unpokeWrite()
	}
	return c.evicted
}

// unpokeWrite takes back a write deadline in the past. The caller holds mu.
func (c *Conn) unpokeWrite() {
	if c.poked.write {
		c.poked.write = false
		c.nc.SetWriteDeadline(time.Time{})
	}
}

// watch arms the watchdog for a call. The caller holds mu.
func (c *Conn) watch(due time.Time) {
	if c.watching && !due.Before(c.round) {
		return
	}
	c.watching = true
	c.arm(due)
}

// arm sets the alarm, to an earlier time if the socket wants more rounds.
func (c *Conn) arm(round time.Time) {
	now := time.Now()
	d := min(round.Sub(now), c.socket.maxRound())
	c.round = now.Add(d)
	if c.alarm == nil {
		c.alarm = time.AfterFunc(d, c.inspect)
	} else {
		c.alarm.Reset(d)
	}
}

// inspect is the watchdog's round: calls older than Timeout are interrupted,
// and a connection that owes replies and does not deliver is dead.
func (c *Conn) inspect() {
	c.mu.Lock()
	if c.err != nil || c.queue.len() == 0 && c.writer == nil {
		c.watching = false
		c.mu.Unlock()
		return
	}
	now := time.Now()
	next := now.Add(c.cfg.Timeout)
	if c.queue.len() > 0 {
		if next = c.stalls(); !next.After(now) {
			woken := c.failLocked(ErrStalled)
			c.mu.Unlock()
			c.bury(woken)
			return
		}
	}
	var woken []*Call
	look := func(call *Call) {
		if call.due.After(now) {
			next = earlier(next, call.due)
		} else if c.interrupt(call, ErrTimeout) {
			woken = append(woken, call)
		}
	}
	for pos := c.queue.first(); pos != c.queue.end(); pos++ {
		look(c.queue.at(pos))
	}
	if c.writer != nil {
		look(c.writer) // its call may be done, and out of the queue
	}
	c.arm(next)
	c.mu.Unlock()
	for _, call := range woken {
		call.rouse()
	}
}

// stalls returns when the connection is to be given up, unless something comes
// before that. The caller holds mu; the queue is not empty.
func (c *Conn) stalls() time.Time {
	owing := int64(c.owing.Sub(c.born))
	silent := time.Duration(max(owing, c.heard.Load())) + c.cfg.Timeout
	fruitless := time.Duration(max(owing, c.answered)) + maxOwed*c.cfg.Timeout
	return c.born.Add(min(silent, fruitless))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
