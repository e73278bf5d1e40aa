package memcache

import (
	"context"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Set stores item whatever is there. Like all stores it sets item.CAS to that
// of the new version, or to 0 where the protocol does not tell it, and does not
// keep item or its Value after it has returned.
func (c *Client) Set(ctx context.Context, item *Item) error {
	return c.store(ctx, "Set", proto.OpSet, item)
}

// Add stores item if there is none of its key, else it returns ErrNotStored.
func (c *Client) Add(ctx context.Context, item *Item) error {
	return c.store(ctx, "Add", proto.OpAdd, item)
}

// Replace stores item if there is one of its key, else it returns ErrNotStored.
func (c *Client) Replace(ctx context.Context, item *Item) error {
	return c.store(ctx, "Replace", proto.OpReplace, item)
}

// Append adds item's Value behind that of the item there, which keeps its Flags
// and TTL. ErrNotStored if there is none.
func (c *Client) Append(ctx context.Context, item *Item) error {
	return c.store(ctx, "Append", proto.OpAppend, item)
}

// Prepend adds item's Value before that of the item there, which keeps its Flags
// and TTL. ErrNotStored if there is none.
func (c *Client) Prepend(ctx context.Context, item *Item) error {
	return c.store(ctx, "Prepend", proto.OpPrepend, item)
}

// CompareAndSwap stores item if its CAS is still that of the item there, else it
// returns ErrCASConflict; ErrMiss if there is none. A CAS of 0 is never that of
// an item. See "Compare and swap" in the package's documentation.
func (c *Client) CompareAndSwap(ctx context.Context, item *Item) error {
	if err := c.core.checkItem(item); err != nil {
		return err
	}
	if item.CAS == 0 {
		return ErrCASConflict
	}
	call := c.core.put(proto.OpSet, item)
	call.Req.CAS, call.Origin = item.CAS, item.origin
	call, err := c.do(ctx, "CompareAndSwap", call)
	if err != nil {
		return err
	}
	item.stored(call)
	c.core.free(call)
	return nil
}

// store carries out the stores of one item that ask for no CAS.
func (c *Client) store(ctx context.Context, op string, code proto.Op, item *Item) error {
	if err := c.core.checkItem(item); err != nil {
		return err
	}
	call, err := c.do(ctx, op, c.core.put(code, item))
	if err != nil {
		return err
	}
	item.stored(call)
	c.core.free(call)
	return nil
}

// put returns a call that stores item.
func (co *core) put(code proto.Op, item *Item) *node.Call {
	call := co.call(code, item.Key)
	item.fill(&call.Req)
	return call
}

// checkItem refuses items that no server is to see.
func (co *core) checkItem(item *Item) error {
	switch {
	case item == nil:
		return errNilItem
	case len(item.Key)+len(item.Value) > co.cfg.MaxItemSize:
		return ErrTooLarge
	}
	return nil
}

// fill makes req one that stores item.
func (item *Item) fill(req *proto.Request) {
	req.Key, req.Value, req.Flags, req.Exptime = item.Key, item.Value, item.Flags, exptime(item.TTL)
}

// stored gives item the CAS of the version that call has made of it.
func (item *Item) stored(call *node.Call) {
	item.CAS, item.origin = call.Rep.CAS, call.Origin
}
