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
		_, attempt := n.dial(s)
		if attempt == nil {
			continue // connected since
		}
		select {
		case <-attempt.done:
			return attempt.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	n.recovered() // every connection lives
	return nil
}

// Healthy tells whether the node takes operations. Unlike Up it starts nothing.
func (n *Node) Healthy() bool { return n.down.Load() == nil }
