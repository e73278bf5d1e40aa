package memcache

import (
	"context"
	"time"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Get returns the item of key, or ErrMiss. The Value is the caller's.
func (c *Client) Get(ctx context.Context, key string) (Item, error) {
	return c.get(ctx, "Get", key, nil)
}

// GetInto is Get with memory for the value: Value lies at the front of buf if it
// fits (the capacity counts, not the length), and is allocated otherwise. Until
// GetInto returns, all of buf's capacity may be written to; after that nothing
// is, however it ended.
func (c *Client) GetInto(ctx context.Context, key string, buf []byte) (Item, error) {
	return c.get(ctx, "GetInto", key, buf)
}

func (c *Client) get(ctx context.Context, op, key string, buf []byte) (Item, error) {
	call := c.core.call(proto.OpGet, key)
	call.Buf = buf
	call, err := c.do(ctx, op, call)
	if err != nil {
		return Item{}, err
	}
	return c.core.found(call), nil
}

// GetAndTouch returns the item of key and gives it a new TTL (see Item.TTL), in
// one step. ErrMiss. Servers before 1.5 lack it with Classic and Text.
func (c *Client) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (Item, error) {
	call := c.core.call(proto.OpGetAndTouch, key)
	call.Req.Exptime = exptime(ttl)
	call, err := c.do(ctx, "GetAndTouch", call)
	if err != nil {
		return Item{}, err
	}
	return c.core.found(call), nil
}

// HeadAndTouch is GetAndTouch without the value: Value is nil. Classic transfers
// it all the same.
func (c *Client) HeadAndTouch(ctx context.Context, key string, ttl time.Duration) (Item, error) {
	call := c.core.call(proto.OpGetAndTouch, key)
	call.Req.Exptime, call.Req.NoValue = exptime(ttl), true
	call, err := c.do(ctx, "HeadAndTouch", call)
	if err != nil {
		return Item{}, err
	}
	call.Value = nil
	return c.core.found(call), nil
}

// found returns the item that call has found, and frees it.
func (co *core) found(call *node.Call) Item {
	rep := &call.Rep
	item := Item{Key: call.Req.Key, Value: call.Value, Flags: rep.Flags, Left: left(rep.TTL), CAS: rep.CAS, origin: call.Origin}
	co.free(call)
	return item
}

// left is a reply's TTL as in Item.Left.
func left(ttl int64) time.Duration {
	switch {
	case ttl == proto.TTLNone:
		return -1
	case ttl < 0:
		return 0
	}
	return time.Duration(max(ttl, 1)) * time.Second
}
