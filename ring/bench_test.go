package ring

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

// benchKeys are 65,536 keys of 32 bytes: enough to reach every part of a ring,
// so that a lookup pays for the memory it touches.
func benchKeys() []string {
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("%032x", xxhash.Sum64String(fmt.Sprint(i)))
	}
	return keys
}

// overFloor returns how many times the xxhash of the key alone a lookup costs.
// The two take turns over all keys, and the fastest round of each counts, so
// that a busy machine changes little.
func overFloor(keys []string, r *Ring) float64 {
	hash := func() (sum uint64) {
		for _, key := range keys {
			sum += xxhash.Sum64String(key)
		}
		return sum
	}
	locate := func() (sum uint64) {
		for _, key := range keys {
			sum += uint64(len(r.Locate(key).Addr))
		}
		return sum
	}
	fastest := [2]time.Duration{math.MaxInt64, math.MaxInt64}
	for range 200 {
		for i, f := range []func() uint64{hash, locate} {
			start := time.Now()
			runtime.KeepAlive(f())
			fastest[i] = min(fastest[i], time.Since(start))
		}
	}
	return float64(fastest[1]) / float64(fastest[0])
}

// BenchmarkLocate looks up keys of 32 bytes. "×floor" is the cost relative to the
// xxhash of the key alone, in the same run: XXHash is to stay under 3 with 10
// nodes, and under 6 with 1,000.
func BenchmarkLocate(b *testing.B) {
	keys := benchKeys()
	for _, s := range strategies {
		for _, n := range []int{10, 100, 1000} {
			r := mustNew(b, s, equalNodes(n)...)
			b.Run(fmt.Sprintf("%v/nodes=%d", s, n), func(b *testing.B) {
				b.ReportAllocs()
				sum, i := 0, 0
				for b.Loop() {
					sum += len(r.Locate(keys[i&(len(keys)-1)]).Addr)
					i++
				}
				runtime.KeepAlive(sum)
				if s == XXHash {
					b.ReportMetric(overFloor(keys, r), "×floor")
				}
			})
		}
	}
}

// BenchmarkWalk takes a key's owner and the next node, as a session's two copies
// do.
func BenchmarkWalk(b *testing.B) {
	keys := benchKeys()
	for _, s := range []Strategy{XXHash, Ketama, KetamaSpy, Rendezvous} {
		for _, n := range []int{10, 1000} {
			r := mustNew(b, s, equalNodes(n)...)
			b.Run(fmt.Sprintf("%v/nodes=%d", s, n), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					nodes := 0
					for range r.Walk(keys[i&(len(keys)-1)]) {
						if nodes++; nodes == 2 {
							break
						}
					}
					i++
				}
			})
		}
	}
}

// BenchmarkNew builds rings of 1,000 nodes. "MB-kept" is the memory that one
// keeps.
func BenchmarkNew(b *testing.B) {
	nodes := equalNodes(1000)
	for _, s := range []Strategy{XXHash, Ketama, Rendezvous, Modula} {
		b.Run(s.String(), func(b *testing.B) {
			for b.Loop() {
				mustNew(b, s, nodes...)
			}
			b.ReportMetric(float64(keptBytes(b, s, nodes))/1e6, "MB-kept")
		})
	}
}

// keptBytes returns how much a ring of nodes adds to the heap.
func keptBytes(tb testing.TB, s Strategy, nodes []Node) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := mustNew(tb, s, nodes...)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(r)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}
