package mux

import (
	"context"
	"sync"
	"time"
)

// roles says who does what. There are two roles on a connection, the reader's
// and the writer's, and their holders are callers. A role that comes to be
// vacant is taken by a caller that is running and looks for it (Wait), by one
// that sleeps and is woken for it (appoint), or by a goroutine (standIn), while
// no caller can.
type roles struct {
	reader    *Call // who holds the reader's role
	writer    *Call // who is writing
	writes    int   // how often somebody has begun to write
	evicted   bool  // writer has to leave
	flushing  bool  // a caller has undertaken to write pending
	stuck     bool  // output.unsent is not empty, and nobody is writing it
	appointed *Call // who was woken to take a role and has not run yet
	poked     poke  // deadlines left in the past by an interrupt

	heldUp   int  // callers that wait for room, or to write, beyond patience
	slow     bool // writer writes beyond patience, with calls in flight before its own
	standIns sync.WaitGroup

	// drainer and sweeper stand in for callers as reader and writer while those
	// in the queue have left, or are held up. They are never in the queue.
	drainer, sweeper Call
}

// mustFlush tells whether there are bytes to write that nobody has undertaken
// to write. The caller holds mu.
func (c *Conn) mustFlush() bool {
	return !c.flushing && c.writer == nil && (len(c.pending) > 0 || c.stuck)
}

// fillRoles is called when a role may have come to be vacant. It returns a
// caller to wake for it, if any: the caller of fillRoles, who holds mu, sends the
// token (rouse) after unlocking.
func (c *Conn) fillRoles() *Call {
	if call := c.appoint(); call != nil {
		return call
	}
	if c.appointed == nil && (c.heldUp > 0 || c.slow || c.queue.hasTombstone()) {
		c.standIn()
	}
	return nil
}

// holdUp counts a caller that waits for something beyond patience, or that does
// so no longer. What it waits for may be waiting for the answers to its own
// earlier calls: a server reads no more while nobody takes what it has to say.
func (c *Conn) holdUp(n int) {
	c.mu.Lock()
	c.heldUp += n
	next := c.fillRoles()
	c.mu.Unlock()
	next.rouse()
}

// writesSlowly is holdUp for the caller that is writing.
func (c *Conn) writesSlowly() {
	c.mu.Lock()
	c.slow = c.writer != nil && c.queue.len() > 1
	next := c.fillRoles()
	c.mu.Unlock()
	next.rouse()
}

// appoint finds a waiting caller for a role that nobody holds. The caller holds
// mu, and sends the token after unlocking. Until the appointed one runs,
// somebody who is running may take the role: the appointed one then goes to
// sleep again.
func (c *Conn) appoint() *Call {
	if c.reader != nil && !c.mustFlush() || c.appointed != nil {
		return nil
	}
	call := c.queue.firstWaiting()
	if call != nil {
		call.state = started
		c.appointed = call
	}
	return call
}

// standIn starts goroutines for the roles that are vacant. The callers in the
// queue have left, or are held up elsewhere. The caller holds mu.
func (c *Conn) standIn() {
	if c.err != nil || c.queue.len() == 0 {
		return
	}
	if c.reader == nil {
		c.reader = &c.drainer
		// Ends when the queue is empty, when a caller waits and takes over, or
		// with the connection, which the watchdog sees to.
		c.standIns.Go(func() { c.read(&c.drainer) })
	}
	if c.mustFlush() {
		c.flushing = true
		c.sweeper.quit, c.sweeper.began = nil, time.Now()
		c.sweeper.due = c.sweeper.began.Add(c.cfg.Timeout)
		// Ends when the bytes are written, or when the watchdog interrupts it.
		c.standIns.Go(func() { c.flush(context.Background(), &c.sweeper) })
	}
}
