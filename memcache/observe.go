package memcache

import (
	"context"
	"time"
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

// started returns the time for the Start of an Operation, if anybody observes.
func (co *core) started() time.Time {
	if co.cfg.Observe == nil {
		return time.Time{}
	}
	return time.Now()
}

// observe reports an operation that is over.
func (co *core) observe(ctx context.Context, op Operation) {
	if co.cfg.Observe != nil {
		op.Duration = time.Since(op.Start)
		co.cfg.Observe(ctx, op)
	}
}
