package mux

import (
	"context"
	"time"
)

// admit waits until the call can join: behind those that have waited longer.
// The caller holds mu, and again after nil; after an error it does not.
func (c *Conn) admit(ctx context.Context, call *Call) error {
	for behind := c.waiting > 0; behind || !c.admits(); behind = false {
		if err := c.waitRoom(ctx, call); err != nil {
			return err
		}
	}
	return nil
}

// admits tells whether a call can join. The caller holds mu.
func (c *Conn) admits() bool { return c.refusal() == nil && c.hasRoom() }

// hasRoom tells whether there is room for a call. The caller holds mu.
func (c *Conn) hasRoom() bool {
	return c.queue.len()+c.promised < c.window && len(c.pending) < maxPending
}

// refusal says why no call will ever join again. The caller holds mu.
func (c *Conn) refusal() error {
	if c.err != nil {
		return c.err
	}
	return c.closing
}

// takeTurn waits for the right to write.
func (c *Conn) takeTurn(ctx context.Context, call *Call) error {
	select {
	case <-c.turn:
		return nil
	default:
		return c.await(ctx, call, c.turn)
	}
}

func (c *Conn) releaseTurn() { c.turn <- struct{}{} }

// waitRoom waits until a call may be able to join. The caller holds mu, and
// again after nil; after an error it does not.
func (c *Conn) waitRoom(ctx context.Context, call *Call) error {
	if err := c.refusal(); err != nil {
		c.mu.Unlock()
		return err
	}
	c.waiting++
	c.mu.Unlock()
	err := c.await(ctx, call, c.room)
	c.mu.Lock()
	c.waiting--
	if err != nil {
		c.signalRoom() // the token may have been meant for this caller
		c.mu.Unlock()
	}
	return err
}

// signalRoom wakes one of the callers that wait for room, if there are any. It
// is called wherever room comes to be, and by a caller that joins and leaves
// room. The caller holds mu.
func (c *Conn) signalRoom() {
	if c.waiting == 0 || !c.hasRoom() {
		return
	}
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// await waits for a token while the call may.
func (c *Conn) await(ctx context.Context, call *Call, tokens <-chan struct{}) error {
	err := c.awaitFor(ctx, call, tokens, patience)
	if err != ErrTimeout {
		return err
	}
	c.holdUp(1)
	defer c.holdUp(-1)
	return c.awaitFor(ctx, call, tokens, time.Until(call.due))
}

// awaitFor waits for a token for d at most: then it is ErrTimeout.
func (c *Conn) awaitFor(ctx context.Context, call *Call, tokens <-chan struct{}, d time.Duration) error {
	if call.timer == nil {
		call.timer = time.NewTimer(d)
	} else {
		call.timer.Reset(d)
	}
	defer call.timer.Stop()
	select {
	case <-tokens:
		return nil
	case <-c.dead:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-call.timer.C:
		return ErrTimeout
	}
}
