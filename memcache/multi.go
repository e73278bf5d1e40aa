package memcache

import (
	"context"
	"slices"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// GetMulti returns what was found of keys, and a *MultiError for the keys that
// are not valid or whose node failed. Absent keys are no error.
//
// Like all operations over many keys it asks the nodes in parallel, each for up
// to 100 keys with one request.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]Item, error) {
	found := make(items, len(keys))
	t := c.core.topology.Load()
	n := c.ofAllKeys(t)
	if n == nil || len(keys) > maxChunk || c.core.cfg.Observe != nil || !areKeys(keys) {
		return found, c.getBatch(found).run(ctx, keys)
	}
	failed, err := c.getChunk(ctx, n, keys, found)
	if err == nil {
		return found, nil
	}
	b := c.getBatch(found)
	b.failAll(t, failed, err, 0)
	return found, b.goOn(ctx, b.again, 1)
}

// items is what a GetMulti has found.
type items map[string]Item

// take adds what one request has found. It returns the keys that are left, if it
// was refused.
func (found items) take(keys []string, call *node.Call, err error) ([]string, error) {
	for i := range call.Items {
		hit := &call.Items[i]
		key := keys[hit.Index]
		found[key] = Item{Key: key, Value: hit.Value, Flags: hit.Flags, CAS: hit.CAS, origin: call.Origin}
	}
	if err == nil {
		return nil, nil
	}
	// What did come, came whole.
	var failed []string
	for _, key := range keys {
		if _, ok := found[key]; !ok {
			failed = append(failed, key)
		}
	}
	return failed, err
}

// getBatch returns the batch of a GetMulti.
func (c *Client) getBatch(found items) *batch[string] {
	return &batch[string]{
		c: c, op: "GetMulti", chunk: maxChunk, key: itself, check: proto.CheckKey,
		fill:   func(req *proto.Request, keys []string) { req.Op, req.Keys = proto.OpGetMulti, keys },
		answer: found.take,
	}
}

// getChunk asks one node for a chunk of keys. It is what a batch would do, for a
// tenth less: see Client.do for what functions cost here.
func (c *Client) getChunk(ctx context.Context, n *node.Node, keys []string, found items) (failed []string, err error) {
	call := c.core.call(proto.OpGetMulti, "")
	call.Req.Keys = slices.Clone(keys) // a connection may look at them when the caller has left
	call, err = n.Do(ctx, call)
	if err != nil {
		return keys, failure("GetMulti", n, err)
	}
	failed, err = found.take(keys, call, refusal("GetMulti", n, call))
	c.core.free(call)
	return failed, err
}

func areKeys(list []string) bool {
	for _, key := range list {
		if proto.CheckKey(key) != nil {
			return false
		}
	}
	return len(list) > 0
}

// SetMulti stores items as Set does, and returns a *MultiError for those that
// were not stored. Of several items with one key any may win.
func (c *Client) SetMulti(ctx context.Context, items []*Item) error {
	b := batch[*Item]{
		c: c, op: "SetMulti", chunk: 1,
		key: func(item *Item) string {
			if item == nil {
				return ""
			}
			return item.Key
		},
		check: func(item *Item) error {
			if err := c.core.checkItem(item); err != nil {
				return err
			}
			return proto.CheckKey(item.Key)
		},
		fill: func(req *proto.Request, items []*Item) {
			req.Op = proto.OpSet
			items[0].fill(req)
		},
		answer: func(items []*Item, call *node.Call, err error) ([]*Item, error) {
			if err == nil {
				items[0].stored(call)
			}
			return items, err
		},
	}
	return b.run(ctx, items)
}

// DeleteMulti deletes the items of keys, and returns a *MultiError for the keys
// that are not valid or whose node failed. Absent keys are no error.
func (c *Client) DeleteMulti(ctx context.Context, keys []string) error {
	b := batch[string]{
		c: c, op: "DeleteMulti", chunk: 1, key: itself, check: proto.CheckKey,
		fill: func(req *proto.Request, keys []string) { req.Op, req.Key = proto.OpDelete, keys[0] },
		answer: func(keys []string, _ *node.Call, err error) ([]string, error) {
			if err == ErrMiss {
				err = nil
			}
			return keys, err
		},
	}
	return b.run(ctx, keys)
}

func itself(key string) string { return key }
