package memcache

import (
	"context"
	"errors"
	"sync"
)

// Reach tries to connect to the nodes that are down now, without the pause that
// operations leave after a failed attempt, and returns a *MultiError by node id
// for those that stay down. It leaves nodes that are up alone. Call it before
// something is decided that a node which is back already should take part in.
func (c *Client) Reach(ctx context.Context) error {
	t := c.core.topology.Load()
	nodes := c.nodes(t)
	if len(nodes) == 0 {
		return ErrNoNodes
	}
	var mu sync.Mutex // guards errs
	errs := make(map[string]error)
	inParallel(len(nodes), func(i int) {
		n := nodes[i]
		err := n.Reach(ctx)
		if err == nil || errors.Is(err, ErrClosed) && c.core.topology.Load() != t {
			return // up, or the node has left meanwhile
		}
		mu.Lock()
		defer mu.Unlock()
		errs[n.ID()] = failure("Reach", n, err)
	})
	if len(errs) == 0 {
		return nil
	}
	return &MultiError{Errs: errs}
}

// Up tells whether operations are sent to every node of the Client; on a view,
// to its node. It does no I/O and does not allocate.
func (c *Client) Up() bool {
	t := c.core.topology.Load()
	if c.view {
		n := t.nodes[c.only]
		return n != nil && n.Healthy()
	}
	for _, n := range t.nodes {
		if !n.Healthy() {
			return false
		}
	}
	return len(t.nodes) > 0
}
