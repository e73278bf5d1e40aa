package memcache

import (
	"context"
	"time"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Get returns the item of key, or ErrMiss. The Value is the caller's.
func (c *Client) Get(ctx context.Context, key string) (Item, error) {
	return c.fetch(ctx, "Get", proto.Request{Op: proto.OpGet, Key: key}, nil)
}

// GetInto is Get with memory for the value: Value lies at the front of buf, if
// buf has room for two bytes more than it (its length does not matter), and is
// allocated otherwise. After an error buf may hold anything.
func (c *Client) GetInto(ctx context.Context, key string, buf []byte) (Item, error) {
	return c.fetch(ctx, "GetInto", proto.Request{Op: proto.OpGet, Key: key}, buf)
}

// GetAndTouch returns the item of key and gives it a new TTL (see Item.TTL), in
// one step. ErrMiss. Servers before 1.5 lack it with Classic and Text.
func (c *Client) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (Item, error) {
	return c.fetch(ctx, "GetAndTouch", proto.Request{Op: proto.OpGetAndTouch, Key: key, Exptime: exptime(ttl)}, nil)
}

// HeadAndTouch is GetAndTouch without the value: Value is nil. Classic and
// Binary transfer it all the same.
func (c *Client) HeadAndTouch(ctx context.Context, key string, ttl time.Duration) (Item, error) {
	item, err := c.fetch(ctx, "HeadAndTouch", proto.Request{Op: proto.OpGetAndTouch, NoValue: true, Key: key, Exptime: exptime(ttl)}, nil)
	item.Value = nil
	return item, err
}

// fetch carries out a read of one key.
func (c *Client) fetch(ctx context.Context, op string, req proto.Request, buf []byte) (Item, error) {
	call := c.core.call(req)
	call.Buf = buf
	f, err := c.do(ctx, op, call, node.Origin{})
	if err != nil {
		return Item{}, err
	}
	rep := &f.Call.Rep
	item := Item{Key: req.Key, Value: f.Call.Value, Flags: rep.Flags, Left: left(rep.TTL), CAS: rep.CAS, origin: f.Origin}
	c.core.free(f.Call)
	return item, nil
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
