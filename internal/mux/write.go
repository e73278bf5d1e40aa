package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"time"
)

// output is what the caller that writes needs to know. It outlives the one that
// left: the next one goes on from there.
type output struct {
	unsent []byte      // a copy of what an interrupted writer left behind
	bufs   net.Buffers // what is being written, shrinking
	vec    [4][]byte   // the array under bufs
	slowly *time.Timer // calls writesSlowly when a write takes longer than patience
}

// Start queues the call and sees to it that its request is written. It does
// not wait for the reply: a caller may start calls on several connections and
// then wait for each. An error is an *Error with Unused set; after nil the call
// must be given to Wait.
func (c *Conn) Start(ctx context.Context, call *Call) error {
	if err := c.start(ctx, call); err != nil {
		return err
	}
	c.mu.Unlock()
	return nil
}

// start is Start, but after nil the caller holds mu.
func (c *Conn) start(ctx context.Context, call *Call) error {
	now := c.now()
	call.prepare(now, c.cfg.Timeout)
	if err := ctx.Err(); err != nil {
		return unused(err)
	}
	if call.Req.HasValue() && len(call.Req.Value) > copyMax {
		return c.startLarge(ctx, call)
	}
	c.mu.Lock()
	if c.waiting > 0 || !c.admits() {
		if err := c.admit(ctx, call); err != nil {
			return unused(err)
		}
		now = c.now()
	}
	c.join(call, now)
	c.signalRoom()
	if call.Req.HasValue() {
		c.pending = append(append(c.pending, call.Req.Value...), c.tail...)
	}
	if !c.flushing && !c.mayHold(call) {
		c.flushing = true
		c.mu.Unlock()
		c.flush(ctx, call)
		c.mu.Lock()
	}
	return nil
}

// mayHold tells whether a request that has joined may wait for the next one.
// The caller holds mu.
func (c *Conn) mayHold(call *Call) bool {
	return call.More && c.queue.len() > 1 && len(c.pending) < holdBytes
}

// startLarge starts a call whose value is written from the caller's memory.
// The caller writes it itself, so that nobody holds the value after it has left.
// While it waits for the turn its room is kept: else those that need no turn of
// their own would take it time and again. After nil it holds mu.
func (c *Conn) startLarge(ctx context.Context, call *Call) error {
	c.mu.Lock()
	if err := c.admit(ctx, call); err != nil {
		return unused(err)
	}
	c.promised++
	c.signalRoom()
	c.mu.Unlock()
	err := c.takeTurn(ctx, call)
	mine := err == nil
	if mine {
		c.checkIdle(call)
	}
	c.mu.Lock()
	c.promised--
	if mine {
		err = c.refusal()
	}
	if err != nil {
		if mine {
			c.releaseTurn()
		}
		c.signalRoom()
		c.mu.Unlock()
		return unused(err)
	}
	c.join(call, c.now())
	buf, blocking := c.take(call, len(call.Req.Value))
	c.mu.Unlock()
	c.send(ctx, call, buf, call.Req.Value, blocking)
	c.mu.Lock()
	return nil
}

// flush writes the pending bytes, its own and those of all that have joined
// meanwhile. The caller has set flushing.
func (c *Conn) flush(ctx context.Context, call *Call) {
	c.yield()
	err := c.takeTurn(ctx, call)
	if err == nil {
		c.checkIdle(call)
	}
	c.mu.Lock()
	c.flushing = false
	if err == nil && call.quit == nil {
		buf, blocking := c.take(call, 0)
		c.mu.Unlock()
		c.send(ctx, call, buf, nil, blocking)
		return
	}
	if call.quit == nil {
		call.quit = err
	}
	if err == nil {
		c.releaseTurn()
	}
	next := c.fillRoles()
	c.mu.Unlock()
	next.rouse()
}

// yield lets the callers run that are ready to before a system call is made:
// their requests join the write, and their replies the read, that is to come.
// Where nobody is, it costs the scheduler's search for somebody, a third of the
// whole operation.
func (c *Conn) yield() {
	if c.alone.Load() < loneFlushes {
		runtime.Gosched()
	}
}

// checkIdle looks at a connection that was idle before a request is risked on
// it. It comes before take, so that requests on a connection that is found
// dead count as not sent. The caller holds the turn: nothing can be asked, and
// answered, meanwhile.
func (c *Conn) checkIdle(call *Call) {
	if c.taken.Load() != c.queue.first() {
		return // an answer is to come, or there
	}
	now := call.began // mostly, and the clock need not be asked again
	if !call.Began.IsZero() {
		now = c.now()
	}
	idle := now.Sub(c.born) - time.Duration(c.heard.Load())
	if !c.cfg.Strict && idle <= staleAfter {
		return
	}
	err := c.peek.look()
	if err == errStray && c.sealed {
		err = lost(io.EOF) // what a server sends unasked over TLS is its goodbye
	}
	if err != nil {
		c.fail(err)
	}
}

// join queues the call and appends its request, without the value, to the
// pending bytes. The caller holds mu.
func (c *Conn) join(call *Call, now time.Time) {
	if c.queue.len() == 0 {
		c.owed, c.owing = 0, now
	}
	gathered := c.gather(call)
	call.Req.Opaque = opaque(c.queue.push(call))
	if !gathered {
		c.pending = c.codec.AppendRequest(c.pending, &call.Req)
	}
	c.watch(call.due)
}

// opaque is that of the request at pos. Those in flight differ, and none is zero;
// they have five digits, which the server repeats.
func opaque(pos uint64) uint32 { return uint32(pos&0xffff) + 10000 }

// take hands the pending bytes to the writer, call, which adds extra bytes of
// its own. The caller holds the turn and mu.
func (c *Conn) take(call *Call, extra int) (buf []byte, blocking bool) {
	buf, c.pending, c.spare = c.pending, c.spare[:0], nil
	c.owed += len(buf) + extra
	blocking = c.owed > quietBytes || c.stuck
	c.writer, c.evicted, c.stuck = call, false, false
	c.writes++
	c.watch(call.due) // another may have written the call, and it may be done
	if c.taken.Store(c.queue.end()); c.queue.len() > 1 {
		c.alone.Store(0)
	} else if c.alone.Load() < loneFlushes { // no further: it would go round
		c.alone.Add(1)
	}
	c.signalRoom()
	return buf, blocking
}

// send writes what an interrupted writer left, then buf, then the value with
// its tail. An interrupt leaves the rest to the next writer, in a copy. The
// caller holds the turn; it is released.
func (c *Conn) send(ctx context.Context, call *Call, buf, value []byte, blocking bool) {
	if blocking && ctx.Done() != nil {
		stop := c.watchWriter(ctx, call)
		defer stop()
	}
	if blocking {
		c.timeWrite()
	}
	err := c.sendAll(buf, value)
	if blocking {
		c.out.slowly.Stop()
	}

	c.mu.Lock()
	c.writer, c.slow = nil, false
	c.stuck = c.out.unsent != nil
	c.unpokeWrite()
	if cap(buf) <= 2*maxPending {
		c.spare = buf[:0]
	}
	var next *Call
	if err == nil && c.mustFlush() {
		next = c.fillRoles()
	}
	c.releaseTurn()
	c.mu.Unlock()
	next.rouse()
	if err != nil {
		c.fail(lost(err))
	}
}

// timeWrite has somebody read if the write that begins takes long. The caller
// holds the turn.
func (c *Conn) timeWrite() {
	if c.out.slowly == nil {
		c.out.slowly = time.AfterFunc(patience, c.writesSlowly)
		return
	}
	c.out.slowly.Reset(patience)
}

// sendAll writes until all is written or the writer has to leave.
func (c *Conn) sendAll(buf, value []byte) error {
	c.out.bufs = c.out.vec[:0]
	if c.out.unsent != nil {
		c.out.bufs = append(c.out.bufs, c.out.unsent)
		c.out.unsent = nil
	}
	if len(buf) > 0 {
		c.out.bufs = append(c.out.bufs, buf)
	}
	if value != nil {
		c.out.bufs = append(c.out.bufs, value, c.tail)
	}
	for len(c.out.bufs) > 0 {
		var err error
		if len(c.out.bufs) == 1 {
			err = c.sendOne()
		} else {
			_, err = c.out.bufs.WriteTo(c.nc)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.sealed {
			return err // TLS does not go on after an interrupted write
		}
		if c.mustLeave() {
			c.out.unsent = slices.Concat(c.out.bufs...)
			c.out.bufs, c.out.vec = nil, [4][]byte{}
			return nil
		}
	}
	return nil
}

// sendOne writes the only buffer of out, without the detour of net.Buffers.
func (c *Conn) sendOne() error {
	n, err := c.socket.write(c.out.bufs[0])
	if err == nil {
		c.out.vec, c.out.bufs = [4][]byte{}, nil
		return nil
	}
	c.out.bufs[0] = c.out.bufs[0][n:]
	return err
}
