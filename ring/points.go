package ring

import (
	"math/bits"
	"slices"
)

// point is one place of a node on the circle of 32-bit hashes: the hash above,
// the node's rank below, so that points sort by place and then by rank. Where
// two nodes share a place, the lower rank owns it.
type point uint64

func newPoint(place uint32, rank int) point { return point(place)<<32 | point(rank) }

// table finds the first point at or after a hash. The circle is cut into equal
// buckets, one or two points each, and a lookup reads one bucket.
//
// A point is kept in 32 bits, its place shifted left by the bits of a rank: what
// that drops from the place is the same for all points of a bucket, since there
// are at least as many buckets as ranks. So words compare as points do within
// their bucket, and 1,000 nodes stay small enough for the caches.
type table struct {
	words []uint32 // the points in order, and the first one again at the end
	first []uint32 // per bucket, the index in words of its first point; one entry more for the end
	shift uint8    // from a hash to its bucket
	ranks uint8    // bits of a rank
}

// newTable builds the table of points, in any order, of n nodes.
func newTable(points []point, n int) table {
	ranks := bits.Len(uint(n - 1))
	width := max(bits.Len(uint(len(points)))-1, ranks)
	t := table{
		words: make([]uint32, len(points)+1),
		first: make([]uint32, 1<<width+1),
		shift: uint8(32 - width),
		ranks: uint8(ranks),
	}
	// A counting sort: entry b+1 counts bucket b, then tells where its next
	// point goes, and ends as the end of bucket b, which is the start of b+1.
	next := t.first[1:]
	for _, p := range points {
		next[t.bucket(uint32(p>>32))]++
	}
	sum := uint32(0)
	for b, count := range next {
		next[b] = sum
		sum += count
	}
	for _, p := range points {
		b := t.bucket(uint32(p >> 32))
		t.words[next[b]] = uint32(p>>32)<<ranks | uint32(p)
		next[b]++
	}
	for b, start := range t.first[:1<<width] {
		slices.Sort(t.words[start:t.first[b+1]])
	}
	t.words[len(points)] = t.words[0]
	return t
}

func (t *table) bucket(hash uint32) uint32 { return hash >> t.shift }

// find returns the index of the first point at or after hash. It is that of the
// repeated first point if there is none.
func (t *table) find(hash uint32) int {
	b := t.bucket(hash)
	i, end := t.first[b], t.first[b+1]
	word := hash << t.ranks
	for i < end && t.words[i] < word {
		i++
	}
	return int(i)
}

// rank returns the rank of the node that point i belongs to.
func (t *table) rank(i int) int { return int(t.words[i] & (1<<t.ranks - 1)) }

// owner returns the rank of the node that owns hash.
func (t *table) owner(hash uint32) int { return t.rank(t.find(hash)) }
