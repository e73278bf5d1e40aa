package memcache

import (
	"context"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// GetMulti returns what was found of keys, and a *MultiError for the keys that
// are not valid or whose node failed. Absent keys are no error.
//
// Like all operations over many keys it asks the nodes in parallel, each for up
// to 100 keys with one request.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]Item, error) {
	found := make(map[string]Item, len(keys))
	b := batch[string]{
		c: c, op: "GetMulti", chunk: maxChunk, key: itself, check: proto.CheckKey,
		fill: func(req *proto.Request, keys []string) { req.Op, req.Keys = proto.OpGetMulti, keys },
		answer: func(keys []string, call *node.Call, err error) ([]string, error) {
			for _, hit := range call.Items {
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
		},
	}
	err := b.run(ctx, keys)
	return found, err
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
