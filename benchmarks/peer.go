package main

import (
	"context"
	"strings"
	"time"

	bradfitz "github.com/bradfitz/gomemcache/memcache"
	grafana "github.com/grafana/gomemcache/memcache"
	mc "github.com/memcachier/mc/v3"
	rainycape "github.com/rainycape/memcache"
)

// peerTimeout is one for all: long enough that a busy machine causes none.
const peerTimeout = 5 * time.Second

// gomemcache is bradfitz/gomemcache, the client that the ratios refer to: as
// many idle connections as there are goroutines, as its documentation says.
type gomemcache struct{ c *bradfitz.Client }

func openGomemcache(addrs []string, goroutines int) (client, error) {
	c := bradfitz.New(addrs...)
	c.MaxIdleConns = goroutines
	c.Timeout = peerTimeout
	return gomemcache{c}, nil
}

func (g gomemcache) get(key string) ([]byte, error) {
	item, err := g.c.Get(key)
	if err == bradfitz.ErrCacheMiss {
		return nil, errMiss
	}
	if err != nil {
		return nil, err
	}
	return item.Value, nil
}

func (g gomemcache) set(key string, value []byte) error {
	return g.c.Set(&bradfitz.Item{Key: key, Value: value})
}

func (g gomemcache) getMulti(keys []string) (int, error) {
	items, err := g.c.GetMulti(keys)
	return len(items), err
}

func (g gomemcache) close() { g.c.Close() }

// grafanaClient is grafana/gomemcache, Grafana's fork of gomemcache.
type grafanaClient struct{ c *grafana.Client }

func openGrafana(addrs []string, goroutines int) (client, error) {
	c := grafana.New(addrs...)
	c.MaxIdleConns = goroutines
	c.Timeout, c.ConnectTimeout = peerTimeout, peerTimeout
	return grafanaClient{c}, nil
}

func (g grafanaClient) get(key string) ([]byte, error) {
	item, err := g.c.Get(key)
	if err == grafana.ErrCacheMiss {
		return nil, errMiss
	}
	if err != nil {
		return nil, err
	}
	return item.Value, nil
}

func (g grafanaClient) set(key string, value []byte) error {
	return g.c.Set(&grafana.Item{Key: key, Value: value})
}

func (g grafanaClient) getMulti(keys []string) (int, error) {
	items, err := g.c.GetMulti(context.Background(), keys)
	return len(items), err
}

func (g grafanaClient) close() { g.c.Close() }

// memcachier is memcachier/mc: the binary protocol, a pool of fixed size.
type memcachier struct{ c *mc.Client }

func openMemcachier(addrs []string, goroutines int) (client, error) {
	config := mc.DefaultConfig()
	config.PoolSize = goroutines
	config.ConnectionTimeout = peerTimeout
	return memcachier{mc.NewMCwithConfig(strings.Join(addrs, ","), "", "", config)}, nil
}

func (m memcachier) get(key string) ([]byte, error) {
	value, _, _, err := m.c.Get(key)
	if err == mc.ErrNotFound {
		return nil, errMiss
	}
	return []byte(value), err
}

func (m memcachier) set(key string, value []byte) error {
	_, err := m.c.Set(key, string(value), 0, 0, 0)
	return err
}

// getMulti is left out: this client has none.
func (m memcachier) getMulti([]string) (int, error) { return 0, errUnsupported }

func (m memcachier) close() { m.c.Quit() }

// rainycapeClient is rainycape/memcache: the binary protocol, a pool.
type rainycapeClient struct{ c *rainycape.Client }

func openRainycape(addrs []string, goroutines int) (client, error) {
	c, err := rainycape.New(addrs...)
	if err != nil {
		return nil, err
	}
	c.SetMaxIdleConnsPerAddr(goroutines)
	c.SetTimeout(peerTimeout)
	return rainycapeClient{c}, nil
}

func (r rainycapeClient) get(key string) ([]byte, error) {
	item, err := r.c.Get(key)
	if err == rainycape.ErrCacheMiss {
		return nil, errMiss
	}
	if err != nil {
		return nil, err
	}
	return item.Value, nil
}

func (r rainycapeClient) set(key string, value []byte) error {
	return r.c.Set(&rainycape.Item{Key: key, Value: value})
}

func (r rainycapeClient) getMulti(keys []string) (int, error) {
	items, err := r.c.GetMulti(keys)
	return len(items), err
}

func (r rainycapeClient) close() { r.c.Close() }
