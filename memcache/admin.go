package memcache

import (
	"context"
	"errors"
	"sync"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Ping asks every node for a sign of life. The error is a *MultiError by node id.
func (c *Client) Ping(ctx context.Context) error {
	return c.each(ctx, "Ping", proto.OpVersion, "", func(string, *node.Call) {})
}

// Version returns the version of every node's server, by node id, and a
// *MultiError for the nodes that did not tell it.
func (c *Client) Version(ctx context.Context) (map[string]string, error) {
	versions := make(map[string]string)
	err := c.each(ctx, "Version", proto.OpVersion, "", func(id string, call *node.Call) {
		versions[id] = call.Rep.Line
	})
	return versions, err
}

// ServerStats returns the statistics of every node's server, by node id and
// name, and a *MultiError for the nodes that did not tell them. Section is ""
// for the general ones, or as in memcached's protocol.txt: "items", "settings"
// and so on. Some sections are commands: "reset" clears the counters.
func (c *Client) ServerStats(ctx context.Context, section string) (map[string]map[string]string, error) {
	stats := make(map[string]map[string]string)
	err := c.each(ctx, "ServerStats", proto.OpStats, section, func(id string, call *node.Call) {
		stats[id] = make(map[string]string, len(call.Rep.Stats))
		for _, s := range call.Rep.Stats {
			stats[id][s.Name] = s.Value
		}
	})
	return stats, err
}

// FlushAll makes every node forget all its items. The error is a *MultiError by
// node id.
func (c *Client) FlushAll(ctx context.Context) error {
	return c.each(ctx, "FlushAll", proto.OpFlushAll, "", func(string, *node.Call) {})
}

// each sends a request to every node, in parallel, and gives the answers to
// take, one after the other.
func (c *Client) each(ctx context.Context, op string, code proto.Op, section string, take func(id string, call *node.Call)) error {
	t := c.core.topology.Load()
	nodes := c.nodes(t)
	if len(nodes) == 0 {
		return ErrNoNodes
	}
	var mu sync.Mutex // guards errs, and what take writes to
	errs := make(map[string]error)
	inParallel(len(nodes), func(i int) {
		n := nodes[i]
		call, err := c.send(ctx, op, n, c.core.call(code, section))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, ErrClosed) && c.core.topology.Load() != t:
			return // the node has left meanwhile
		case err != nil:
			errs[n.ID()] = err
			return
		}
		take(n.ID(), call)
		c.core.free(call)
	})
	if len(errs) == 0 {
		return nil
	}
	return &MultiError{Errs: errs}
}

// nodes returns the nodes of t in the order of its ring; of a view, its node.
func (c *Client) nodes(t *topology) []*node.Node {
	var nodes []*node.Node
	for _, rn := range t.ring.Nodes() {
		if !c.view || rn.ID == c.only {
			nodes = append(nodes, t.nodes[rn.ID])
		}
	}
	return nodes
}
