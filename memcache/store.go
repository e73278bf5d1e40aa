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
	switch {
	case item == nil:
		return errNilItem
	case item.CAS == 0:
		return ErrCASConflict
	}
	return c.storeIf(ctx, "CompareAndSwap", proto.OpSet, item, item.CAS, item.origin)
}

// store carries out the stores of one item that ask for no CAS.
func (c *Client) store(ctx context.Context, op string, code proto.Op, item *Item) error {
	return c.storeIf(ctx, op, code, item, 0, node.Origin{})
}

func (c *Client) storeIf(ctx context.Context, op string, code proto.Op, item *Item, cas uint64, origin node.Origin) error {
	if err := c.core.checkItem(item); err != nil {
		return err
	}
	req := item.request(code)
	req.CAS = cas
	f, err := c.do(ctx, op, c.core.call(req), origin)
	if err != nil {
		return err
	}
	item.stored(f)
	c.core.free(f.Call)
	return nil
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

// request returns the request that stores item.
func (item *Item) request(code proto.Op) proto.Request {
	return proto.Request{Op: code, Key: item.Key, Value: item.Value, Flags: item.Flags, Exptime: exptime(item.TTL)}
}

// stored gives item the CAS of the version that f has made of it.
func (item *Item) stored(f node.Flight) {
	item.CAS, item.origin = f.Call.Rep.CAS, f.Origin
}
