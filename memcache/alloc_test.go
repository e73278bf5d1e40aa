package memcache_test

import (
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// TestAllocs holds the operations to what their callers cannot do without: the
// value of a Get.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	value := make([]byte, 100)
	buf := make([]byte, 0, 200)
	item := &memcache.Item{Key: "key", Value: value, Flags: 1, TTL: time.Minute}
	tests := []struct {
		name string
		want float64
		op   func(c *memcache.Client) error
	}{
		{"Get", 1, func(c *memcache.Client) error { _, err := c.Get(ctx, "key"); return err }},
		{"GetInto", 0, func(c *memcache.Client) error { _, err := c.GetInto(ctx, "key", buf); return err }},
		{"GetAndTouch", 1, func(c *memcache.Client) error { _, err := c.GetAndTouch(ctx, "key", time.Minute); return err }},
		{"miss", 0, func(c *memcache.Client) error { return unless(getError(c, "absent"), memcache.ErrMiss) }},
		{"Set", 0, func(c *memcache.Client) error { return c.Set(ctx, item) }},
		{"Add, refused", 0, func(c *memcache.Client) error { return unless(c.Add(ctx, item), memcache.ErrNotStored) }},
		{"Touch", 0, func(c *memcache.Client) error { return c.Touch(ctx, "key", time.Minute) }},
		{"Delete, absent", 0, func(c *memcache.Client) error { return unless(c.Delete(ctx, "absent"), memcache.ErrMiss) }},
		{"on a node", 0, func(c *memcache.Client) error { return c.On("n1").Touch(ctx, "key", time.Minute) }},
		{"Increment", 0, func(c *memcache.Client) error { _, err := c.Increment(ctx, "number", 1); return err }},
	}
	for _, p := range protocols {
		t.Run(protocolName(p), func(t *testing.T) {
			c := newClient(t, memcache.Config{Nodes: nodes(startReal(t), startReal(t)), Protocol: p})
			c.Set(ctx, &memcache.Item{Key: "number", Value: []byte("1")})
			c.On("n1").Set(ctx, item)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					c.Set(ctx, item)
					var err error
					got := testing.AllocsPerRun(200, func() {
						if e := tt.op(c); e != nil {
							err = e
						}
					})
					if err != nil {
						t.Fatal(err)
					}
					if got > tt.want {
						t.Errorf("got %v allocations, want %v", got, tt.want)
					}
				})
			}
		})
	}
}

func getError(c *memcache.Client, key string) error {
	_, err := c.Get(ctx, key)
	return err
}

// unless is err, or nil if it is the one that was expected.
func unless(err, expected error) error {
	if err == expected {
		return nil
	}
	return err
}
