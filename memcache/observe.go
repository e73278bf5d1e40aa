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

// observe reports an operation that is not over many keys.
func (c *Client) observe(ctx context.Context, op string, n *node.Node, code proto.Op, begin time.Time, err error) {
	keys := 1
	switch code {
	case proto.OpVersion, proto.OpStats, proto.OpFlushAll:
		keys = 0
	}
	c.core.cfg.Observe(ctx, Operation{Name: op, Node: n.ID(), Keys: keys, Start: begin, Duration: time.Since(begin), Err: err})
}
