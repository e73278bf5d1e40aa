package mux

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"time"
)

// Start queues the call and sees to it that its request is written. It does
// not wait for the reply: a caller may start calls on several connections and
// then wait for each. An error is an *Error with Sent false, and the call is
// free; after nil it must be given to Wait.
func (c *Conn) Start(ctx context.Context, call *Call) error {
	call.prepare()
	if err := ctx.Err(); err != nil {
		return &Error{Err: err}
	}
	if call.Req.HasValue() && len(call.Req.Value) > copyMax {
		return c.startLarge(ctx, call)
	}
	now := time.Now()
	c.mu.Lock()
	for !c.admits() {
		if err := c.waitRoom(ctx); err != nil {
			return &Error{Err: err}
		}
		now = time.Now()
	}
	idle := c.idle(now)
	c.join(call, now)
	if call.Req.HasValue() {
		c.pending = append(append(c.pending, call.Req.Value...), c.tail...)
	}
	flush := !c.flushing
	c.flushing = true
	c.mu.Unlock()
	if flush {
		c.flush(ctx, call, idle)
	}
	return nil
}

// startLarge starts a call whose value is written from the caller's memory.
// The caller writes it itself, so that nobody holds the value after it has left.
func (c *Conn) startLarge(ctx context.Context, call *Call) error {
	for {
		if err := c.takeTurn(ctx); err != nil {
			return &Error{Err: err}
		}
		c.mu.Lock()
		idle := c.idle(time.Now())
		c.mu.Unlock()
		c.checkIdle(idle)
		c.mu.Lock()
		if c.admits() {
			break
		}
		// Whoever makes room may need the turn.
		c.releaseTurn()
		err := c.waitRoom(ctx)
		if err != nil {
			return &Error{Err: err}
		}
		c.mu.Unlock()
	}
	c.join(call, time.Now())
	buf, blocking := c.take(call, len(call.Req.Value))
	c.mu.Unlock()
	c.send(ctx, call, buf, call.Req.Value, blocking)
	return nil
}

// flush writes the pending bytes, its own and those of all that have joined
// meanwhile. The caller has set flushing.
func (c *Conn) flush(ctx context.Context, call *Call, idle time.Duration) {
	if c.alone.Load() < loneFlushes {
		// Callers that are ready to run join first: that is what makes one
		// write carry many requests. Where nobody is, it costs the scheduler's
		// search for somebody, a third of the whole operation.
		runtime.Gosched()
	}
	if err := c.takeTurn(ctx); err != nil {
		c.mu.Lock()
		c.flushing = false // whoever waits next writes them
		if call.quit == nil {
			call.quit = err
		}
		c.mu.Unlock()
		return
	}
	c.checkIdle(idle)
	c.mu.Lock()
	c.flushing = false
	buf, blocking := c.take(call, 0)
	c.mu.Unlock()
	c.send(ctx, call, buf, nil, blocking)
}

// notIdle is idle's answer while calls are in flight.
const notIdle = time.Duration(-1)

// idle returns for how long no call has been in flight. The caller holds mu.
func (c *Conn) idle(now time.Time) time.Duration {
	if c.queue.len() > 0 {
		return notIdle
	}
	return now.Sub(c.born) - time.Duration(c.heard.Load())
}

// checkIdle looks at a connection that was idle before a request is risked on
// it. It comes before take, so that requests on a connection that is found
// dead count as not sent. The caller holds the turn.
func (c *Conn) checkIdle(idle time.Duration) {
	if idle == notIdle || !c.cfg.Strict && idle <= staleAfter {
		return
	}
	if err := c.peek.look(); err != nil {
		c.fail(err)
	}
}

// join queues the call and appends its request, without the value, to the
// pending bytes. The caller holds mu.
func (c *Conn) join(call *Call, now time.Time) {
	call.started = now
	if c.queue.len() == 0 {
		c.owed = 0
	}
	gathered := c.gather(call)
	// Opaques of the requests in flight differ, and none is zero.
	call.Req.Opaque = uint32(c.queue.push(call)) | 1<<31
	if !gathered {
		c.pending = c.codec.AppendRequest(c.pending, &call.Req)
	}
	c.watch()
}

// take hands the pending bytes to the writer, call, which adds extra bytes of
// its own. The caller holds the turn and mu.
func (c *Conn) take(call *Call, extra int) (buf []byte, blocking bool) {
	buf, c.pending, c.spare = c.pending, c.spare[:0], nil
	c.owed += len(buf) + extra
	c.writer = call
	if c.taken.Store(c.queue.end()); c.queue.len() > 1 {
		c.alone.Store(0)
	} else {
		c.alone.Add(1)
	}
	c.signalRoom()
	return buf, c.owed > quietBytes || c.stuck
}

// send writes what an interrupted writer left, then buf, then the value with
// its tail. An interrupt leaves the rest to the next writer, in a copy. The
// caller holds the turn; it is released.
func (c *Conn) send(ctx context.Context, call *Call, buf, value []byte, blocking bool) {
	if blocking && ctx.Done() != nil {
		stop := c.watchCtx(ctx, call)
		defer stop()
	}
	err := c.sendAll(call, buf, value)

	c.mu.Lock()
	c.writer = nil
	c.stuck = c.unsent != nil
	c.unpokeWrite()
	if cap(buf) <= 2*maxPending {
		c.spare = buf[:0]
	}
	c.mu.Unlock()
	c.releaseTurn()
	if err != nil {
		c.fail(err)
	}
}

// sendAll writes until all is written or call has to leave.
func (c *Conn) sendAll(call *Call, buf, value []byte) error {
	c.out = c.vec[:0]
	if c.unsent != nil {
		c.out = append(c.out, c.unsent)
		c.unsent = nil
	}
	if len(buf) > 0 {
		c.out = append(c.out, buf)
	}
	if value != nil {
		c.out = append(c.out, value, c.tail)
	}
	for len(c.out) > 0 {
		var err error
		if len(c.out) == 1 {
			err = c.sendOne()
		} else {
			_, err = c.out.WriteTo(c.nc)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if c.mustLeave(call) {
			c.unsent = slices.Concat(c.out...)
			c.out, c.vec = nil, [4][]byte{}
			return nil
		}
	}
	return nil
}

// sendOne writes the only buffer of out, without the detour of a writev.
func (c *Conn) sendOne() error {
	n, err := c.nc.Write(c.out[0])
	if err == nil {
		c.vec, c.out = [4][]byte{}, nil
		return nil
	}
	c.out[0] = c.out[0][n:]
	return err
}

// takeTurn waits for the right to write, for Timeout at most.
func (c *Conn) takeTurn(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(c.cfg.Timeout)
	defer timer.Stop()
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-c.dead:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ErrTimeout
	}
}

func (c *Conn) releaseTurn() { <-c.turn }

// admits tells whether a call can join. The caller holds mu.
func (c *Conn) admits() bool {
	return c.refusal() == nil && !c.queue.full() && len(c.pending) < maxPending
}

// refusal says why no call will ever join again. The caller holds mu.
func (c *Conn) refusal() error {
	if c.err != nil {
		return c.err
	}
	return c.closing
}

// waitRoom waits until a call may be able to join, for Timeout at most. The
// caller holds mu, and again after nil; after an error it does not.
func (c *Conn) waitRoom(ctx context.Context) error {
	if err := c.refusal(); err != nil {
		c.mu.Unlock()
		return err
	}
	c.waiting++
	c.mu.Unlock()
	timer := time.NewTimer(c.cfg.Timeout)
	defer timer.Stop()
	var err error
	select {
	case <-c.room:
	case <-c.dead:
		err = c.Err()
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = ErrTimeout
	}
	c.mu.Lock()
	c.waiting--
	if err != nil {
		c.signalRoom() // the token may have been meant for this caller
		c.mu.Unlock()
	}
	return err
}

// signalRoom wakes one of the callers that wait for room, if there are any. It
// is called wherever room comes to be, and by a woken caller that leaves room.
// The caller holds mu.
func (c *Conn) signalRoom() {
	if c.waiting == 0 || c.queue.full() || len(c.pending) >= maxPending {
		return
	}
	select {
	case c.room <- struct{}{}:
	default:
	}
}
