package mux

import (
	"context"
	"errors"
	"os"
	"time"
)

// Wait waits until the reply to a started call is complete. The caller reads
// for others, or writes for them, if nobody else does. An error is an *Error:
// that of ctx or of the connection, or ErrTimeout.
func (c *Conn) Wait(ctx context.Context, call *Call) error { return c.run(ctx, call, true) }

// run is Wait, and before that Start if the call has not been started. Crowds
// sleep in here: every function that lies between a caller and its sleep is one
// more whose return the processor cannot foresee when it comes back.
func (c *Conn) run(ctx context.Context, call *Call, started bool) error {
	if started {
		c.mu.Lock()
	} else if err := c.start(ctx, call); err != nil {
		return err
	}
	for call.state != done && call.quit == nil {
		if c.appointed == call {
			c.appointed = nil
		}
		switch {
		case c.reader != call && c.mustFlush():
			c.flushing = true
			c.mu.Unlock()
			c.flush(ctx, call)
			c.mu.Lock()
		case c.reader == nil || c.reader == call: // call: it is the heir
			c.reader = call
			c.mu.Unlock()
			c.readWatched(ctx, call)
			c.mu.Lock()
		default:
			call.state = waiting
			c.mu.Unlock()
			var why token
			if ended := ctx.Done(); ended == nil {
				why = <-call.wake
			} else {
				why = c.sleep(ctx, call)
			}
			if why == answered {
				return call.outcome()
			}
			c.mu.Lock()
		}
	}
	return c.leave(call) // unlocks
}

// readWatched is read for a caller that may have to leave meanwhile.
func (c *Conn) readWatched(ctx context.Context, call *Call) {
	if ctx.Done() != nil {
		defer c.watchCtx(ctx, call)()
	}
	c.read(call)
}

// sleep waits for a token or for the end of ctx.
func (c *Conn) sleep(ctx context.Context, call *Call) token {
	select {
	case t := <-call.wake:
		return t
	case <-ctx.Done():
	}
	c.mu.Lock()
	if call.state == waiting {
		call.state = started
		call.quit = ctx.Err()
		c.mu.Unlock()
		return lookAgain
	}
	c.mu.Unlock()
	return <-call.wake // somebody was faster: it is there or on its way
}

// leave ends a Wait: the call is done, or it becomes a tombstone. If a role is
// vacant, somebody else is found for it. The caller holds mu; it is unlocked.
func (c *Conn) leave(call *Call) error {
	completed := call.state == done
	if !completed {
		call.state = abandoned
		call.gen.Add(1)
	}
	if c.appointed == call {
		c.appointed = nil
	}
	if c.reader == call {
		c.reader = nil // an heir that must leave at once
	}
	next := c.fillRoles()
	c.mu.Unlock()
	next.rouse()
	if !completed {
		return &Error{Err: call.quit, Sent: true} // its bytes may still go out
	}
	return call.outcome()
}

// read holds the reader's role until self has its answer or must leave, or the
// connection is dead.
func (c *Conn) read(self *Call) {
	for {
		if c.deliver(self) {
			return
		}
		c.yield()
		err := c.fill()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if c.settle(self, 0, nil) {
				return
			}
		default:
			if c.settle(self, 0, lost(err)) {
				return
			}
		}
	}
}

// deliver hands every reply that is complete in the input to its owner. It
// reports whether self has released the reader's role.
func (c *Conn) deliver(self *Call) (released bool) {
	for {
		n, err := c.parse(self)
		if n == 0 && err == nil && c.in.heir == nil {
			return false
		}
		if c.settle(self, n, err) {
			return true
		}
		if n < settleBatch {
			return false
		}
	}
}

// settle takes n answered calls off the queue and wakes their owners; an error
// fails the rest. Then self gives the reader's role back, if it has no more use
// for it, and a successor is woken. It reports whether self did.
func (c *Conn) settle(self *Call, n int, err error) (released bool) {
	var room [settleBatch + maxGathered]*Call
	woken := room[:0]
	c.mu.Lock()
	if c.err == nil {
		var sums answers
		for _, call := range c.queue.pop(n, room[:0]) {
			if call.state == abandoned {
				continue
			}
			sums.count(call)
			if call.finish() {
				woken = append(woken, call) // in place: it is never ahead
			}
		}
		if n > 0 {
			c.cfg.Tally.add(&sums)
			c.answered, c.window = c.heard.Load(), c.in.window()
		}
		if err == nil && c.queue.len() == 0 {
			err = c.closing
		}
		c.signalRoom()
	}
	if err != nil {
		woken = append(woken, c.failLocked(err)...)
	}
	var next *Call
	if released = c.mustRelease(self); released {
		c.in.disown()
		// An heir has the role already: to anybody else who took it, the heir's
		// memory would be out of reach.
		c.reader, c.in.heir = c.in.heir, nil
		if next = c.reader; next == nil {
			next = c.appoint()
		}
	}
	if c.poked.read {
		c.poked.read = false
		c.nc.SetReadDeadline(time.Time{})
	}
	c.mu.Unlock()
	if err != nil {
		c.transport.Close()
	}
	for _, call := range woken {
		call.wake <- answered
	}
	next.rouse()
	return released
}

// mustRelease tells whether the reader self gives its role back. The caller
// holds mu.
func (c *Conn) mustRelease(self *Call) bool {
	switch {
	case c.err != nil || c.in.heir != nil:
		return true
	case self == &c.drainer:
		return c.queue.len() == 0 || c.queue.firstWaiting() != nil
	default:
		return self.state == done || self.quit != nil
	}
}
