package memcache_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/seed99545744/msm/memcache"
)

func BenchmarkMulti(b *testing.B) {
	for _, p := range protocols {
		c := newClient(b, memcache.Config{Nodes: nodes(startReal(b)), Protocol: p})
		items, keys := batchOf(100, 100)
		must(b, c.SetMulti(ctx, items))
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

// BenchmarkGet is one hit of 100 bytes for every of so many callers.
func BenchmarkGet(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			c := newClient(b, memcache.Config{Nodes: nodes(startReal(b))})
			if err := c.Set(ctx, &memcache.Item{Key: "key", Value: make([]byte, 100)}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Get(ctx, "key"); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
