package ring

import (
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

const (
	// pairsPerWeight is half the points of a node of weight 1. 2,000 points keep
	// a node's share within 2.2 % of what it should be (one standard deviation,
	// 1/√2000), and take 15 KB, or 47 KB while the ring is made.
	pairsPerWeight = 1000

	// maxTotalWeight bounds the points, and with them what a ring keeps, to 150 MB.
	maxTotalWeight = 10_000
)

// xxhashKey is the place of a key on an XXHash ring.
func xxhashKey(key string) uint32 { return uint32(xxhash.Sum64String(key)) }

// xxhashPoints returns the points of an XXHash ring: the two halves of the
// 64-bit xxhash of "id-0", "id-1" and so on. They depend on nothing but the
// node's own id and weight; this is why adding, removing or moving a node to
// another address moves no key between the others.
func xxhashPoints(nodes []namedNode) ([]point, error) {
	total := 0
	for _, n := range nodes {
		if n.weight() > maxTotalWeight-total {
			return nil, fmt.Errorf("ring: the weights sum to more than %d at node %q; divide them all by a common factor", maxTotalWeight, n.ID)
		}
		total += n.weight()
	}
	points := make([]point, 0, 2*pairsPerWeight*total)
	var name []byte
	for rank, n := range nodes {
		name = append(append(name[:0], n.name...), '-')
		for i := range pairsPerWeight * n.weight() {
			sum := xxhash.Sum64(strconv.AppendInt(name, int64(i), 10))
			points = append(points, newPoint(uint32(sum), rank), newPoint(uint32(sum>>32), rank))
		}
	}
	return points, nil
}
