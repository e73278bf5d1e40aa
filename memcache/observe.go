package memcache

import (
	"context"
	"time"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Operation is what Config.Observe learns of an operation that is over. An
// operation that went to several nodes, because it has many keys or because one
// of them was down, is reported once for each. What was refused before a node
// was chosen is not reported.
type Operation struct {
	Name     string // the method's name, as "Get"
	Node     string // the node's id
	Keys     int    // how many keys it had for that node; 0 for Ping and the like
	Start    time.Time
	Duration time.Duration
	Err      error // what the caller gets, ErrMiss and the like included; of many keys, one of the errors
}

// sendObserved is send for a Client with an Observe.
func (c *Client) sendObserved(ctx context.Context, op string, n *node.Node, call *node.Call) (*node.Call, error) {
	done := Operation{Name: op, Node: n.ID(), Start: time.Now()}
	switch call.Req.Op {
	case proto.OpVersion, proto.OpStats, proto.OpFlushAll:
	default:
		done.Keys = 1
	}
	call, err := c.exchange(ctx, op, n, call)
	done.Duration, done.Err = time.Since(done.Start), err
	c.core.cfg.Observe(ctx, done)
	return call, err
}
