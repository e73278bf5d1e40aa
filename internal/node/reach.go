package node

import "context"

// Reach tries to connect to a node that is down, whatever is left of the pause
// before the next probe, and returns nil if the node is up then. Callers share
// attempts: who comes while one is under way waits for it, and then for one more,
// the same for all that came, because the server may have come up since the first
// began. DialTimeout bounds an attempt, ctx the wait. A node that is up is left
// alone.
func (n *Node) Reach(ctx context.Context) error {
	if n.closed.Load() {
		return ErrClosed
	}
	for i := range n.slots {
		s := &n.slots[i]
		if !n.Healthy() && s.living() == nil {
			return n.reach(ctx, s)
		}
	}
	if !n.Healthy() {
		n.recovered() // every connection lives
	}
	return nil
}

// reach waits until s has a connection, or for a dial that has begun after the
// call and failed.
func (n *Node) reach(ctx context.Context, s *slot) error {
	s.mu.Lock()
	before := s.begun
	s.mu.Unlock()
	for {
		d := n.dialAfter(s, before)
		if d == nil {
			n.recovered() // s is connected; its dial may not have said so yet
			return nil
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if d.err == nil || d.number > before {
			return d.err
		}
	}
}

// dialAfter returns a dial for s that tells how things are after the one of that
// number: it has begun later, or is under way. It is nil if s has a connection.
func (n *Node) dialAfter(s *slot, number uint64) *dial {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.living() == nil && s.dial == nil && s.ended != nil && s.ended.number > number {
		return s.ended
	}
	_, d := n.dialLocked(s)
	return d
}

// Healthy tells whether the node takes operations. Unlike Up it starts nothing.
func (n *Node) Healthy() bool { return n.down.Load() == nil }
