package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/internal/mux"
)

// conn is one connection.
type conn struct {
	*mux.Conn
	slot   *slot
	number uint32 // its place among the connections made to the node, from 1
	dialect
	blamed atomic.Bool // the node is down for it
}

// slot is the place of one connection.
type slot struct {
	conn atomic.Pointer[conn] // nil: none. It may be dead

	mu     sync.Mutex // guards the following
	begun  uint64     // how many dials have begun
	dial   *dial      // under way, or nil
	ended  *dial      // the last one that is over, or nil
	pause  backoff    // of dials that nobody waits for
	closed bool
}

// dial is an attempt to make a connection.
type dial struct {
	number uint64 // its place among those of its slot, from 1
	cancel context.CancelFunc
	done   chan struct{} // closed when conn or err is set
	conn   *conn
	err    error
}

// pick returns a connection with a number up to newest, or nil: the first one,
// unless it is crowded, and the last one for what is large. The others are there
// for the crowd only.
func (n *Node) pick(newest uint32, large bool) *conn {
	if large {
		if c := n.lane(); c != nil && c.number <= newest {
			return c
		}
	}
	var best *conn
	var empty *slot
	least := 0
	for i := range n.slots {
		s := &n.slots[i]
		c := s.conn.Load()
		switch {
		case c == nil:
			empty = s
		case c.number <= newest:
			load := c.InFlight()
			if load < crowd {
				return c
			}
			if best == nil || load < least {
				best, least = c, load
			}
		}
	}
	if best != nil && empty != nil {
		n.widen(empty)
	}
	return best
}

// lane returns the last connection. If it is not there but others are, it will
// be some time.
func (n *Node) lane() *conn {
	s := &n.slots[len(n.slots)-1]
	c := s.conn.Load()
	if c == nil && n.slots[0].conn.Load() != nil {
		n.widen(s)
	}
	return c
}

// connect gives call another connection than the one it has, if any: made since,
// unless the request must not go over a younger one.
func (n *Node) connect(ctx context.Context, call *Call) error {
	if call.newest != anyAge {
		if call.conn = n.pick(call.newest, false); call.conn == nil {
			return ErrYounger
		}
		return nil
	}
	if err := n.refusal(); err != nil {
		return err
	}
	s := &n.slots[0]
	if call.conn != nil {
		s = call.conn.slot
	}
	c, d := n.dial(s)
	if d == nil {
		call.conn = c
		return nil
	}
	if call.Began.IsZero() {
		call.Began = time.Now()
	}
	timer := time.NewTimer(time.Until(call.Began.Add(n.cfg.Timeout)))
	defer timer.Stop()
	select {
	case <-d.done:
		call.conn = d.conn
		return d.err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return mux.ErrTimeout
	}
}

// widen sees to it that an empty slot gets a connection some time.
func (n *Node) widen(s *slot) {
	s.mu.Lock()
	due := s.dial == nil && s.pause.over()
	s.mu.Unlock()
	if due {
		n.dial(s)
	}
}

// dial returns the connection of s, or else the dial that is to bring it.
func (n *Node) dial(s *slot) (*conn, *dial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.dialLocked(s)
}

// dialLocked is dial for a caller that holds the slot's mu.
func (n *Node) dialLocked(s *slot) (*conn, *dial) {
	if c := s.living(); c != nil {
		return c, nil
	}
	if s.dial != nil {
		return nil, s.dial
	}
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.DialTimeout)
	s.begun++
	d := &dial{number: s.begun, cancel: cancel, done: make(chan struct{})}
	if s.closed {
		cancel()
		d.err = ErrClosed
		close(d.done)
		return nil, d
	}
	s.dial = d
	// Ended by DialTimeout, or by Close, which cancels it and waits for done.
	go n.runDial(ctx, s, d)
	return nil, d
}

// runDial carries out d.
func (n *Node) runDial(ctx context.Context, s *slot, d *dial) {
	defer close(d.done)
	defer d.cancel()
	mc, dialect, err := n.open(ctx)

	s.mu.Lock()
	s.dial, s.ended = nil, d
	var unwanted *mux.Conn
	switch {
	case s.closed:
		unwanted, err = mc, ErrClosed
	case err == nil:
		d.conn = &conn{Conn: mc, slot: s, number: n.dials.Add(1), dialect: dialect}
		s.conn.Store(d.conn)
		s.pause = backoff{}
	default:
		s.pause.extend()
		err = &downError{err}
	}
	d.err = err
	s.mu.Unlock()
	if unwanted != nil {
		unwanted.Close(err)
	}
	n.dialled(err)
}

// drop frees the place of a connection that has died.
func (c *conn) drop() {
	if c.Err() != nil {
		c.slot.conn.CompareAndSwap(c, nil)
	}
}

// blame is drop for a connection on which a caller has waited in vain: if it got
// no answer, nor will others. What died after its callers had left says nothing
// of now.
func (n *Node) blame(c *conn) {
	c.drop()
	cause := c.Err()
	if errors.Is(cause, mux.ErrStalled) && c.slot.living() == nil && !c.blamed.Swap(true) {
		n.fail(&downError{cause})
	}
}

// living returns the connection of s unless it has died.
func (s *slot) living() *conn {
	if c := s.conn.Load(); c != nil && c.Err() == nil {
		return c
	}
	return nil
}

// alive returns the number of connections that have not died.
func (n *Node) alive() (count int) {
	for i := range n.slots {
		if n.slots[i].living() != nil {
			count++
		}
	}
	return count
}

// stop ends the dial under way and lets the connection die when it is idle.
func (s *slot) stop() {
	s.mu.Lock()
	s.closed = true
	d := s.dial
	s.mu.Unlock()
	if d != nil {
		d.cancel()
		<-d.done
	}
	if c := s.conn.Load(); c != nil {
		c.CloseIdle(ErrClosed)
	}
}
