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
	_, err := c.change(ctx, "Delete", c.core.call(proto.OpDelete, key))
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
	call := c.core.call(proto.OpDelete, key)
	call.Req.CAS, call.Origin = cas, origin
	_, err := c.change(ctx, op, call)
	return err
}

// Touch gives the item of key a new TTL (see Item.TTL). ErrMiss.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	call := c.core.call(proto.OpTouch, key)
	call.Req.Exptime = exptime(ttl)
	_, err := c.change(ctx, "Touch", call)
	return err
}

// Increment adds delta to the item of key, a decimal number, and returns the
// sum, modulo 2^64. The TTL stays. ErrMiss, ErrNotNumber.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	call := c.core.call(proto.OpIncrement, key)
	call.Req.Delta = delta
	return c.change(ctx, "Increment", call)
}

// Decrement subtracts delta from the item of key, a decimal number, and returns
// the difference; it ends at 0. The TTL stays. ErrMiss, ErrNotNumber. In memcached
// the item keeps its length: 9, down from 10, is read as "9 ".
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	call := c.core.call(proto.OpDecrement, key)
	call.Req.Delta = delta
	return c.change(ctx, "Decrement", call)
}

// IncrementOr is Increment, but where there is no item it stores initial with
// ttl, without adding delta, and returns initial. An item that is there keeps its
// TTL. ErrNotNumber.
//
// Classic takes several steps, none of which loses another caller's change, and
// gives up with ErrNotStored when the item comes and goes time and again.
func (c *Client) IncrementOr(ctx context.Context, key string, delta, initial uint64, ttl time.Duration) (uint64, error) {
	call := c.core.call(proto.OpIncrement, key)
	call.Req.Create, call.Req.Delta, call.Req.Initial, call.Req.Exptime = true, delta, initial, exptime(ttl)
	n, err := c.change(ctx, "IncrementOr", call)
	if errors.Is(err, ErrUnsupported) {
		return c.addOrIncrement(ctx, key, delta, initial, ttl)
	}
	return n, err
}

// addOrIncrement is IncrementOr for servers that lack it.
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
func (c *Client) change(ctx context.Context, op string, call *node.Call) (uint64, error) {
	call, err := c.do(ctx, op, call)
	if err != nil {
		return 0, err
	}
	n := call.Rep.Number
	c.core.free(call)
	return n, nil
}
