package memcache_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/ring"
)

// What follows is the published interface: programs elsewhere are written
// against these names and signatures. It does not compile if one of them
// changes; additions are free.

var (
	_ func(memcache.Config) (*memcache.Client, error) = memcache.New

	_ interface {
		Close() error
		On(nodeID string) *memcache.Client
		Ring() *ring.Ring
		SetRing(r *ring.Ring) error
		Get(ctx context.Context, key string) (memcache.Item, error)
		GetInto(ctx context.Context, key string, buf []byte) (memcache.Item, error)
		GetAndTouch(ctx context.Context, key string, ttl time.Duration) (memcache.Item, error)
		GetMulti(ctx context.Context, keys []string) (map[string]memcache.Item, error)
		Set(ctx context.Context, item *memcache.Item) error
		Add(ctx context.Context, item *memcache.Item) error
		Replace(ctx context.Context, item *memcache.Item) error
		Append(ctx context.Context, item *memcache.Item) error
		Prepend(ctx context.Context, item *memcache.Item) error
		CompareAndSwap(ctx context.Context, item *memcache.Item) error
		SetMulti(ctx context.Context, items []*memcache.Item) error
		DeleteMulti(ctx context.Context, keys []string) error
		Delete(ctx context.Context, key string) error
		DeleteCAS(ctx context.Context, key string, cas uint64) error
		Touch(ctx context.Context, key string, ttl time.Duration) error
		Increment(ctx context.Context, key string, delta uint64) (uint64, error)
		Decrement(ctx context.Context, key string, delta uint64) (uint64, error)
		Ping(ctx context.Context) error
		Version(ctx context.Context) (map[string]string, error)
		ServerStats(ctx context.Context, section string) (map[string]map[string]string, error)
		FlushAll(ctx context.Context) error
		Stats() memcache.Stats
	} = (*memcache.Client)(nil)

	_ = memcache.Config{
		Nodes: "", Ring: (*ring.Ring)(nil), Protocol: memcache.Text, Conns: int(0),
		Timeout: time.Duration(0), DialTimeout: time.Duration(0), MaxItemSize: int(0),
		Username: "", Password: "", TLS: (*tls.Config)(nil),
		DialContext: (func(ctx context.Context, network, addr string) (net.Conn, error))(nil),
		Failover:    memcache.None, Logger: (*slog.Logger)(nil),
	}
	_ = memcache.Item{Key: "", Value: []byte(nil), Flags: uint32(0), TTL: time.Duration(0), CAS: uint64(0)}

	_ = [...]error{
		memcache.ErrMiss, memcache.ErrNotStored, memcache.ErrCASConflict, memcache.ErrNotNumber, memcache.ErrKey,
		memcache.ErrTooLarge, memcache.ErrNodeDown, memcache.ErrNoNodes, memcache.ErrClosed, memcache.ErrProtocol,
		memcache.ErrAuth, memcache.ErrUnsupported,
		&memcache.OpError{Op: "", Node: "", Err: error(nil)}, &memcache.ServerError{Line: ""},
		&memcache.MultiError{Errs: map[string]error(nil)},
	}
	_ interface{ Unwrap() error }   = (*memcache.OpError)(nil)
	_ interface{ Unwrap() []error } = (*memcache.MultiError)(nil)

	_ func() *memcachetest.Server                     = memcachetest.NewServer
	_ func(addr string) (*memcachetest.Server, error) = memcachetest.Start

	_ interface {
		Addr() string
		Close()
		SetFault(f memcachetest.Fault)
	} = (*memcachetest.Server)(nil)

	_ = memcachetest.Fault{
		Refuse: false, Hang: false, Reset: false, Delay: time.Duration(0),
		Truncate: int(0), Duplicate: false, Fail: "",
	}
)

// The zero values are the defaults, and the others count on from there: an index
// out of range does not compile.
var _ = [...]int{
	[1]int{}[memcache.Text-0], [1]int{}[memcache.Classic-1], [1]int{}[memcache.Meta-2], [1]int{}[memcache.Binary-3],
	[1]int{}[memcache.None-0], [1]int{}[memcache.NextNode-1],
}

// TestZeroConfig: what the zero value of a field means is what is documented.
func TestZeroConfig(t *testing.T) {
	for name, tt := range map[string]struct{ got, want any }{
		"Timeout":     {memcache.DefaultTimeout, time.Second},
		"DialTimeout": {memcache.DefaultDialTimeout, time.Second},
		"MaxItemSize": {memcache.DefaultMaxItemSize, 1<<20 - 1<<10},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", name, tt.got, tt.want)
		}
	}
	if n := reflect.TypeFor[memcache.Config]().NumField(); n > 20 {
		t.Errorf("Config has %d fields, want 20 at most", n)
	}
}
