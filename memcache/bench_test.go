package memcache_test

import (
	"testing"

	"github.com/seed99545744/msm/memcache"
)

func BenchmarkMulti(b *testing.B) {
	for _, p := range protocols {
		c := newClient(b, memcache.Config{Nodes: nodes(startReal(b)), Protocol: p})
		items, keys := batchOf(100, 100)
		b.Run(protocolName(p)+"/SetMulti", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.SetMulti(ctx, items); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(protocolName(p)+"/GetMulti", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.GetMulti(ctx, keys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
