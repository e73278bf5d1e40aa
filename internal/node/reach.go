package node

import "context"

// Reach tries to connect to a node that is down, whatever is left of the pause
// before the next probe, and returns nil if the node is up then. Callers that
// come at the same time share one attempt, which DialTimeout bounds; ctx bounds
// the wait for it. A node that is up is left alone.
func (n *Node) Reach(ctx context.Context) error {
	if n.closed.Load() {
		return ErrClosed
	}
	for i := range n.slots {
		s := &n.slots[i]
		if n.Healthy() || s.living() != nil {
			continue
		}
		underWay, err := n.reach(ctx, s)
		if err != nil && underWay {
			// It began before this call, and the server may have come up since.
			_, err = n.reach(ctx, s)
		}
		return err
	}
	if !n.Healthy() {
		n.recovered() // every connection lives
	}
	return nil
}

// reach waits for a dial for s, and tells whether that was under way already.
func (n *Node) reach(ctx context.Context, s *slot) (underWay bool, err error) {
	s.mu.Lock()
	underWay = s.dial != nil
	s.mu.Unlock()
	_, attempt := n.dial(s)
	if attempt == nil {
		return underWay, nil // connected since
	}
	select {
	case <-attempt.done:
		return underWay, attempt.err
	case <-ctx.Done():
		return underWay, ctx.Err()
	}
}

// Healthy tells whether the node takes operations. Unlike Up it starts nothing.
func (n *Node) Healthy() bool { return n.down.Load() == nil }
