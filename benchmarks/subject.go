package main

import (
	"context"
	"errors"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/ring"
)

// ours is this repository's client, with its defaults: how many goroutines
// there will be, it is not told.
type ours struct{ c *memcache.Client }

// openOurs returns a constructor for one protocol.
func openOurs(protocol memcache.Protocol) func([]string, int) (client, error) {
	return func(addrs []string, _ int) (client, error) {
		nodes := make([]ring.Node, len(addrs))
		for i, addr := range addrs {
			nodes[i] = ring.Node{Addr: addr}
		}
		r, err := ring.New(ring.XXHash, nodes...)
		if err != nil {
			return nil, err
		}
		c, err := memcache.New(memcache.Config{Ring: r, Protocol: protocol, Timeout: peerTimeout})
		if err != nil {
			return nil, err
		}
		return ours{c}, nil
	}
}

func (o ours) get(key string) ([]byte, error) {
	item, err := o.c.Get(context.Background(), key)
	return item.Value, ourMiss(err)
}

func (o ours) getInto(key string, buf []byte) ([]byte, error) {
	item, err := o.c.GetInto(context.Background(), key, buf)
	return item.Value, ourMiss(err)
}

func (o ours) set(key string, value []byte) error {
	return o.c.Set(context.Background(), &memcache.Item{Key: key, Value: value})
}

func (o ours) getMulti(keys []string) (int, error) {
	items, err := o.c.GetMulti(context.Background(), keys)
	return len(items), err
}

func (o ours) close() { o.c.Close() }

func ourMiss(err error) error {
	if errors.Is(err, memcache.ErrMiss) {
		return errMiss
	}
	return err
}
