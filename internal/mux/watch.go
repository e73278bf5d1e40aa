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

// watchCtx interrupts the call when ctx ends, until the returned function is
// called. It allocates, so only a caller that may block in a system call, where
// it cannot wait for ctx, asks for it.
func (c *Conn) watchCtx(ctx context.Context, call *Call) (stop func() bool) {
	gen := call.gen.Load()
	return context.AfterFunc(ctx, func() {
		c.mu.Lock()
		// The call may be done and on its way again, here or elsewhere.
		wake := call.gen.Load() == gen && c.interrupt(call, ctx.Err())
		c.mu.Unlock()
		if wake {
			call.wake <- lookAgain
		}
	})
}

// interrupt makes the call's owner leave, and reports whether it has to be
// woken for that. The caller holds mu.
func (c *Conn) interrupt(call *Call, err error) (wake bool) {
	if call.state == done || call.state == abandoned || call.quit != nil {
		return false
	}
	call.quit = err
	if c.reader == call {
		c.poked.read = true
		c.nc.SetReadDeadline(longAgo)
	}
	if c.writer == call {
		c.poked.write = true
		c.nc.SetWriteDeadline(longAgo)
	}
	wake = call.state == waiting
	if wake {
		call.state = started
	}
	return wake
}

// mustLeave tells whether a write deadline that struck was meant for call.
func (c *Conn) mustLeave(call *Call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.quit == nil {
		c.unpokeWrite()
	}
	return call.quit != nil
}

// unpokeWrite takes back a write deadline in the past. The caller holds mu.
func (c *Conn) unpokeWrite() {
	if c.poked.write {
		c.poked.write = false
		c.nc.SetWriteDeadline(time.Time{})
	}
}

// watch arms the watchdog. There is one for the connection, not one for each
// call: it looks at the calls in flight when the oldest can be due. The caller
// holds mu.
func (c *Conn) watch() {
	if c.watching {
		return
	}
	c.watching = true
	if c.watchdog == nil {
		c.watchdog = time.AfterFunc(c.cfg.Timeout, c.inspect)
		return
	}
	c.watchdog.Reset(c.cfg.Timeout)
}

// inspect is the watchdog's round: calls older than Timeout are interrupted,
// and a connection that owes replies and has been silent for Timeout is dead.
func (c *Conn) inspect() {
	c.mu.Lock()
	if c.err != nil || c.queue.len() == 0 {
		c.watching = false
		c.mu.Unlock()
		return
	}
	now := time.Now()
	silent := c.born.Add(time.Duration(c.heard.Load()))
	if oldest := c.queue.at(c.queue.first()).started; oldest.After(silent) {
		silent = oldest
	}
	next := silent.Add(c.cfg.Timeout).Sub(now)
	if next <= 0 {
		woken := c.failLocked(ErrStalled)
		c.mu.Unlock()
		c.bury(woken)
		return
	}
	var woken []*Call
	for pos := c.queue.first(); pos != c.queue.end(); pos++ {
		call := c.queue.at(pos)
		if left := call.started.Add(c.cfg.Timeout).Sub(now); left > 0 {
			next = min(next, left)
			break
		}
		if c.interrupt(call, ErrTimeout) {
			woken = append(woken, call)
		}
	}
	c.watchdog.Reset(next)
	c.mu.Unlock()
	for _, call := range woken {
		call.wake <- lookAgain
	}
}
