package memcache

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Delete deletes the item of key. ErrMiss.
func (c *Client) Delete(ctx context.Context, key string) error {
	_, err := c.change(ctx, "Delete", proto.Request{Op: proto.OpDelete, Key: key}, node.Origin{})
	return err
}

// DeleteCAS deletes the item of key if cas is still its CAS, else it returns
// ErrCASConflict; ErrMiss if there is none. A cas of 0 is never that of an item.
// Classic lacks it: ErrUnsupported. CompareAndDelete is safer: a number alone does
// not tell whether the server was restarted since it was read.
func (c *Client) DeleteCAS(ctx context.Context, key string, cas uint64) error {
	return c.deleteCAS(ctx, "DeleteCAS", key, cas, node.Origin{})
}

// CompareAndDelete deletes item if its CAS is still that of the item there: what
// CompareAndSwap is to Set. It looks at Key and CAS only. Classic lacks it:
// ErrUnsupported.
func (c *Client) CompareAndDelete(ctx context.Context, item *Item) error {
	if item == nil {
		return errNilItem
	}
	return c.deleteCAS(ctx, "CompareAndDelete", item.Key, item.CAS, item.origin)
}

func (c *Client) deleteCAS(ctx context.Context, op, key string, cas uint64, origin node.Origin) error {
	if cas == 0 {
		return ErrCASConflict
	}
	_, err := c.change(ctx, op, proto.Request{Op: proto.OpDelete, Key: key, CAS: cas}, origin)
	return err
}

// Touch gives the item of key a new TTL (see Item.TTL). ErrMiss.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	_, err := c.change(ctx, "Touch", proto.Request{Op: proto.OpTouch, Key: key, Exptime: exptime(ttl)}, node.Origin{})
	return err
}

// Increment adds delta to the item of key, a decimal number, and returns the
// sum, modulo 2^64. The TTL stays. ErrMiss, ErrNotNumber.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.change(ctx, "Increment", proto.Request{Op: proto.OpIncrement, Key: key, Delta: delta}, node.Origin{})
}

// Decrement subtracts delta from the item of key, a decimal number, and returns
// the difference; it ends at 0. The TTL stays. ErrMiss, ErrNotNumber. In memcached
// the item keeps its length: 9, down from 10, is read as "9 ".
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.change(ctx, "Decrement", proto.Request{Op: proto.OpDecrement, Key: key, Delta: delta}, node.Origin{})
}

// IncrementOr is Increment, but where there is no item it stores initial with
// ttl, without adding delta, and returns initial. An item that is there keeps its
// TTL. ErrNotNumber.
//
// Classic takes up to three steps, none of which loses another caller's change.
func (c *Client) IncrementOr(ctx context.Context, key string, delta, initial uint64, ttl time.Duration) (uint64, error) {
	req := proto.Request{Op: proto.OpIncrement, Create: true, Key: key, Delta: delta, Initial: initial, Exptime: exptime(ttl)}
	if req.Exptime == expired {
		// Binary has another meaning for -1 here: not to store at all.
		req.Exptime = longAgo
	}
	n, err := c.change(ctx, "IncrementOr", req, node.Origin{})
	if errors.Is(err, ErrUnsupported) {
		return c.addOrIncrement(ctx, key, delta, initial, ttl)
	}
	return n, err
}

// longAgo is a date in January 1970 as an exptime.
const longAgo = maxRelative + 1

// addOrIncrement is IncrementOr for servers that lack it. The item may come and
// go between its steps, but hardly time and again.
func (c *Client) addOrIncrement(ctx context.Context, key string, delta, initial uint64, ttl time.Duration) (uint64, error) {
	for range 8 {
		n, err := c.Increment(ctx, key, delta)
		if err != ErrMiss {
			return n, err
		}
		err = c.Add(ctx, &Item{Key: key, Value: strconv.AppendUint(nil, initial, 10), TTL: ttl})
		if err != ErrNotStored {
			return initial, err
		}
	}
	return 0, ErrNotStored
}

// change carries out a request without a value and returns the number in the
// answer, if it has one.
func (c *Client) change(ctx context.Context, op string, req proto.Request, origin node.Origin) (uint64, error) {
	f, err := c.do(ctx, op, c.core.call(req), origin)
	if err != nil {
		return 0, err
	}
	n := f.Call.Rep.Number
	c.core.free(f.Call)
	return n, nil
}
